//! Claims of storage.

use super::super::trouble::{Severity, Trouble};
use crate::tools::kubernetes::model::{Claim, StorageClass};

/// What is wrong with a claim. `classes` are all storage classes, where they may be read.
///
/// A claim that waits for its first pod, and has none, is no trouble.
pub(in super::super) fn claim(claim: &Claim, classes: Option<&[StorageClass]>) -> Option<Trouble> {
    let trouble = |severity, problem: &str, what: String, evidence: String, next: &str| {
        let since = claim.metadata.creation_timestamp;
        Some(Trouble { severity, problem: problem.into(), since, what, evidence, next: next.into() })
    };
    if claim.status.phase == "Lost" {
        return trouble(
            Severity::Critical,
            "ClaimLost",
            format!("its volume {} is gone", claim.spec.volume_name),
            "status.phase: Lost".into(),
            "restore the volume, or the data from a backup into a new claim",
        );
    }
    if claim.status.phase != "Pending" {
        return None;
    }
    let Some(name) = claim.spec.storage_class_name.as_deref().filter(|name| !name.is_empty()) else {
        return trouble(
            Severity::Critical,
            "ClaimPending",
            "names no storage class, and no volume fits".into(),
            "status.phase: Pending, spec.storageClassName: none".into(),
            "name a storage class, or make a default one or a fitting volume",
        );
    };
    let class = classes.map(|classes| classes.iter().find(|class| class.metadata.name == name));
    match class {
        Some(None) => {
            let mut known: Vec<_> =
                classes.into_iter().flatten().map(|class| format!("`{}`", class.metadata.name)).collect();
            known.truncate(8);
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            trouble(
                Severity::Critical,
                "ClaimPending",
                format!("the storage class `{name}` does not exist; there are: {known}"),
                format!("status.phase: Pending, spec.storageClassName: {name}"),
                "create the class, or make the claim again with one that exists",
            )
        }
        Some(Some(class))
            if class.volume_binding_mode == "WaitForFirstConsumer"
                && claim.metadata.annotations.selected_node.is_none() =>
        {
            None
        }
        _ => trouble(
            Severity::Critical,
            "ClaimPending",
            format!("the storage class `{name}` has not provided a volume"),
            "status.phase: Pending".into(),
            "see its events for what the provisioner says",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_may_wait_for_its_first_pod() {
        let class = json!({"metadata": {"name": "local"}, "volumeBindingMode": "WaitForFirstConsumer"});
        let classes: Vec<StorageClass> = vec![serde_json::from_value(class).unwrap()];
        let judged = |name: &str, annotations: serde_json::Value| {
            let object = json!({
                "metadata": {"annotations": annotations},
                "spec": {"storageClassName": name}, "status": {"phase": "Pending"}
            });
            claim(&serde_json::from_value(object).unwrap(), Some(&classes)).map(|trouble| trouble.what)
        };
        assert_eq!(judged("local", json!({})), None);
        assert!(judged("local", json!({"volume.kubernetes.io/selected-node": "a"})).unwrap().contains("not provided"));
        assert_eq!(judged("fast", json!({})).unwrap(), "the storage class `fast` does not exist; there are: `local`");
    }
}
