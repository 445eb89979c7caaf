//! Ending a silence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{in_words, named, silenced_alerts};
use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::error::Result;
use crate::toolkit::{Facts, Permission, Policy, Tool};
use crate::tools::alertmanager::ages;
use crate::tools::alertmanager::api::{self, SilenceState};

/// Ends a silence now.
///
/// What it muted notifies again, unless something else mutes it too. With `dry_run` it only tells which alerts that are.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct ExpireSilence {
    /// Name of the instance; needed when several are configured.
    instance: Option<String>,
    /// Id of the silence, as `alertmanager_list_silences` shows it.
    id: String,
    /// Only tell what would notify again; change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A silence as it was, and what its end brings back.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct EndedSilence {
    /// What was done, or would be.
    outcome: String,
    id: String,
    matchers: Vec<String>,
    author: String,
    comment: String,
    /// How long it would have gone on.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<String>,
    /// Alerts that notify again.
    notify_again: usize,
    /// Alerts that it muted and something else mutes too.
    stay_muted: usize,
    /// The alerts that notify again, as far as they fit here.
    alerts: Vec<String>,
}

impl Tool for ExpireSilence {
    const NAME: &str = "alertmanager_expire_silence";
    const POLICY: Policy = Policy::destroy(Permission::AlertsWrite).idempotent();
    const REPLACES: &[&str] = &["alertmanager_delete_silence"];
    type Backend = Alertmanager;
    type Output = Facts<EndedSilence>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Facts<EndedSilence>> {
        let now = alertmanager.context.now;
        let (silence, muted) = tokio::try_join!(api::silence(alertmanager, &self.id), silenced_alerts(alertmanager))?;
        let is_over = silence.status.state == SilenceState::Expired;
        let (again, stay): (Vec<_>, Vec<_>) = muted
            .into_iter()
            .filter(|alert| alert.status.silenced_by.contains(&silence.id))
            .partition(|alert| alert.status.silenced_by.len() == 1 && alert.status.inhibited_by.is_empty());
        if !is_over && !self.dry_run {
            let request = Request::delete("api/v2/silence").segment(&silence.id);
            alertmanager.rest().send(request, &alertmanager.context).await?;
        }
        Ok(Facts::new(EndedSilence {
            outcome: match (is_over, self.dry_run) {
                (true, _) => format!("nothing to do: it ended {} ago", ages::between(silence.ends_at, now)),
                (false, true) => "dry run: nothing was changed".into(),
                (false, false) => "ended".into(),
            },
            remaining: (!is_over).then(|| ages::between(now, silence.ends_at)),
            id: silence.id,
            matchers: in_words(&silence.matchers),
            author: silence.created_by,
            comment: silence.comment,
            notify_again: again.len(),
            stay_muted: stay.len(),
            alerts: named(&again),
        }))
    }
}
