//! Who is calling: the first scheme that recognises a request names its caller.

mod api_key;

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use api_key::{ApiKey, NewKey};

use crate::caller::{Caller, Effect};
use crate::error::{Error, Result};

/// How callers prove who they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// API keys, as `cloud-native-mcp keys create` prints them: name, hash, allow (read, write or destroy), expires. Only
    /// the hash of each is kept.
    pub api_keys: Vec<ApiKey>,
}

/// A caller, and how long it is one.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// Who it is.
    pub caller: Arc<Caller>,
    /// When its credentials end; never when absent.
    pub until: Option<Timestamp>,
}

/// Recognises callers.
#[derive(Debug)]
pub struct Authenticator {
    keys: api_key::Keys,
    anonymous: Option<Arc<Caller>>,
}

impl Authenticator {
    /// Recognises those that the configuration names. Where it names none, everybody who gets through is the local
    /// caller, with the rights of `anonymous`: the caller must make sure that only this machine gets through.
    ///
    /// # Errors
    /// Every mistake, as path of the key and a sentence.
    pub fn new(config: &Config, anonymous: Effect) -> Result<Self, Vec<(String, String)>> {
        let keys = api_key::Keys::new(&config.api_keys)?;
        let anonymous = keys.is_empty().then(|| Arc::new(Caller::local(anonymous)));
        Ok(Self { keys, anonymous })
    }

    /// Whether callers must say who they are.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.anonymous.is_none()
    }

    /// The caller of a request. Credentials count in headers only, never in a query.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when there are none, or they are not right.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Recognised> {
        if let Some(caller) = &self.anonymous {
            return Ok(Recognised { caller: caller.clone(), until: None });
        }
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let key = bearer.or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim));
        let Some(key) = key else {
            return Err(Error::Unauthenticated(
                "say who you are: send an API key as `Authorization: Bearer …` or `X-API-Key: …`".into(),
            ));
        };
        self.keys
            .caller(key, Timestamp::now())
            .ok_or_else(|| Error::Unauthenticated("this API key is not valid: unknown, or expired".into()))
    }
}
