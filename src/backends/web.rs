//! Public web pages, of allow-listed hosts only.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::call::Context;

/// Which pages may be fetched.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Hosts that may be asked, with `*.` for any name below; none means that nothing can be fetched.
    pub allow: Vec<String>,
}

/// The client for all pages.
#[derive(Debug)]
pub struct Fetcher {
    allow: Vec<String>,
}

/// A handle on the public web for one call.
#[derive(Debug)]
pub struct Web {
    fetcher: Arc<Fetcher>,
    /// The circumstances of the call.
    pub context: Context,
}

impl Fetcher {
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        Ok(Self { allow: config.allow.clone() })
    }

    pub(super) fn allows_any(&self) -> bool {
        !self.allow.is_empty()
    }
}

impl Web {
    pub(super) fn new(fetcher: Arc<Fetcher>, context: Context) -> Self {
        Self { fetcher, context }
    }
}
