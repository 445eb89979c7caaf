//! How an instance is reached: address, credentials, certificates, bounds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: u64,
    /// Seconds to connect.
    #[schemars(range(min = 1, max = 86_400))]
    pub connect_timeout_seconds: u64,
    /// Retries of a read that failed on the way.
    #[schemars(range(max = 100))]
    pub retries: u32,
    /// Calls at the same time; more wait.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub most_concurrent: usize,
    /// Bytes of one answer, after decompression.
    #[schemars(range(min = 1))]
    pub most_bytes: usize,
    /// Failures in a row after which the instance is left alone for a while.
    #[schemars(range(min = 1))]
    pub breaker_failures: u32,
    /// Seconds that it is left alone.
    #[schemars(range(max = 86_400))]
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

/// Mistakes: the key within the instance, and a sentence.
pub(super) type Mistakes = Vec<(String, String)>;

/// What a client is made of.
pub(super) struct Parts {
    pub(super) base: Url,
    pub(super) headers: HeaderMap,
    pub(super) client: reqwest::Client,
}

impl Config {
    /// What a client is made of.
    ///
    /// # Errors
    /// Every mistake.
    pub(super) fn parts(&self) -> Result<Parts, Mistakes> {
        let mut mistakes = Mistakes::new();
        let base = self.base().map_err(|message| mistakes.push(("url".into(), message))).ok();
        let headers = self.all_headers(&mut mistakes);
        let client = self.client(&mut mistakes);
        match (base, client) {
            (Some(base), Some(client)) if mistakes.is_empty() => Ok(Parts { base, headers, client }),
            _ => Err(mistakes),
        }
    }

    fn base(&self) -> Result<Url, String> {
        const EXAMPLE: &str = "write it as https://prometheus.example.org or http://10.1.2.3:9090/prefix";
        if self.url.is_empty() {
            return Err(format!("is missing; {EXAMPLE}"));
        }
        let url = Url::parse(&self.url).map_err(|error| match self.url.rsplit_once('@') {
            // What stands before it may be a password.
            Some((_, host)) => format!("`…@{host}` is not an address ({error}); {EXAMPLE}"),
            None => format!("`{}` is not an address ({error}); {EXAMPLE}", self.url),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has credentials in it; set `username` and `password` instead".into());
        }
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("`{url}` does not begin with http:// or https:// and a host; {EXAMPLE}"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("has a query or a fragment, which no request keeps; {EXAMPLE}"));
        }
        Ok(url)
    }

    fn all_headers(&self, mistakes: &mut Mistakes) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            match (HeaderName::try_from(name), hidden(value.reveal())) {
                (Ok(name), Some(value)) => {
                    headers.insert(name, value);
                }
                (Err(_), _) => mistakes.push((
                    format!("headers.{name}"),
                    format!("`{}` is not the name of a header; write it as X-Scope-OrgID", name.escape_debug()),
                )),
                (Ok(_), None) => mistakes.push((
                    format!("headers.{name}"),
                    "has characters that no header can carry, such as a line break".into(),
                )),
            }
        }
        let (key, authorization) = match (self.token.is_empty(), self.username.is_empty()) {
            (false, false) => {
                mistakes.push(("token".into(), "give either `token` or `username` and `password`".into()));
                return headers;
            }
            (false, true) => ("token", format!("Bearer {}", self.token.reveal())),
            (true, false) => ("password", format!("Basic {}", self.basic())),
            (true, true) => {
                if !self.password.is_empty() {
                    mistakes.push(("username".into(), "is missing, and `password` is there".into()));
                }
                return headers;
            }
        };
        match hidden(&authorization) {
            Some(value) => {
                headers.insert(AUTHORIZATION, value);
            }
            None => mistakes.push((key.into(), "has characters that no header can carry, such as a line break".into())),
        }
        headers
    }

    /// User name and password as basic authentication sends them (RFC 7617 §2).
    fn basic(&self) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.username, self.password.reveal());
        base64::engine::general_purpose::STANDARD.encode(pair)
    }

    /// Credentials as they are written, and as they are sent.
    pub(super) fn secrets(&self) -> Vec<String> {
        let values = [&self.password, &self.token].into_iter().chain(self.headers.values());
        let mut secrets: Vec<String> = values.map(|value| value.reveal().to_owned()).collect();
        if !self.username.is_empty() {
            secrets.push(self.basic());
        }
        // A tenant named `a` is no secret, and hiding it would leave nothing to read.
        secrets.retain(|secret| secret.len() >= 6);
        secrets
    }

    fn client(&self, mistakes: &mut Mistakes) -> Option<reqwest::Client> {
        let mut builder = client_builder(Duration::from_secs(self.connect_timeout_seconds))
            .pool_max_idle_per_host(self.most_concurrent)
            .tls_danger_accept_invalid_certs(self.insecure_skip_verify);
        let mut wrong = |key: &str, message: String| mistakes.push((key.to_owned(), message));
        if let Some(file) = &self.ca_file {
            match read(file).map(|pem| reqwest::Certificate::from_pem_bundle(&pem)) {
                Ok(Ok(certificates)) if !certificates.is_empty() => builder = builder.tls_certs_merge(certificates),
                Ok(_) => wrong("ca_file", format!("{} holds no PEM certificates", file.display())),
                Err(message) => wrong("ca_file", message),
            }
        }
        if let Some(file) = &self.client_certificate_file {
            match read(file).map(|pem| reqwest::Identity::from_pem(&pem)) {
                Ok(Ok(identity)) => builder = builder.identity(identity),
                Ok(Err(_)) => wrong(
                    "client_certificate_file",
                    format!("{} does not hold a PEM certificate and its key", file.display()),
                ),
                Err(message) => wrong("client_certificate_file", message),
            }
        }
        builder.build().map_err(|error| wrong("url", format!("no client can be made: {}", innermost(&error)))).ok()
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
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
