//! What applying would change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apply::Change;
use super::manifests;
use super::server_side::{self, Way};
use crate::backends::Kubernetes;
use crate::error::Result;
use crate::toolkit::args::{Instances, MaxTokens};
use crate::toolkit::{Facts, FanOut, Permission, Policy, Tool};

/// Shows what applying YAML would change, in one cluster or several.
///
/// Nothing is changed, yet the API server asks for the right to patch. Secret values are compared by fingerprint. Apply
/// with `kubernetes_apply`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct DiffManifests {
    /// YAML or JSON, one or many documents; at most 100 objects.
    manifests: String,
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Namespace of objects that name none.
    namespace: Option<String>,
    /// Lines around a change.
    #[serde(default = "three")]
    #[schemars(range(max = 1000))]
    context: usize,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn three() -> usize {
    super::diff::CONTEXT
}

/// What would change.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Difference {
    created: usize,
    changed: usize,
    same: usize,
    failed: usize,
    /// The objects that would change, or could not be tried.
    rows: Vec<Change>,
}

impl FanOut for DiffManifests {}

impl Tool for DiffManifests {
    const NAME: &str = "kubernetes_diff_manifests";
    const POLICY: Policy = Policy::read(Permission::ClusterRead);
    type Backend = Kubernetes;
    type Output = Facts<Difference>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Difference>> {
        let manifests = manifests::read(cluster, &self.manifests, self.namespace.as_deref(), false).await?;
        let way = Way { create_only: false, force: false, past_conflicts: true };
        let effects = server_side::try_all(cluster, &manifests, way).await?;
        let count = |outcome: &str| effects.iter().filter(|effect| effect.outcome() == outcome).count();
        let mut difference = Difference {
            created: count("created"),
            changed: count("configured"),
            same: count("unchanged"),
            failed: count("failed"),
            rows: Vec::new(),
        };
        let failed = match difference.failed {
            0 => String::new(),
            failed => format!(", {failed} refused"),
        };
        let mut text = format!(
            "{} created, {} changed, {} the same{failed}\n",
            difference.created, difference.changed, difference.same
        );
        let mut notes = Vec::new();
        for (manifest, effect) in manifests.iter().zip(&effects) {
            if effect.unchecked {
                notes.push(format!("{} was not tried, since its namespace is yet to be made.", manifest.label()));
            }
            let warnings = effect.warnings.iter().map(|warning| format!("The API server warns: {warning}"));
            notes.extend(warnings);
            let row = Change::new(manifest, effect);
            if row.is_quiet() {
                continue;
            }
            text.push_str(&format!("\n{}\n{}", row.line(), effect.diff(&manifest.label(), self.context)));
            difference.rows.push(row);
        }
        notes.sort();
        notes.dedup();
        Ok(Facts::new(difference).text(text).notes(notes))
    }
}
