//! A marked alert that takes the real way, because Alertmanager has no other test of a receiver.

use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ages;
use super::api::{Labels, NewAlert};
use super::configuration::{self, Configuration};
use super::labels::{leading_to, way};
use super::routes::Path;
use super::silences::silences_for;
use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::error::{Error, Result};
use crate::toolkit::args::Span;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// The longest test.
const LONGEST: Span = Span::seconds(1_800);

/// The name of a test alert, unless a route asks for another.
const NAME: &str = "CloudNativeMcpTest";

/// Sends a marked, short-lived alert to test a route end to end.
///
/// Real people may be notified: `dry_run` shows whom first. The alert is labelled `test="true"`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SendTestAlert {
    /// Name of the instance; needed when several are configured.
    instance: Option<String>,
    /// Receiver to reach: labels that lead to it are worked out. Give it or `labels`.
    receiver: Option<String>,
    /// Labels to route, for example `{"severity": "page"}`. With `receiver` they stay as they are, and others are added.
    labels: Option<Labels>,
    /// Text of the notification.
    summary: Option<String>,
    /// How long it fires, at most 30m; it ends by itself.
    #[serde(default = "five_minutes")]
    duration: Span,
    /// Only tell the way it would take; send nothing.
    #[serde(default)]
    dry_run: bool,
    /// Plan id of a dry run to carry out.
    plan: Option<String>,
}

fn five_minutes() -> Span {
    Span::seconds(300)
}

/// A test alert and its way.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TestAlert {
    /// What was done, or would be.
    outcome: String,
    labels: Labels,
    summary: String,
    /// Who is told, and by which way.
    reaches: Vec<Reached>,
    ends_at: String,
}

/// Somebody who is told.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Reached {
    /// The receiver, with its integrations.
    receiver: String,
    /// The routes that lead there.
    way: String,
    /// How long Alertmanager waits for more alerts before it tells.
    after: String,
}

impl Tool for SendTestAlert {
    const NAME: &str = "alertmanager_send_test_alert";
    const POLICY: Policy = Policy::write(Permission::AlertsWrite);
    const REPLACES: &[&str] = &["alertmanager_test_receiver"];
    type Backend = Alertmanager;
    type Output = Facts<TestAlert>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Facts<TestAlert>> {
        if self.duration > LONGEST || self.duration.0 < Duration::from_secs(1) {
            return Err(Error::BadArguments(format!("duration: from 1s to {LONGEST}")));
        }
        let configuration = configuration::of(alertmanager).await?;
        let labels = self.labels(&configuration)?;
        let paths = configuration.root.paths(&labels);
        self.check_duration(&paths)?;

        let now = alertmanager.context.now;
        let length = SignedDuration::try_from(self.duration.0).unwrap_or_default();
        let ends_at = now.checked_add(length).map_err(Error::internal)?;
        let summary = self.summary.clone().unwrap_or_else(|| {
            format!(
                "Test of this route by {}. Nothing is wrong; no action is needed.",
                alertmanager.context.caller.subject
            )
        });
        let silences = silences_for(alertmanager, &labels).await?;
        if !self.dry_run {
            let annotations = [("summary".to_owned(), summary.clone())].into();
            let alert = NewAlert { labels: labels.clone(), annotations, starts_at: now, ends_at };
            let request = Request::post("api/v2/alerts").json(&[alert])?;
            alertmanager.rest().send(request, &alertmanager.context).await?;
        }
        let mut answer = Facts::new(TestAlert {
            outcome: if self.dry_run { "dry run: nothing was sent" } else { "sent" }.into(),
            reaches: paths.iter().map(|path| reached(&configuration, path)).collect(),
            labels: labels.clone(),
            summary,
            ends_at: ages::at(ends_at),
        });
        for silence in silences {
            answer = answer.note(format!(
                "Nobody will be told: silence {} mutes it for {} more.",
                silence.id,
                ages::between(now, silence.ends_at)
            ));
        }
        for rule in configuration.inhibit_rules.iter().filter(|rule| rule.may_mute(&labels)) {
            answer = answer.note(format!("It is muted if another alert fires by this rule: {}.", rule.in_words()));
        }
        for settings in paths.iter().filter_map(|path| path.last()).map(|route| &route.settings) {
            let (mute, active) = (&settings.mute_time_intervals, &settings.active_time_intervals);
            if !mute.is_empty() || !active.is_empty() {
                let remarks = settings.remarks(Some(settings)).join(", ");
                answer = answer.note(format!("{} may not be told now: its route is {remarks}.", settings.receiver));
            }
        }
        Ok(answer)
    }
}

impl SendTestAlert {
    /// The labels to send: those given, those that lead to the receiver, and the marks of a test.
    fn labels(&self, configuration: &Configuration) -> Result<Labels> {
        let marks: Labels = [("alertname".to_owned(), NAME.to_owned()), ("test".to_owned(), "true".to_owned())].into();
        let given = self.labels.clone().unwrap_or_default();
        let Some(receiver) = &self.receiver else {
            if given.is_empty() {
                return Err(Error::BadArguments(
                    "give `receiver` or `labels`; `alertmanager_get_routing` shows receivers and routes".into(),
                ));
            }
            let mut labels = marks;
            labels.extend(given);
            return Ok(labels);
        };
        if !configuration.receivers.iter().any(|known| known.name == *receiver) {
            let names: Vec<_> = configuration.receivers.iter().map(|known| known.name.as_str()).collect();
            return Err(Error::NotFound(format!(
                "receiver: there is no `{}`; configured: {}",
                receiver.escape_debug(),
                names.join(", ")
            )));
        }
        leading_to(&configuration.root, receiver, &given, &marks).map_err(|reason| {
            Error::BadArguments(format!(
                "receiver: no alert can be made that reaches `{receiver}`: {reason}. `alertmanager_get_routing` shows the routes"
            ))
        })
    }

    /// An alert that is over before its group is told of is never told of.
    fn check_duration(&self, paths: &[Path<'_>]) -> Result<()> {
        let waits = paths.iter().filter_map(|path| path.last()?.settings.group_wait.parse::<Span>().ok());
        match waits.min() {
            Some(wait) if self.duration <= wait => Err(Error::BadArguments(format!(
                "duration: {} is over before anybody is told; the route waits {wait}, so give more than that",
                self.duration
            ))),
            _ => Ok(()),
        }
    }
}

fn reached(configuration: &Configuration, path: &Path<'_>) -> Reached {
    let settings = path.last().map(|route| &route.settings);
    Reached {
        receiver: settings.map(|settings| configuration.describe(&settings.receiver)).unwrap_or_default(),
        way: way(path),
        after: settings.map(|settings| settings.group_wait.clone()).unwrap_or_default(),
    }
}
