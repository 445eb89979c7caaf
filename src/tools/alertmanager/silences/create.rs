//! Muting alerts for a while.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{in_words, named};
use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::call::Context;
use crate::error::{Error, Result};
use crate::toolkit::args::{Moment, Span};
use crate::toolkit::{Facts, Permission, Policy, Tool};
use crate::tools::alertmanager::ages;
use crate::tools::alertmanager::api::{self, AlertQuery, NewSilence, Silence, SilenceId, SilenceState};
use crate::tools::alertmanager::matchers::{self, Matcher};

/// The longest silence: what is muted for longer should be changed at its rule.
const LONGEST: Span = Span::seconds(30 * 86_400);

/// Names that nobody gives, different in their first letters: whoever means both means everything.
const ANYTHING: [&str; 2] = ["Zqxj7Kwv", "bnmT0Ygp"];

/// Creates or changes a silence after showing what it mutes.
///
/// The creator is the caller. With `dry_run` it only tells which alerts would be muted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct CreateSilence {
    /// Name of the instance; needed when several are configured.
    instance: Option<String>,
    /// All must match an alert, for example `alertname="Disk"` and `instance=~"db.*"`.
    matchers: Vec<String>,
    /// When it begins: RFC 3339 or relative, for example `now+30m`.
    #[serde(default = "Moment::now")]
    start: Moment,
    /// How long from then; at most 30d. When a silence is changed, how long from now.
    #[serde(default = "two_hours")]
    duration: Span,
    /// When it ends, instead of `duration`.
    end: Option<Moment>,
    /// Why, with a ticket.
    comment: String,
    /// Change this silence: matchers, end and comment are replaced.
    id: Option<String>,
    /// Only tell what would be muted or changed; change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Plan id of a dry run to carry out.
    plan: Option<String>,
}

fn two_hours() -> Span {
    Span::seconds(7_200)
}

/// A silence as it was made, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct SavedSilence {
    /// What was done, or would be.
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    matchers: Vec<String>,
    starts_at: String,
    ends_at: String,
    author: String,
    comment: String,
    /// What is different from before, when one is changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
    /// Alerts that it mutes, or will when it begins.
    mutes: usize,
    /// Of those, the ones that something else mutes already.
    muted_already: usize,
    /// The alerts, as far as they fit here.
    alerts: Vec<String>,
}

impl Tool for CreateSilence {
    const NAME: &str = "alertmanager_create_silence";
    const POLICY: Policy = Policy::write(Permission::AlertsWrite);
    const REPLACES: &[&str] = &[];
    type Backend = Alertmanager;
    type Output = Facts<SavedSilence>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Facts<SavedSilence>> {
        let matchers = self.narrow_matchers()?;
        if self.comment.trim().is_empty() {
            return Err(Error::BadArguments("comment: say why, with a ticket; others will read it".into()));
        }
        let old = match &self.id {
            Some(id) => Some(api::silence(alertmanager, id).await?),
            None => None,
        };
        let silence = self.silence(&matchers, old.as_ref(), &alertmanager.context)?;
        let alerts = api::alerts(alertmanager, &AlertQuery::all(&matchers)).await?;
        let id = if self.dry_run { None } else { Some(save(alertmanager, &silence).await?) };
        let facts = SavedSilence {
            outcome: outcome(old.as_ref(), id.as_deref()).to_owned(),
            id: id.or(self.id),
            matchers: in_words(&silence.matchers),
            starts_at: ages::at(silence.starts_at),
            ends_at: ages::at(silence.ends_at),
            changes: old.as_ref().map(|old| changes(old, &silence)).unwrap_or_default(),
            author: silence.created_by,
            comment: silence.comment,
            mutes: alerts.len(),
            muted_already: alerts.iter().filter(|alert| alert.status.state == api::AlertState::Suppressed).count(),
            alerts: named(&alerts),
        };
        Ok(match facts.mutes {
            0 => Facts::new(facts).note(
                "No alert matches now. If it is meant for one that fires, compare the matchers with \
                 `alertmanager_list_alerts`.",
            ),
            _ => Facts::new(facts),
        })
    }
}

async fn save(alertmanager: &Alertmanager, silence: &NewSilence) -> Result<String> {
    let request = Request::post("api/v2/silences").json(silence)?;
    Ok(alertmanager.ask::<SilenceId>(request).await?.id)
}

/// What became of a silence that is new, or was there before; without an id nothing was saved.
fn outcome(old: Option<&Silence>, id: Option<&str>) -> &'static str {
    match (old, id) {
        (_, None) => "dry run: nothing was changed",
        (None, Some(_)) => "created",
        (Some(old), _) if old.status.state == SilenceState::Expired => "created anew, as the old one is over",
        (Some(old), Some(id)) if id != old.id => "changed: the old one was ended, and this one took its place",
        _ => "changed",
    }
}

impl CreateSilence {
    /// The matchers, unless they mean everything.
    fn narrow_matchers(&self) -> Result<Vec<Matcher>> {
        let matchers = matchers::parse_argument("matchers", &self.matchers)?;
        if matchers.is_empty() {
            return Err(Error::BadArguments("matchers: give at least one, for example alertname=\"Disk\"".into()));
        }
        // Every alert has a name, so an empty one cannot be meant.
        let is_wide = |matcher: &Matcher| {
            matcher.accepts("") || matcher.name == "alertname" && ANYTHING.iter().all(|name| matcher.accepts(name))
        };
        if matchers.iter().all(is_wide) {
            return Err(Error::BadArguments(format!(
                "matchers: {} would mute every alert, or all without some label; add one that names what to mute, \
                 for example alertname=\"Disk\"",
                matchers::in_words(&matchers)
            )));
        }
        Ok(matchers)
    }

    fn silence(&self, matchers: &[Matcher], old: Option<&Silence>, context: &Context) -> Result<NewSilence> {
        let (starts_at, ends_at) = self.times(old, context.now)?;
        Ok(NewSilence {
            id: self.id.clone(),
            matchers: matchers.iter().map(api::Matcher::from).collect(),
            starts_at,
            ends_at,
            created_by: context.caller.subject.clone(),
            comment: self.comment.trim().to_owned(),
            annotations: old.map(|old| old.annotations.clone()).unwrap_or_default(),
        })
    }

    /// Beginning and end.
    fn times(&self, old: Option<&Silence>, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let starts_at = match old {
            // Alertmanager changes a silence in place only where its beginning stays.
            Some(old) if self.start == Moment::NOW && old.status.state != SilenceState::Expired => old.starts_at,
            _ => self.start.when(now).max(now),
        };
        let counted_from = starts_at.max(now);
        let length = SignedDuration::try_from(self.duration.0).unwrap_or(SignedDuration::MAX);
        let ends_at = match self.end {
            Some(end) => end.when(now),
            None => counted_from.checked_add(length).unwrap_or(Timestamp::MAX),
        };
        if ends_at <= counted_from {
            return Err(Error::BadArguments(format!(
                "{}: the silence would be over before it begins ({ends_at}); for ending one use `alertmanager_expire_silence`",
                if self.end.is_some() { "end" } else { "duration" }
            )));
        }
        if ends_at.duration_since(counted_from) > SignedDuration::try_from(LONGEST.0).unwrap_or(SignedDuration::MAX) {
            return Err(Error::BadArguments(format!(
                "{}: at most {LONGEST}; what is to be quiet for longer should be changed at its alerting rule",
                if self.end.is_some() { "end" } else { "duration" }
            )));
        }
        Ok((starts_at, ends_at))
    }
}

/// What a change changes, as `name: before → after`.
fn changes(old: &Silence, new: &NewSilence) -> Vec<String> {
    let (old_matchers, new_matchers) = (in_words(&old.matchers).join(", "), in_words(&new.matchers).join(", "));
    let pairs = [
        ("matchers", old_matchers, new_matchers),
        ("starts_at", ages::at(old.starts_at), ages::at(new.starts_at)),
        ("ends_at", ages::at(old.ends_at), ages::at(new.ends_at)),
        ("author", old.created_by.clone(), new.created_by.clone()),
        ("comment", old.comment.clone(), new.comment.clone()),
    ];
    let differ = pairs.into_iter().filter(|(_, before, after)| before != after);
    differ.map(|(name, before, after)| format!("{name}: {before} → {after}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(arguments: serde_json::Value) -> CreateSilence {
        let mut all = serde_json::json!({"matchers": ["a=b"], "comment": "why"});
        all.as_object_mut().unwrap().extend(arguments.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn existing(state: &str) -> Silence {
        serde_json::from_value(serde_json::json!({
            "id": "0c1b64a5-1f0c-4d0f-8f8e-2f1e35a2b3c4", "status": {"state": state}, "createdBy": "bob", "comment": "old",
            "matchers": [{"name": "a", "value": "b", "isRegex": false, "isEqual": true}],
            "startsAt": "2026-01-02T10:00:00Z", "endsAt": "2026-01-02T12:30:00Z"
        }))
        .unwrap()
    }

    #[test]
    fn what_would_mute_everything_is_refused() {
        for matchers in [
            vec![],
            vec!["{}"],
            vec!["alertname=~\".*\""],
            vec!["alertname=~.+"],
            vec!["alertname!=\"\""],
            vec!["team=~.*"],
            vec!["team=\"\""],
            vec!["team!=x", "job!~y"],
            vec!["alertname!=Watchdog"],
            vec!["alertname=~[A-Za-z].*"],
            vec!["alertname=~.+", "team!=x"],
        ] {
            let error = silence(serde_json::json!({"matchers": matchers})).narrow_matchers().unwrap_err();
            assert!(error.to_string().starts_with("matchers: "), "{error}");
        }
        for matchers in
            [vec!["alertname=Disk"], vec!["team=~.+"], vec!["alertname=~\"Kube.*\""], vec!["alertname=~.+", "team=db"]]
        {
            assert!(silence(serde_json::json!({"matchers": matchers})).narrow_matchers().is_ok(), "{matchers:?}");
        }
    }

    #[test]
    fn a_silence_begins_and_ends_as_told() {
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        let times = |arguments, old: Option<&str>| {
            let found = silence(arguments).times(old.map(existing).as_ref(), now);
            found
                .map(|(start, end)| format!("{start} {end}").replace("2026-01-02T", ""))
                .map_err(|error| error.to_string())
        };
        let json = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
        for (arguments, old, expected) in [
            ("{}", None, "12:00:00Z 14:00:00Z"),
            (r#"{"duration": "30m"}"#, None, "12:00:00Z 12:30:00Z"),
            (r#"{"start": "now-1h"}"#, None, "12:00:00Z 14:00:00Z"),
            (r#"{"start": "now+1h"}"#, None, "13:00:00Z 15:00:00Z"),
            (r#"{"end": "now+5m"}"#, None, "12:00:00Z 12:05:00Z"),
            ("{}", Some("active"), "10:00:00Z 14:00:00Z"),
            (r#"{"start": "now+1h"}"#, Some("active"), "13:00:00Z 15:00:00Z"),
            ("{}", Some("expired"), "12:00:00Z 14:00:00Z"),
        ] {
            assert_eq!(times(json(arguments), old).unwrap(), expected, "{arguments} {old:?}");
        }
        for (arguments, expected) in [
            (r#"{"duration": "0s"}"#, "duration: the silence would be over"),
            (r#"{"end": "now-5m"}"#, "end: the silence would be over"),
            (r#"{"duration": "31d"}"#, "duration: at most 30d"),
            (r#"{"end": "now+9w"}"#, "end: at most 30d"),
        ] {
            let error = times(json(arguments), None).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
