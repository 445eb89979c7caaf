//! Which silences there are.

use std::cmp::Ordering;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{SilenceQuery, in_words, silenced_alerts, would_mute};
use crate::answers::Row;
use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool, join_equal};
use crate::tools::alertmanager::ages;
use crate::tools::alertmanager::api::{self, Labels, Silence, SilenceState};
use crate::tools::alertmanager::matchers::{self, Matcher};

/// Lists silences, or those that would mute given labels.
///
/// Use it before `alertmanager_create_silence`, to change one that is there instead of adding another.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct ListSilences {
    /// Name of the instance, several names, or `"*"` for all.
    instance: Option<Instances>,
    /// One silence, whatever its state.
    id: Option<String>,
    /// Matchers that the silence must have, for example `alertname="Disk"`; `=~` compares with the text of its matchers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    filter: Vec<String>,
    /// Only silences that would mute an alert with these labels, for example `{"alertname": "Disk", "team": "db"}`.
    alert_labels: Option<Labels>,
    /// States of silences.
    #[serde(default = "not_expired")]
    state: Vec<SilenceState>,
    /// Part of the creator's name.
    author: Option<String>,
    /// Part of the comment.
    comment: Option<String>,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<50, 500>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn not_expired() -> Vec<SilenceState> {
    vec![SilenceState::Active, SilenceState::Pending]
}

/// A silence.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct SilenceRow {
    id: String,
    state: SilenceState,
    matchers: Vec<String>,
    /// When it ends, starts, or ended, counted from now.
    when: String,
    /// Alerts that it mutes now.
    mutes: usize,
    author: String,
    comment: String,
    starts_at: String,
    ends_at: String,
}

impl Tool for ListSilences {
    const NAME: &str = "alertmanager_list_silences";
    const POLICY: Policy = Policy::read(Permission::AlertsRead).cached(10).by_default();
    const REPLACES: &[&str] =
        &["alertmanager_get_silences", "alertmanager_silences_summary", "alertmanager_silences_paginated"];
    type Backend = Alertmanager;
    type Output = Listing<SilenceRow>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Listing<SilenceRow>> {
        let filter = matchers::parse_argument("filter", &self.filter)?;
        let (silences, muted) = tokio::try_join!(self.find(alertmanager, &filter), silenced_alerts(alertmanager))?;
        let now = alertmanager.context.now;
        let rows = silences.into_iter().filter(|silence| self.wants(silence)).map(|silence| {
            let mutes = muted.iter().filter(|alert| alert.status.silenced_by.contains(&silence.id)).count();
            silence_row(silence, mutes, now)
        });
        Ok(Listing::new(rows.collect()).ordered(active_first))
    }
}

impl ListSilences {
    async fn find(&self, alertmanager: &Alertmanager, filter: &[Matcher]) -> Result<Vec<Silence>> {
        if let Some(id) = &self.id {
            return Ok(vec![api::silence(alertmanager, id).await?]);
        }
        // Before 0.34 there are no parameters for states, and unknown ones are ignored.
        let query = SilenceQuery {
            filter: filter.iter().map(ToString::to_string).collect(),
            active: self.state.contains(&SilenceState::Active),
            pending: self.state.contains(&SilenceState::Pending),
            expired: self.state.contains(&SilenceState::Expired),
        };
        alertmanager.ask(Request::get("api/v2/silences").query(&query)?).await
    }

    fn wants(&self, silence: &Silence) -> bool {
        let contains = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
        };
        (self.id.is_some() || self.state.contains(&silence.status.state))
            && contains(&silence.created_by, &self.author)
            && contains(&silence.comment, &self.comment)
            && self.alert_labels.as_ref().is_none_or(|labels| would_mute(silence, labels))
    }
}

impl FanOut for ListSilences {
    /// Members of a cluster hold the same silences.
    fn join(rows: Vec<Row>) -> Vec<Row> {
        join_equal(rows, &["id"])
    }
}

fn silence_row(silence: Silence, mutes: usize, now: Timestamp) -> SilenceRow {
    let state = silence.status.state;
    SilenceRow {
        state,
        matchers: in_words(&silence.matchers),
        when: match state {
            SilenceState::Active => format!("ends in {}", ages::between(now, silence.ends_at)),
            SilenceState::Pending => format!(
                "starts in {} for {}",
                ages::between(now, silence.starts_at),
                ages::between(silence.starts_at, silence.ends_at)
            ),
            SilenceState::Expired => format!("ended {} ago", ages::between(silence.ends_at, now)),
        },
        mutes,
        id: silence.id,
        author: silence.created_by,
        comment: silence.comment,
        starts_at: ages::at(silence.starts_at),
        ends_at: ages::at(silence.ends_at),
    }
}

/// Active, pending, expired; within those what ends next, or ended last.
fn active_first(a: &Row, b: &Row) -> Ordering {
    let text = |row: &Row, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let place = |row: &Row| ["active", "pending"].iter().position(|state| text(row, "state") == *state).unwrap_or(2);
    let by_end = text(a, "ends_at").parse::<Timestamp>().ok().cmp(&text(b, "ends_at").parse().ok());
    place(a).cmp(&place(b)).then(if place(a) == 2 { by_end.reverse() } else { by_end })
}
