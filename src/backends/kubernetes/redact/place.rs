//! Where a secret stands. Fingerprints go by it, so that a guess at one place is not compared with a secret at another.

use serde_json::Value;

use crate::secrets::Signer;

/// A place in an object, or in a text of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    signer: &'a Signer,
    within: Option<&'a Place<'a>>,
    step: &'a str,
    /// Among those with the same step.
    number: usize,
}

impl<'a> Place<'a> {
    /// Anywhere.
    pub(super) fn nowhere(signer: &'a Signer) -> Self {
        Self { signer, within: None, step: "", number: 0 }
    }

    /// An object by its name, wherever it is listed.
    pub(super) fn object(&self, name: &'a str) -> Self {
        Self { signer: self.signer, within: None, step: name, number: 0 }
    }

    /// A field, or one of several things of the same name.
    pub(super) fn at(&'a self, step: &'a str, number: usize) -> Self {
        Self { signer: self.signer, within: Some(self), step, number }
    }

    /// What stands here in place of a secret.
    pub(super) fn fingerprint(&self, text: &str) -> String {
        let mut steps = Vec::new();
        let mut place = Some(self);
        while let Some(one) = place {
            steps.push(if one.number == 0 { one.step.to_owned() } else { format!("{}#{}", one.step, one.number) });
            place = one.within;
        }
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        format!("hidden-{}", self.signer.fingerprint_at(&steps, text))
    }
}

/// Namespace and name, where a value is an object of a cluster.
pub(super) fn identity(map: &serde_json::Map<String, Value>) -> Option<String> {
    let metadata = map.get("metadata")?;
    let name = metadata.get("name")?.as_str()?;
    Some(format!("{}/{name}", metadata.get("namespace").and_then(Value::as_str).unwrap_or_default()))
}
