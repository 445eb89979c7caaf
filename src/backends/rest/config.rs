//! How an instance is reached: address, credentials, certificates, bounds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

use super::innermost;
use crate::secrets::Secret;

/// How to reach one instance of a backend.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Base address, `http://` or `https://`, with a path prefix where there is one.
    pub url: String,
    /// User name of HTTP basic authentication.
    pub username: String,
    /// Password of HTTP basic authentication.
    pub password: Secret,
    /// Bearer token.
    pub token: Secret,
    /// More headers for every request, for example `X-Scope-OrgID`.
    pub headers: BTreeMap<String, Secret>,
    /// File with the PEM certificates of the authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// File with the PEM client certificate and its key.
    pub client_certificate_file: Option<PathBuf>,
    /// Accept any certificate. Only for tests: whoever is on the way can read and change everything.
    pub insecure_skip_verify: bool,
    /// Seconds for one call of a tool, retries included.
    pub timeout_seconds: u64,
    /// Seconds to connect.
    pub connect_timeout_seconds: u64,
    /// Retries of a read that failed on the way.
    pub retries: u32,
    /// Calls at the same time; more wait.
    pub most_concurrent: usize,
    /// Bytes of one answer, after decompression.
    pub most_bytes: usize,
    /// Failures in a row after which the instance is left alone for a while.
    pub breaker_failures: u32,
    /// Seconds that it is left alone.
    pub breaker_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: String::new(),
            password: Secret::default(),
            token: Secret::default(),
            headers: BTreeMap::new(),
            ca_file: None,
            client_certificate_file: None,
            insecure_skip_verify: false,
            timeout_seconds: 30,
            connect_timeout_seconds: 5,
            retries: 2,
            most_concurrent: 64,
            most_bytes: 32 * 1024 * 1024,
            breaker_failures: 5,
            breaker_seconds: 10,
        }
    }
}

impl Config {
    pub(super) fn base(&self) -> Result<Url, String> {
        let wrong = |what: &str| format!("url: `{}` {what}", self.url);
        let url = Url::parse(&self.url).map_err(|error| wrong(&format!("is not an address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("does not begin with http:// or https:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("url: has credentials in it; set `username` and `password` instead".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment"));
        }
        Ok(url)
    }

    pub(super) fn all_headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|_| format!("headers.{name}: not a header name"))?;
            headers.insert(name.clone(), hidden(value.reveal()).ok_or(format!("headers.{name}: not a header value"))?);
        }
        let authorization = match (self.token.is_empty(), self.username.is_empty()) {
            (false, false) => return Err("token: give either `token` or `username` and `password`".into()),
            (false, true) => format!("Bearer {}", self.token.reveal()),
            (true, false) => {
                use base64::Engine as _;
                let pair = format!("{}:{}", self.username, self.password.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            (true, true) => return Ok(headers),
        };
        headers.insert(AUTHORIZATION, hidden(&authorization).ok_or("token: has characters that no header can carry")?);
        Ok(headers)
    }

    /// Credentials as they are written, and as they are sent.
    pub(super) fn secrets(&self) -> Vec<String> {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.username, self.password.reveal());
        let values = [&self.password, &self.token].into_iter().chain(self.headers.values());
        let mut secrets: Vec<String> = values.map(|value| value.reveal().to_owned()).collect();
        secrets.push(if self.username.is_empty() {
            String::new()
        } else {
            base64::engine::general_purpose::STANDARD.encode(pair)
        });
        // A tenant named `a` is no secret, and hiding it would leave nothing to read.
        secrets.retain(|secret| secret.len() >= 6);
        secrets
    }

    pub(super) fn client(&self) -> Result<reqwest::Client, String> {
        let read = |key: &str, file: &PathBuf| {
            std::fs::read(file).map_err(|error| format!("{key}: cannot read {}: {error}", file.display()))
        };
        let mut builder = client_builder(Duration::from_secs(self.connect_timeout_seconds))
            .pool_max_idle_per_host(self.most_concurrent)
            .tls_danger_accept_invalid_certs(self.insecure_skip_verify);
        if let Some(file) = &self.ca_file {
            let certificates = reqwest::Certificate::from_pem_bundle(&read("ca_file", file)?)
                .map_err(|_| format!("ca_file: {} holds no PEM certificates", file.display()))?;
            if certificates.is_empty() {
                return Err(format!("ca_file: {} holds no PEM certificates", file.display()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(file) = &self.client_certificate_file {
            let identity = reqwest::Identity::from_pem(&read("client_certificate_file", file)?).map_err(|_| {
                format!("client_certificate_file: {} does not hold a PEM certificate and its key", file.display())
            })?;
            builder = builder.identity(identity);
        }
        builder.build().map_err(|error| format!("url: no client can be made: {}", innermost(&error)))
    }
}

/// The one place where HTTP clients are made: no redirects, no proxies of the environment, no Nagle delay.
#[expect(clippy::disallowed_methods, reason = "the door that the lint points to")]
pub fn client_builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    // The process has one provider of cryptography; whoever comes second finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("cloud-native-mcp/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(Duration::from_secs(60))
}

fn hidden(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
