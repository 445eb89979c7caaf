//! Claims of storage, and its classes.

use serde::Deserialize;

use super::{Metadata, Object};

pub(in super::super) type Claim = Object<ClaimSpec, ClaimStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct ClaimSpec {
    pub(in super::super) storage_class_name: Option<String>,
    pub(in super::super) volume_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct ClaimStatus {
    pub(in super::super) phase: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct StorageClass {
    pub(in super::super) metadata: Metadata,
    pub(in super::super) volume_binding_mode: String,
}
