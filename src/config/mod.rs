//! What an operator decides: defaults, then a file, then the environment, then flags; checked once, all mistakes together.

mod check;
mod reference;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use reference::markdown;

use crate::caller::Effect;
use crate::secrets::Secret;
use crate::toolkit::{Switches, schema};
use crate::yaml::{self, Lines};
use crate::{auth, backends, edge};

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
    /// The most that a caller may do where there is no authentication.
    pub allow: Effect,
    /// Which tools there are.
    pub tools: Switches,
    /// How long calls may take.
    pub calls: Calls,
    /// What replicas share.
    pub store: Store,
    /// Signs cursors and states that clients hold. Replicas need the same one; a random one is made when it is empty.
    pub signing_key: Secret,
    /// Lines on standard error.
    pub log: Log,
    /// The systems that tools talk to.
    pub backends: backends::Config,
}

/// How long calls may take.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// Seconds for one call of a tool, unless the tool needs longer by its nature.
    pub timeout_seconds: u64,
}

/// What replicas share.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Bytes that sessions, streams and kept answers may take in this process.
    pub most_bytes: usize,
}

/// Lines on standard error.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// error, warn, info, debug or trace; or per module, as in `info,cloud_native_mcp::backends=debug`.
    pub level: String,
    /// How lines look.
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

/// Something wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, as keys with points between.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where it was set.
    pub place: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
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

/// Where settings were set, to tell in a mistake.
#[derive(Clone, Debug, Default)]
struct Places {
    file: Option<(PathBuf, Lines)>,
    others: Vec<(String, String)>,
}

impl Places {
    /// Where a key, or what it is in, was set.
    fn of(&self, key: &str) -> Option<String> {
        let is_in = |inner: &str, outer: &str| inner == outer || inner.starts_with(&format!("{outer}."));
        if let Some((_, place)) = self.others.iter().rev().find(|(path, _)| is_in(key, path)) {
            return Some(place.clone());
        }
        let in_file = self.file.as_ref().and_then(|(file, lines)| {
            let mut key = key;
            loop {
                if let Some(line) = lines.get(key) {
                    return Some(format!("{} line {line}", file.display()));
                }
                key = key.rsplit_once('.')?.0;
            }
        });
        // A group that only a variable of the environment brought in.
        in_file.or_else(|| self.others.iter().find(|(path, _)| is_in(path, key)).map(|(_, place)| place.clone()))
    }
}

/// Reads the configuration.
///
/// `variables` are those of the environment, `flags` settings by their dotted path.
///
/// # Errors
/// Every mistake that can be seen without the parts that are configured.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: Vec<(String, Value)>,
) -> Result<Loaded, Vec<Mistake>> {
    let schema = Value::Object(schema::of::<Config>());
    let mut places = Places::default();
    let (mut value, _) = yaml::parse(DEFAULTS).expect("the defaults are YAML");
    let mut mistakes = Vec::new();
    if let Some(path) = file {
        let (from_file, lines) = read_file(path).map_err(|mistake| vec![mistake])?;
        merge(&mut value, from_file);
        places.file = Some((path.to_owned(), lines));
    }
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let path = path.to_lowercase().replace("__", ".");
        set(&mut value, &path, check::from_text(&schema, &path, &text));
        places.others.push((path, format!("environment {name}")));
    }
    for (path, flag) in flags {
        set(&mut value, &path, flag);
        places.others.push((path.clone(), format!("--{}", path.rsplit('.').next().unwrap_or(&path))));
    }
    check::check(&value, &schema, "", &mut mistakes);
    check::resolve_secrets(&mut value, &schema, "", &mut mistakes);
    let mut mistakes: Vec<Mistake> =
        mistakes.into_iter().map(|(key, message)| Mistake { place: places.of(&key), key, message }).collect();
    if mistakes.is_empty() {
        match serde_path_to_error::deserialize(value) {
            Ok(config) => return Ok(Loaded { config, file: file.map(Path::to_owned), places }),
            Err(error) => {
                let key = error.path().to_string();
                mistakes.push(Mistake { place: places.of(&key), key, message: error.into_inner().to_string() });
            }
        }
    }
    Err(mistakes)
}

impl Loaded {
    /// Adds to mistakes of the parts where each setting was set.
    #[must_use]
    pub fn located(&self, mistakes: Vec<(String, String)>) -> Vec<Mistake> {
        mistakes
            .into_iter()
            .map(|(key, message)| {
                // Parts say `key: message` for the keys inside of what they were given.
                let (key, message) = match message.split_once(": ") {
                    Some((inner, rest)) if !inner.contains(' ') => (yaml::join(&key, inner), rest.to_owned()),
                    _ => (key, message),
                };
                Mistake { place: self.places.of(&key), key, message }
            })
            .collect()
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

fn read_file(path: &Path) -> Result<(Value, Lines), Mistake> {
    let whole = |message: String| Mistake { key: String::new(), message, place: Some(path.display().to_string()) };
    let text = std::fs::read_to_string(path).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let (value, lines) = yaml::parse(&text).map_err(whole)?;
    match value {
        Value::Object(_) => Ok((value, lines)),
        Value::Null => Ok((Value::Object(Map::new()), lines)),
        _ => Err(whole("must hold keys and values".into())),
    }
}

/// Lays one value over another; keys that are not in it stay.
fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

fn set(value: &mut Value, path: &str, new: Value) {
    let mut place = value;
    for key in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        place = map.entry(key).or_insert(Value::Null);
    }
    *place = new;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let file = std::env::temp_dir().join(format!("{}.yaml", crate::secrets::random_token("config-")));
        std::fs::write(&file, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = load(Some(&file), variables, Vec::new());
        std::fs::remove_file(&file).unwrap();
        let name = file.display().to_string();
        loaded.err().unwrap_or_default().iter().map(|mistake| mistake.to_string().replace(&name, "FILE")).collect()
    }

    #[test]
    fn all_mistakes_are_reported_with_key_and_line() {
        let text = "server:\n  listen: 7\n  hots: []\nallow: everything\nbackends:\n  prometheus:\n    instances:\n      \
                    main:\n        url: http://x\n        retries: many\n        password: env:NO_SUCH_VARIABLE_HERE\n";
        assert_eq!(
            mistakes(text, &[("CLOUD_NATIVE_MCP__LOG__FORMAT", "xml"), ("CLOUD_NATIVE_MCP__LGO__LEVEL", "info")]),
            [
                "FILE line 2: server.listen: 7 is not text",
                "FILE line 3: server.hots: there is no such setting; did you mean `hosts`? Known here: listen, hosts, origins, \
                 most_body_bytes, most_header_bytes, most_connections, header_timeout_seconds, body_timeout_seconds, \
                 drain_delay_seconds, drain_seconds",
                "FILE line 4: allow: \"everything\" is not one of read, write, destroy",
                "environment CLOUD_NATIVE_MCP__LOG__FORMAT: log.format: \"xml\" is not one of text, json",
                "FILE line 10: backends.prometheus.instances.main.retries: \"many\" is not a whole number",
                "environment CLOUD_NATIVE_MCP__LGO__LEVEL: lgo: there is no such setting; did you mean `log`? Known here: server, \
                 auth, allow, tools, calls, store, signing_key, log, backends",
                "FILE line 11: backends.prometheus.instances.main.password: the environment has no NO_SUCH_VARIABLE_HERE",
            ]
        );
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
        assert_eq!(mistakes(&text, &[]), Vec::<String>::new());
    }
}
