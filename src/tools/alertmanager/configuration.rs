//! Alertmanager's configuration, as its status shows it: routes, receivers, inhibition rules.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::api;
use super::matchers::{self, Matcher, Operator, match_all};
use super::routes::{Route, Settings};
use crate::answers::redact::redact;
use crate::backends::Alertmanager;
use crate::error::{Error, Result};
use crate::secrets::Signer;
use crate::yaml;

/// What applies where no route says otherwise (dispatch/route.go, `DefaultRouteOpts`).
const GROUP_WAIT: &str = "30s";
const GROUP_INTERVAL: &str = "5m";
const REPEAT_INTERVAL: &str = "4h";

/// The configuration that an instance runs with.
#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub(super) root: Route,
    pub(super) receivers: Vec<Receiver>,
    pub(super) inhibit_rules: Vec<InhibitRule>,
    /// All of it, with everything secret masked.
    pub(super) masked: Value,
}

/// Somebody who is told.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) name: String,
    /// How it is told: `webhook`, `email`, `slack` …; once for each.
    pub(super) integrations: Vec<String>,
}

/// Alerts that mute others.
#[derive(Clone, Debug)]
pub(super) struct InhibitRule {
    source: Vec<Matcher>,
    target: Vec<Matcher>,
    equal: Vec<String>,
}

#[derive(Deserialize)]
struct RawConfiguration {
    route: RawRoute,
    #[serde(default)]
    receivers: Vec<Map<String, Value>>,
    #[serde(default)]
    inhibit_rules: Vec<RawInhibitRule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawRoute {
    receiver: Option<String>,
    group_by: Option<Vec<String>>,
    group_wait: Option<String>,
    group_interval: Option<String>,
    repeat_interval: Option<String>,
    matchers: Vec<String>,
    r#match: BTreeMap<String, Value>,
    match_re: BTreeMap<String, Value>,
    r#continue: bool,
    mute_time_intervals: Vec<String>,
    active_time_intervals: Vec<String>,
    routes: Vec<Self>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawInhibitRule {
    source_matchers: Vec<String>,
    source_match: BTreeMap<String, Value>,
    source_match_re: BTreeMap<String, Value>,
    target_matchers: Vec<String>,
    target_match: BTreeMap<String, Value>,
    target_match_re: BTreeMap<String, Value>,
    equal: Vec<String>,
}

/// The configuration of an instance.
///
/// # Errors
/// [`Error::Unavailable`] when the instance does not show one that can be read.
pub(super) async fn of(alertmanager: &Alertmanager) -> Result<Configuration> {
    let status = api::status(alertmanager).await?;
    Configuration::read(&status.config.original, &alertmanager.context.signer).map_err(|reason| {
        Error::Unavailable(format!(
            "{}: its configuration cannot be read: {reason}. The Alertmanager inside of Grafana \
             does not show its routing this way",
            alertmanager.rest().name()
        ))
    })
}

impl Configuration {
    /// # Errors
    /// A sentence about what is wrong with it.
    pub(super) fn read(text: &str, signer: &Signer) -> Result<Self, String> {
        let (mut value, _) = yaml::parse(text)?;
        let raw: RawConfiguration = serde_path_to_error::deserialize(&value).map_err(|error| error.to_string())?;
        mask(&mut value, signer);
        Ok(Self {
            root: raw.route.build(None)?,
            receivers: raw.receivers.iter().map(Receiver::read).collect(),
            inhibit_rules: raw.inhibit_rules.iter().map(InhibitRule::read).collect::<Result<_, String>>()?,
            masked: value,
        })
    }

    /// How a receiver is told, for example `webhook, 2 email`; nothing when it is told nowhere.
    pub(super) fn integrations(&self, receiver: &str) -> String {
        let found = self.receivers.iter().find(|known| known.name == receiver);
        found.map(Receiver::in_words).unwrap_or_default()
    }

    /// A receiver with its integrations, for people.
    pub(super) fn describe(&self, receiver: &str) -> String {
        match self.integrations(receiver) {
            nothing if nothing.is_empty() => format!("{receiver} (tells nobody)"),
            integrations => format!("{receiver} ({integrations})"),
        }
    }
}

impl RawRoute {
    fn build(self, above: Option<&Settings>) -> Result<Route, String> {
        let inherit = |own: Option<String>, get: fn(&Settings) -> &String, default: &str| {
            own.unwrap_or_else(|| above.map_or_else(|| default.to_owned(), |above| get(above).clone()))
        };
        let settings = Settings {
            receiver: inherit(self.receiver.filter(|name| !name.is_empty()), |s| &s.receiver, ""),
            group_by: self.group_by.unwrap_or_else(|| above.map(|above| above.group_by.clone()).unwrap_or_default()),
            group_wait: inherit(self.group_wait, |s| &s.group_wait, GROUP_WAIT),
            group_interval: inherit(self.group_interval, |s| &s.group_interval, GROUP_INTERVAL),
            repeat_interval: inherit(self.repeat_interval, |s| &s.repeat_interval, REPEAT_INTERVAL),
            mute_time_intervals: self.mute_time_intervals,
            active_time_intervals: self.active_time_intervals,
        };
        let children = self.routes.into_iter().map(|route| route.build(Some(&settings))).collect::<Result<_, _>>()?;
        let matchers = read_matchers(&self.matchers, &self.r#match, &self.match_re)?;
        Ok(Route { matchers, continues: self.r#continue, settings, children })
    }
}

impl Receiver {
    fn read(raw: &Map<String, Value>) -> Self {
        let integrations = raw.iter().filter_map(|(key, list)| Some((key.strip_suffix("_configs")?, list.as_array()?)));
        Self {
            name: raw.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            integrations: integrations.flat_map(|(name, list)| vec![name.to_owned(); list.len()]).collect(),
        }
    }

    fn in_words(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for name in &self.integrations {
            match counts.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        let words =
            counts.iter().map(|(name, count)| if *count == 1 { (*name).to_owned() } else { format!("{count} {name}") });
        words.collect::<Vec<_>>().join(", ")
    }
}

impl InhibitRule {
    fn read(raw: &RawInhibitRule) -> Result<Self, String> {
        Ok(Self {
            source: read_matchers(&raw.source_matchers, &raw.source_match, &raw.source_match_re)?,
            target: read_matchers(&raw.target_matchers, &raw.target_match, &raw.target_match_re)?,
            equal: raw.equal.clone(),
        })
    }

    /// Whether an alert with these labels could be muted by it.
    pub(super) fn may_mute(&self, labels: &api::Labels) -> bool {
        match_all(&self.target, labels)
    }

    pub(super) fn in_words(&self) -> String {
        let equal = match self.equal.as_slice() {
            [] => String::new(),
            labels => format!(" where {} {} equal", labels.join(", "), if labels.len() == 1 { "is" } else { "are" }),
        };
        format!("{} mutes {}{equal}", matchers::in_words(&self.source), matchers::in_words(&self.target))
    }
}

fn read_matchers(
    texts: &[String],
    equal: &BTreeMap<String, Value>,
    like: &BTreeMap<String, Value>,
) -> Result<Vec<Matcher>, String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut matchers = Vec::new();
    for (name, value) in equal {
        matchers.push(Matcher::new(name, Operator::Equal, &plain(value))?);
    }
    for (name, value) in like {
        matchers.push(Matcher::new(name, Operator::Like, &plain(value))?);
    }
    for text in texts {
        matchers.extend(matchers::parse(text)?);
    }
    Ok(matchers)
}

/// Hides credentials. Alertmanager hides most itself; before 0.27 not the addresses of webhooks, which often hold some.
fn mask(configuration: &mut Value, signer: &Signer) {
    redact(configuration, signer);
    if let Some(receivers) = configuration.get_mut("receivers") {
        mask_addresses(receivers, signer);
    }
}

fn mask_addresses(value: &mut Value, signer: &Signer) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|value| mask_addresses(value, signer)),
        Value::Array(items) => items.iter_mut().for_each(|value| mask_addresses(value, signer)),
        Value::String(text) => {
            if let Ok(url) = Url::parse(text)
                && matches!(url.scheme(), "http" | "https")
                && (url.query().is_some() || url.path().len() > 1)
            {
                let hidden = signer.fingerprint(text);
                *text = format!("{}/hidden-{hidden}", url.origin().ascii_serialization());
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r##"
global: {resolve_timeout: 5m, slack_api_url: <secret>}
route:
  receiver: default
  group_by: [alertname, cluster]
  routes:
  - {receiver: audit, continue: true, matchers: ["audit=\"true\""]}
  - receiver: pager
    group_wait: 10s
    matchers: ["severity=~\"page|critical\""]
    routes:
    - {receiver: dba, match: {team: db}, group_by: [...], mute_time_intervals: [nights]}
    - {match_re: {team: "web|shop"}, active_time_intervals: [workdays]}
  - {receiver: quiet, matchers: [severity!="warning", severity!="info", team=""]}
  - {receiver: shadowed, matchers: ["severity=page", "team=~\"d.\""]}
receivers:
- name: default
  webhook_configs: [{url: "https://ann:hunter2@hooks.example/services/T0/B0?token=x"}, {url: <secret>}]
- {name: pager, pagerduty_configs: [{routing_key: <secret>}], email_configs: [{to: a@b.example, auth_password: hunter2}]}
- {name: dba, slack_configs: [{channel: "#db"}]}
- {name: audit}
- {name: quiet}
- {name: shadowed}
- {name: unused}
inhibit_rules:
- {source_matchers: ["severity=critical"], target_matchers: ["severity=~\"warning|info\""], equal: [alertname, cluster]}
- {source_match: {alertname: Down}, target_match_re: {alertname: ".+"}, equal: [instance]}
"##;

    fn read(text: &str) -> Result<Configuration, String> {
        Configuration::read(text, &Signer::random())
    }

    fn ends(text: &str) -> Vec<String> {
        let labels = if text.is_empty() { Vec::new() } else { matchers::parse(text).unwrap() };
        let labels = labels.into_iter().map(|matcher| (matcher.name, matcher.value)).collect();
        let configuration = read(EXAMPLE).unwrap();
        configuration.root.paths(&labels).iter().map(|path| path.last().unwrap().settings.receiver.clone()).collect()
    }

    #[test]
    fn an_alert_goes_where_alertmanager_sends_it() {
        for (labels, expected) in [
            ("", "quiet"),
            ("severity=warning", "default"),
            ("severity=info,team=x", "default"),
            ("severity=page", "pager"),
            ("severity=critical,team=db", "dba"),
            ("severity=critical,team=shop", "pager"),
            ("severity=critical,team=shopping", "pager"),
            ("severity=pages", "quiet"),
            ("severity=pages,team=x", "default"),
            ("severity=page,team=dx", "pager"),
            ("audit=true", "audit quiet"),
            ("audit=true,severity=page,team=db", "audit dba"),
            ("audit=true,severity=info", "audit"),
        ] {
            assert_eq!(ends(labels).join(" "), expected, "{labels}");
        }
    }

    #[test]
    fn the_tree_shows_what_each_route_changes() {
        insta::assert_snapshot!(read(EXAMPLE).unwrap().root.tree(), @r#"
        all alerts → default  (grouped by alertname cluster, wait 30s, interval 5m, repeat 4h)
        ├ audit="true" → audit  (then continues)
        ├ severity=~"page|critical" → pager  (wait 10s)
        │ ├ team="db" → dba  (each alert by itself, quiet during nights)
        │ └ team=~"web|shop" → pager  (only during workdays)
        ├ severity!="warning", severity!="info", team="" → quiet
        └ severity="page", team=~"d." → shadowed
        "#);
    }

    #[test]
    fn settings_are_inherited_but_time_intervals_are_not() {
        let route = "{receiver: a, routes: [{group_by: [x], group_wait: 1s, mute_time_intervals: [n], routes: [{receiver: b, group_by: []}]}]}";
        let root = read(&format!("route: {route}")).unwrap().root;
        let (middle, last) = (&root.children[0].settings, &root.children[0].children[0].settings);
        assert_eq!((middle.receiver.as_str(), middle.repeat_interval.as_str()), ("a", "4h"));
        assert_eq!((last.receiver.as_str(), last.group_wait.as_str(), last.group_by.len()), ("b", "1s", 0));
        assert!(last.mute_time_intervals.is_empty());
    }

    #[test]
    fn receivers_tell_how_and_rules_whom() {
        let configuration = read(EXAMPLE).unwrap();
        assert_eq!(configuration.describe("default"), "default (2 webhook)");
        assert_eq!(configuration.describe("pager"), "pager (pagerduty, email)");
        assert_eq!(configuration.describe("audit"), "audit (tells nobody)");
        let rules: Vec<_> = configuration.inhibit_rules.iter().map(InhibitRule::in_words).collect();
        assert_eq!(
            rules[0],
            r#"severity="critical" mutes severity=~"warning|info" where alertname, cluster are equal"#
        );
        assert_eq!(rules[1], r#"alertname="Down" mutes alertname=~".+" where instance is equal"#);
    }

    #[test]
    fn no_credential_comes_out() {
        let text = read(EXAMPLE).unwrap().masked.to_string();
        for secret in ["hunter2", "token=x", "T0/B0"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("https://hooks.example/hidden-") && text.contains("<secret>"), "{text}");
    }

    #[test]
    fn what_is_no_configuration_is_told() {
        assert!(read("").is_err());
        assert!(read("{\"alertmanager_config\": {}}").unwrap_err().contains("route"));
    }
}
