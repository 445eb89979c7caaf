//! Silences: muting alerts for a while.

mod create;
mod expire;
mod list;

use serde::Serialize;

use super::alerts::one_line;
use super::api::{self, AlertQuery, Labels, Silence, SilenceState};
use super::matchers::Matcher;
use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::error::Result;
use crate::toolkit::{Entry, fan_out, tool};

/// The tools about silences.
pub(super) const TOOLS: &[Entry] =
    &[fan_out::<list::ListSilences>(), tool::<create::CreateSilence>(), tool::<expire::ExpireSilence>()];

/// Alerts that an answer names.
const NAMED_ALERTS: usize = 20;

#[derive(Serialize)]
struct SilenceQuery {
    filter: Vec<String>,
    active: bool,
    pending: bool,
    expired: bool,
}

/// Whether a silence means an alert with these labels.
pub(super) fn would_mute(silence: &Silence, labels: &Labels) -> bool {
    silence.matchers.iter().all(|matcher| Matcher::from(matcher).matches(labels))
}

/// The silences that are not over and mean an alert with these labels.
pub(super) async fn silences_for(alertmanager: &Alertmanager, labels: &Labels) -> Result<Vec<Silence>> {
    let query = SilenceQuery { filter: Vec::new(), active: true, pending: false, expired: false };
    let mut silences: Vec<Silence> = alertmanager.ask(Request::get("api/v2/silences").query(&query)?).await?;
    silences.retain(|silence| silence.status.state == SilenceState::Active && would_mute(silence, labels));
    Ok(silences)
}

async fn silenced_alerts(alertmanager: &Alertmanager) -> Result<Vec<api::Alert>> {
    api::alerts(alertmanager, &AlertQuery { active: false, ..AlertQuery::all(&[]) }).await
}

fn in_words(matchers: &[api::Matcher]) -> Vec<String> {
    matchers.iter().map(|matcher| Matcher::from(matcher).to_string()).collect()
}

/// Alerts in a line each, as many as an answer names.
fn named(alerts: &[api::Alert]) -> Vec<String> {
    let mut lines: Vec<_> = alerts.iter().take(NAMED_ALERTS).map(one_line).collect();
    if alerts.len() > NAMED_ALERTS {
        lines.push(format!("and {} more", alerts.len() - NAMED_ALERTS));
    }
    lines
}
