//! What an operator decides: defaults, then a file, then the environment, then flags; checked once, all mistakes together.

mod check;
mod mistakes;
mod reference;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use mistakes::{Faulty, Mistake, Place};
pub use reference::markdown;

use self::check::Found;
use self::mistakes::Places;
use crate::caller::Effect;
use crate::secrets::Secret;
use crate::toolkit::{Switches, schema};
use crate::yaml::{self, Lines};
use crate::{auth, backends, edge, limits, store};

/// Every setting with its default and a comment.
pub const DEFAULTS: &str = include_str!("../config.yaml");

/// What the names of environment variables begin with; two underscores stand between keys.
const PREFIX: &str = "CLOUD_NATIVE_MCP__";

/// Everything that can be configured.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the server is reached.
    pub server: edge::Config,
    /// Who may call. Without any, only this machine can connect.
    pub auth: auth::Config,
    /// The most that a caller may do where there is no authentication: read, write or destroy.
    pub allow: Effect,
    /// Which tools there are.
    pub tools: Switches,
    /// How much callers may ask for over HTTP, in units.
    pub limits: limits::Config,
    /// How long calls may take.
    pub calls: Calls,
    /// What replicas share.
    pub store: store::Config,
    /// Signs cursors and states that clients hold. Replicas need the same one; a random one is made when it is empty.
    pub signing_key: Secret,
    /// Lines on standard error.
    pub log: Log,
    /// The systems that tools talk to. Callers can choose an instance by its name, never an address.
    pub backends: backends::Config,
}

/// How long calls may take.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// Seconds for one call of a tool, unless the tool needs longer by its nature.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: u64,
    /// Seconds that a call may take which goes on as a task, the time that a person needs for an answer included; its
    /// result is kept as long.
    #[schemars(range(min = 1, max = 86_400))]
    pub task_seconds: u64,
}

/// Lines on standard error.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// error, warn, info, debug or trace; or per module, as in `info,cloud_native_mcp::backends=debug`.
    pub level: String,
    /// How lines look: text or json.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A configuration, and where each setting came from.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    places: Places,
}

/// Reads the configuration.
///
/// `variables` are those of the environment, `flags` settings by their dotted path.
///
/// # Errors
/// A configuration with mistakes in it, which tells them all.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: Vec<(String, Value)>,
) -> Result<Loaded, Box<Faulty>> {
    let schema = Value::Object(schema::of::<Config>());
    let mut places = Places::default();
    let (defaults, _) = yaml::parse(DEFAULTS).expect("the defaults are YAML");
    let mut value = defaults.clone();
    let mut found = Vec::new();
    let mut can_be_read = true;
    if let Some(path) = file {
        let (from_file, lines) = read_file(path).unwrap_or_else(|message| {
            can_be_read = false;
            found.push(Found::new("", message));
            (Value::Null, Lines::new())
        });
        merge(&mut value, from_file);
        places.file = Some((path.to_owned(), lines));
    }
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let path = path.to_lowercase().replace("__", ".");
        set(&mut value, &schema, &path, check::from_text(&schema, &path, &text));
        places.others.push((path, Place::Variable(name)));
    }
    for (path, flag) in flags {
        set(&mut value, &schema, &path, flag);
        let name = path.rsplit('.').next().unwrap_or(&path).to_owned();
        places.others.push((path, Place::Flag(name)));
    }
    check::check(&mut value, &schema, Some(&defaults), "", &mut found);
    check::resolve_secrets(&mut value, &schema, "", &mut found);
    let rest = match serde_path_to_error::deserialize(value) {
        Ok(config) if found.is_empty() => return Ok(Loaded { config, file: file.map(Path::to_owned), places }),
        Ok(config) => Some(config),
        Err(error) if found.is_empty() => {
            found.push(Found::new(&error.path().to_string(), error.into_inner().to_string()));
            None
        }
        Err(_) => None,
    };
    // Nothing can be told of a file that cannot be read, and settings beside it may belong to what is in it.
    Err(Box::new(Faulty { found, places, rest: rest.filter(|_| can_be_read) }))
}

impl Loaded {
    /// Mistakes that parts found, with the place of each.
    #[must_use]
    pub fn located(&self, mistakes: Vec<(String, String)>) -> Vec<Mistake> {
        self.places.locate(mistakes)
    }
}

impl Config {
    /// The defaults.
    #[must_use]
    pub fn defaults() -> Self {
        load(None, [], Vec::new()).expect("the defaults have no mistakes").config
    }

    /// The configuration as YAML, without its secrets.
    #[must_use]
    pub fn print(&self) -> String {
        yaml::emit(&serde_json::to_value(self).expect("a configuration has a JSON form"))
    }
}

fn read_file(path: &Path) -> Result<(Value, Lines), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let (value, lines) = yaml::parse(&text)?;
    match value {
        Value::Object(_) => Ok((value, lines)),
        Value::Null => Ok((Value::Object(Map::new()), lines)),
        _ => Err("must hold keys and values".into()),
    }
}

/// Lays one value over another; keys that are not in it, or have nothing behind them, stay.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (_, Value::Null) => {}
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// Sets what is at a path. What should be a group and is none stays: that mistake comes first.
fn set(value: &mut Value, schema: &Value, path: &str, new: Value) {
    let (mut place, mut schema) = (value, schema);
    for key in path.split('.') {
        if !place.is_object() {
            if !place.is_null() && schema["type"] == "object" {
                return;
            }
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(key).or_insert(Value::Null);
        schema = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
    }
    *place = new;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &Config, _: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
        Vec::new()
    }

    fn mistakes(
        text: &str,
        variables: &[(&str, &str)],
        parts: impl FnOnce(&Config, &dyn Fn(&str) -> bool) -> Vec<(String, String)>,
    ) -> Vec<String> {
        let file = std::env::temp_dir().join(format!("{}.yaml", crate::secrets::random_token("config-")));
        std::fs::write(&file, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = load(Some(&file), variables, Vec::new());
        std::fs::remove_file(&file).unwrap();
        let name = file.display().to_string();
        let mistakes = loaded.err().map(|faulty| faulty.all(parts)).unwrap_or_default();
        mistakes.iter().map(|mistake| mistake.to_string().replace(&name, "FILE")).collect()
    }

    #[test]
    fn all_mistakes_are_reported_with_key_and_line() {
        let text = "server:\n  listen: 7\n  hots: []\nallow: everything\nbackends:\n  prometheus:\n    instances:\n      \
                    main:\n        url: http://x\n        retries: many\n        password: env:NO_SUCH_VARIABLE_HERE\n";
        let found = mistakes(
            text,
            &[("CLOUD_NATIVE_MCP__LOG__FORMAT", "xml"), ("CLOUD_NATIVE_MCP__LGO__LEVEL", "info")],
            |_, _| Vec::new(),
        );
        assert_eq!(
            found,
            [
                "FILE line 2: server.listen: 7 is not text; put it into quotes",
                "FILE line 3: server.hots: there is no such setting; did you mean `hosts`? Known here: listen, hosts, origins, \
                 trusted_proxies, most_body_bytes, most_header_bytes, most_connections, header_timeout_seconds, body_timeout_seconds, \
                 drain_delay_seconds, drain_seconds",
                "FILE line 4: allow: \"everything\" is not one of read, write, destroy",
                "FILE line 10: backends.prometheus.instances.main.retries: \"many\" is not a whole number",
                "FILE line 11: backends.prometheus.instances.main.password: the environment has no NO_SUCH_VARIABLE_HERE",
                "environment CLOUD_NATIVE_MCP__LGO__LEVEL: lgo: there is no such setting; did you mean `log`? Known here: server, \
                 auth, allow, tools, limits, calls, store, signing_key, log, backends",
                "environment CLOUD_NATIVE_MCP__LOG__FORMAT: log.format: \"xml\" is not one of text, json",
            ]
        );
    }

    #[test]
    fn what_parts_find_comes_by_line_among_the_others_and_without_what_follows_from_them() {
        let text =
            "log:\n  level: 3\nauth:\n  api_keys:\n    - name: ann\n      expires: tomorrow\nstore:\n  most_bytes: 0\n";
        let found = mistakes(text, &[], |config, sure| {
            assert!(!sure("auth") && !sure("log.level") && sure("server") && sure("log.format"));
            assert_eq!((config.log.level.as_str(), config.auth.api_keys.len()), ("info", 1));
            let of = |key: &str| (key.to_owned(), "wrong".to_owned());
            vec![of("store.most_bytes"), of("auth.api_keys.0.hash"), of("auth.api_keys.0.name"), of("log.level")]
        });
        assert_eq!(
            found,
            [
                "FILE line 2: log.level: 3 is not text; put it into quotes",
                "FILE line 5: auth.api_keys.0.hash: is missing",
                "FILE line 5: auth.api_keys.0.name: wrong",
                "FILE line 6: auth.api_keys.0.expires: \"tomorrow\" is not a moment; write it as 2027-02-20T00:00:00Z",
                "FILE line 8: store.most_bytes: 0 is too small; give 1 or more",
            ]
        );
    }

    #[test]
    fn a_group_that_is_none_is_one_mistake_whatever_is_set_in_it() {
        let variables = [("CLOUD_NATIVE_MCP__SERVER__LISTEN", "[::1]:1"), ("CLOUD_NATIVE_MCP__ALLOW__X", "1")];
        let expected = [
            "FILE line 1: server: 7 is not a group of keys",
            "environment CLOUD_NATIVE_MCP__ALLOW__X: allow: {\"x\":1} is not one of read, write, destroy",
        ];
        assert_eq!(mistakes("server: 7\n", &variables, nothing), expected);
    }

    #[test]
    fn a_key_with_nothing_behind_it_keeps_its_default() {
        assert_eq!(
            mistakes("server:\n  listen:\nauth:\nbackends:\n  prometheus:\n    default:\n", &[], nothing),
            [""; 0]
        );
        assert!(mistakes("backends:\n  prometheus:\n    instances:\n      eu:\n", &[], nothing).is_empty());
    }

    #[test]
    fn the_environment_goes_over_the_file_and_flags_over_both() {
        let variables = [("CLOUD_NATIVE_MCP__SERVER__HOSTS".to_owned(), "[a.example, b.example]".to_owned())];
        let flags = vec![("server.listen".to_owned(), Value::String("[::1]:1".into()))];
        let loaded = load(None, variables, flags).unwrap();
        assert_eq!(loaded.config.server.hosts, ["a.example", "b.example"]);
        assert_eq!(loaded.config.server.listen, "[::1]:1");
    }

    #[test]
    fn what_is_printed_has_no_secret_and_can_be_read_again() {
        let mut config = Config::defaults();
        config.signing_key = Secret::new("hunter2".into());
        let text = config.print();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(mistakes(&text, &[], nothing), Vec::<String>::new());
    }
}
