//! Horizontal autoscalers.

use super::super::trouble::{Severity, Trouble, shortened};
use crate::tools::kubernetes::model::{Autoscaler, condition};

/// What is wrong with an autoscaler.
pub(in super::super) fn autoscaler(autoscaler: &Autoscaler) -> Option<Trouble> {
    let conditions = &autoscaler.status.conditions;
    for (kind, next) in [
        ("AbleToScale", "see whether its scaleTargetRef exists"),
        ("ScalingActive", "see whether its metrics are served, and its containers have requests"),
    ] {
        let failed = condition::find(conditions, kind).filter(|found| found.status == "False");
        // Who scales to zero has switched it off.
        if let Some(failed) = failed.filter(|found| found.reason != "ScalingDisabled") {
            return Some(Trouble {
                severity: Severity::Warning,
                problem: "AutoscalerInactive".into(),
                since: failed.last_transition_time,
                what: format!("{}: {}", failed.reason, shortened(&failed.message, 200)),
                evidence: format!("status.conditions[{kind}].reason: {}", failed.reason),
                next: next.into(),
            });
        }
    }
    let limited = condition::find(conditions, "ScalingLimited")
        .filter(|found| found.status == "True" && found.reason == "TooManyReplicas")?;
    let most = autoscaler.spec.max_replicas;
    (autoscaler.status.current_replicas >= most).then(|| Trouble {
        severity: Severity::Warning,
        problem: "AutoscalerAtMaximum".into(),
        since: limited.last_transition_time,
        what: format!("wants more than its {most} pods"),
        evidence: "status.conditions[ScalingLimited].reason: TooManyReplicas".into(),
        next: "raise maxReplicas, or make the pods do more".into(),
    })
}
