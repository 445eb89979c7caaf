//! Jobs and CronJobs.

use super::super::trouble::{Severity, Trouble, shortened};
use crate::tools::ages::at;
use crate::tools::kubernetes::model::{CronJob, Job, condition};

/// What is wrong with a Job.
pub(in super::super) fn job(job: &Job) -> Option<Trouble> {
    let status = &job.status;
    if let Some(failed) = condition::find(&status.conditions, "Failed").filter(|found| found.status == "True") {
        return Some(Trouble {
            severity: Severity::Critical,
            problem: "JobFailed".into(),
            since: failed.last_transition_time,
            what: format!("{}: {}", failed.reason, shortened(&failed.message, 160)),
            evidence: format!("status.conditions[Failed].reason: {}", failed.reason),
            next: "read the log of its last pod with `kubernetes_get_pod_logs`".into(),
        });
    }
    let is_done = condition::find(&status.conditions, "Complete").is_some_and(|found| found.status == "True");
    (!is_done && !job.spec.suspend && status.failed > 0 && status.succeeded == 0).then(|| Trouble {
        severity: Severity::Warning,
        problem: "JobRetrying".into(),
        since: status.start_time,
        what: format!(
            "{} of its pods failed; it gives up after {}",
            status.failed,
            job.spec.backoff_limit.unwrap_or(6)
        ),
        evidence: format!("status.failed: {}, status.active: {}", status.failed, status.active),
        next: "read the log of its last pod with `kubernetes_get_pod_logs`".into(),
    })
}

/// What is wrong with a CronJob: its last run did not succeed.
pub(in super::super) fn cron_job(cron_job: &CronJob) -> Option<Trouble> {
    let status = &cron_job.status;
    let scheduled = status.last_schedule_time?;
    let has_succeeded = status.last_successful_time.is_some_and(|succeeded| succeeded >= scheduled);
    if cron_job.spec.suspend || has_succeeded || !status.active.is_empty() {
        return None;
    }
    let succeeded = status.last_successful_time.map_or_else(|| "never".into(), at);
    Some(Trouble {
        severity: Severity::Warning,
        problem: "LastRunFailed".into(),
        since: Some(scheduled),
        what: format!("the run of {} did not succeed; the last that did: {succeeded}", at(scheduled)),
        evidence: format!("status.lastScheduleTime: {}, status.lastSuccessfulTime: {succeeded}", at(scheduled)),
        next: "diagnose its last Job".into(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cron_job_is_judged_by_its_last_run() {
        let problem = |status: serde_json::Value| {
            cron_job(&serde_json::from_value(json!({"status": status})).unwrap()).map(|trouble| trouble.problem)
        };
        let (one, two) = ("2026-01-02T03:00:00Z", "2026-01-02T03:05:00Z");
        assert_eq!(problem(json!({})), None);
        assert_eq!(problem(json!({"lastScheduleTime": one, "lastSuccessfulTime": two})), None);
        assert_eq!(problem(json!({"lastScheduleTime": one, "active": [{}]})), None);
        assert_eq!(problem(json!({"lastScheduleTime": two, "lastSuccessfulTime": one})), Some("LastRunFailed".into()));
    }
}
