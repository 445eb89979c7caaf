//! What people start a conversation with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::resources::{column, metric_names};
use crate::call::Context;
use crate::error::Result;
use crate::toolkit::{Prompt, PromptEntry, Reader, instance_names, prompt, user_message};

/// All prompts.
pub(super) const PROMPTS: &[PromptEntry] =
    &[prompt::<MetricsQuestion>(), prompt::<AlertTriage>(), prompt::<AlertNoiseReview>()];

/// Find metrics, write and check PromQL, answer with numbers and doubt.
#[derive(Debug, Deserialize, JsonSchema)]
struct MetricsQuestion {
    /// The question, in words.
    question: String,
    /// Which Prometheus; the default one when absent.
    instance: Option<String>,
    /// From when on, for example now-6h.
    start: Option<String>,
}

impl Prompt for MetricsQuestion {
    const NAME: &str = "metrics_question";
    const SERVICES: &[&str] = &["prometheus"];

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let instance = self.instance.map(|name| format!(" Ask the instance `{name}`.")).unwrap_or_default();
        let start = self.start.unwrap_or_else(|| "now-1h".into());
        Ok(vec![user_message(format!(
            "Answer this from metrics: {}\n\nLook at the time since {start}.{instance}\n\
             1. Find the metrics that can tell, with `prometheus_search_metrics`; look at their type and unit.\n\
             2. Write PromQL and have it checked with `prometheus_check_query` before you trust it: a rate belongs on \
             counters, an average of quantiles means nothing.\n\
             3. Ask with `prometheus_query`, or `prometheus_query_range` where the course over time matters.\n\
             4. Answer in two or three sentences with numbers and units. Name the query, and what would make the answer \
             wrong: missing targets, gaps, a counter that was reset.",
            self.question
        ))])
    }

    async fn complete(argument: &str, typed: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        match argument {
            "instance" => Ok(instance_names("prometheus", reader.surroundings(), context)),
            "start" => Ok(times()),
            "question" => {
                // The last word may be the beginning of a metric's name.
                let (before, word) = typed.rsplit_once(' ').unwrap_or(("", typed));
                if word.len() < 3 {
                    return Ok(Vec::new());
                }
                let names = metric_names(word, reader, context).await?;
                Ok(names.into_iter().map(|name| format!("{before} {name}").trim_start().to_owned()).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// Rule, series, routing, silences: real, stale or misrouted.
#[derive(Debug, Deserialize, JsonSchema)]
struct AlertTriage {
    /// The alert's name.
    alert: String,
    /// Labels that tell it from others of the name, for example severity="page".
    labels: Option<String>,
}

impl Prompt for AlertTriage {
    const NAME: &str = "alert_triage";
    const SERVICES: &[&str] = &["alertmanager", "prometheus"];

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let labels = self.labels.map(|labels| format!(" with {labels}")).unwrap_or_default();
        Ok(vec![user_message(format!(
            "The alert {}{labels} came in. Is it real, stale or misrouted?\n\n\
             1. See it as people were told of it: `alertmanager_list_alerts`, silenced and inhibited ones too.\n\
             2. Read its rule with `prometheus_list_rules`, and run the expression with `prometheus_query`: does it hold \
             now, and by how much?\n\
             3. See its course with `prometheus_query_range` from an hour before it began.\n\
             4. See who is told with `alertmanager_get_routing` and its labels, and what mutes it with \
             `alertmanager_list_silences`.\n\
             5. Say in a few sentences: real, stale or misrouted; the evidence; the safest next step. Silence nothing \
             unless I ask for it.",
            self.alert
        ))])
    }

    async fn complete(argument: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        if argument != "alert" {
            return Ok(Vec::new());
        }
        let mut names = column("alert", "alertmanager_list_alerts", Map::new(), reader, context).await?;
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// Which alerts fire most, flap or are silenced for long; what to change.
#[derive(Debug, Deserialize, JsonSchema)]
struct AlertNoiseReview {
    /// From when on, for example now-7d.
    start: Option<String>,
    /// Only alerts of this team, as their labels name it.
    team: Option<String>,
}

impl Prompt for AlertNoiseReview {
    const NAME: &str = "alert_noise_review";
    const SERVICES: &[&str] = &["alertmanager", "prometheus"];

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let start = self.start.unwrap_or_else(|| "now-7d".into());
        let team = self.team.map(|team| format!(" of the team {team}")).unwrap_or_default();
        Ok(vec![user_message(format!(
            "Review the alerts{team} since {start}: which of them are noise?\n\n\
             1. Count how long and how often each fired, with `prometheus_query_range` on \
             `count by (alertname) (ALERTS{{alertstate=\"firing\"}})` and on `changes(ALERTS_FOR_STATE[1d])`.\n\
             2. See which are silenced, for how long and why, with `alertmanager_list_silences`.\n\
             3. Read the rules of the five noisiest with `prometheus_list_rules`.\n\
             4. Give a table: alert, times fired, hours firing, silenced, verdict (keep, longer `for`, other threshold, \
             other route, delete), one line of reason each. Change nothing."
        ))])
    }

    async fn complete(argument: &str, _: &str, _: &dyn Reader, _: &Context) -> Result<Vec<String>> {
        Ok(if argument == "start" { times() } else { Vec::new() })
    }
}

fn times() -> Vec<String> {
    ["now-1h", "now-6h", "now-1d", "now-7d"].map(str::to_owned).into()
}
