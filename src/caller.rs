//! Who calls, and how much they were granted.

use serde::{Deserialize, Serialize};

/// What an operation does to the systems behind this server. Each grants the ones before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Changes nothing.
    #[default]
    Read,
    /// Changes something in a way that can be undone.
    Write,
    /// Deletes, disrupts or runs commands.
    Destroy,
}

impl Effect {
    /// The word for it, as configuration and answers spell it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
        }
    }
}

/// Somebody whom one of the authentication schemes recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Who vouches for the subject: `local`, `api-key`, or an OIDC issuer.
    pub issuer: String,
    /// The name within the issuer.
    pub subject: String,
    /// The most that this caller may do.
    pub allowed: Effect,
}

impl Caller {
    /// Whoever reaches a server that has no authentication: only possible on loopback and standard input.
    #[must_use]
    pub fn local(allowed: Effect) -> Self {
        Self { issuer: "local".into(), subject: "local".into(), allowed }
    }

    /// What signatures, sessions and tasks are bound to: the same for every request of one caller.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}|{}", self.issuer, self.subject)
    }
}
