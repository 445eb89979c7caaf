//! Requests to ports of pods and services.

use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answers::redact::is_secret_key;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Request, Target, segment};
use crate::error::{Error, Result};
use crate::toolkit::args::{Limit, MaxTokens};
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Bytes of a body that are read.
const MOST_READ: usize = 1 << 20;

/// Sends one HTTP request to a pod or service port inside the cluster.
///
/// Stands for port-forwarding: the API server hands the request on. Which ports and paths may be asked is up to the
/// operator, and a refusal names them. Redirects are shown, not followed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::kubernetes) struct RequestPort {
    /// `pod/name` or `service/name`.
    target: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the pod or service.
    namespace: String,
    /// Number or name of the port.
    port: String,
    /// Path and query.
    #[serde(default = "root")]
    path: String,
    /// Reading methods only.
    #[serde(default)]
    method: Verb,
    /// Scheme spoken by the target.
    #[serde(default)]
    scheme: Scheme,
    /// Seconds to wait, at most 60.
    #[serde(default)]
    timeout_seconds: Limit<10, 60>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn root() -> String {
    "/".into()
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
enum Verb {
    #[default]
    Get,
    Head,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Scheme {
    #[default]
    Http,
    Https,
}

/// What a port answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools::kubernetes) struct Answered {
    status: u16,
    milliseconds: u64,
    headers: Map<String, Value>,
    /// The body, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Size and type of the body, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<String>,
}

impl Tool for RequestPort {
    const NAME: &str = "kubernetes_request_port";
    const POLICY: Policy = Policy::read(Permission::PodsConnect).longest(70);
    const REPLACES: &[&str] = &["kubernetes_port_forward"];
    type Backend = Kubernetes;
    type Output = Facts<Answered>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Answered>> {
        let (kind, name) = self.target()?;
        check_path(&self.path)?;
        let path = self.path.split('?').next().unwrap_or_default();
        cluster.permitted().check_port(Target { namespace: &self.namespace, kind, name, port: &self.port, path })?;
        let scheme = match self.scheme {
            Scheme::Http => "",
            Scheme::Https => "https:",
        };
        let proxy = format!(
            "/api/v1/namespaces/{}/{kind}s/{scheme}{name}:{}/proxy{}",
            segment("namespace", &self.namespace)?,
            self.port,
            self.path
        );
        let method = match self.method {
            Verb::Get => Method::GET,
            Verb::Head => Method::HEAD,
        };
        let started = Instant::now();
        let timeout = Duration::from_secs(self.timeout_seconds.get() as u64);
        let deadline = cluster.context.deadline.min(started + timeout);
        let request = Request::new(method, proxy).accept("*/*");
        let proxied = cluster.cluster().proxied(&request, MOST_READ, deadline, &cluster.context).await?;
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (body, binary) = Self::body(&proxied.body, &proxied.headers, cluster);
        let mut facts = Facts::new(Answered {
            status: proxied.status.as_u16(),
            milliseconds,
            headers: shown(&proxied.headers, cluster),
            body,
            binary,
        });
        if proxied.is_cut {
            facts = facts.note(format!("The body is longer than {} MiB; the rest was not read.", MOST_READ >> 20));
        }
        if proxied.status.is_redirection() {
            facts = facts.note("The redirect was not followed; ask for its path where that is permitted.");
        }
        Ok(facts)
    }
}

impl RequestPort {
    fn target(&self) -> Result<(&'static str, &str)> {
        let wrong = |argument: &str, value: &str, right: &str| {
            Error::BadArguments(format!("{argument}: `{}` is not {right}", value.escape_debug()))
        };
        let (kind, name) = self.target.split_once('/').unwrap_or_default();
        let kind = match kind {
            "pod" | "pods" | "po" => "pod",
            "service" | "services" | "svc" => "service",
            _ => return Err(wrong("target", &self.target, "pod/name or service/name")),
        };
        // A colon would turn one part of the address into another.
        let is_plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        };
        if !is_plain(name) || name.starts_with('.') {
            return Err(wrong("target", &self.target, "pod/name or service/name"));
        }
        if !is_plain(&self.port) || self.port.contains('.') {
            return Err(wrong("port", &self.port, "the number or name of a port"));
        }
        Ok((kind, name))
    }

    fn body(body: &[u8], headers: &HeaderMap, cluster: &Kubernetes) -> (Option<String>, Option<String>) {
        if body.is_empty() {
            return (None, None);
        }
        let text = match std::str::from_utf8(body) {
            // The cut may go through a character.
            Err(error) if error.error_len().is_none() => std::str::from_utf8(&body[..error.valid_up_to()]),
            other => other,
        };
        match text {
            Ok(text) if !text.contains('\0') => (Some(readable(text, cluster)), None),
            _ => {
                let kind = headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
                let kind = kind.unwrap_or("of unknown type");
                (None, Some(format!("{} bytes, {}", body.len(), cluster.redact_text(kind))))
            }
        }
    }
}

/// A body without secrets: those that its fields name, where it is JSON, and those that its text gives away.
fn readable(text: &str, cluster: &Kubernetes) -> String {
    if let Ok(mut value) = serde_json::from_str::<Value>(text)
        && (value.is_object() || value.is_array())
    {
        cluster.redact(&mut value);
        return value.to_string();
    }
    let mut redactor = cluster.line_redactor("a port");
    text.lines().map(|line| redactor.redact(line)).collect::<Vec<_>>().join("\n")
}

/// Headers without secrets.
fn shown(headers: &HeaderMap, cluster: &Kubernetes) -> Map<String, Value> {
    let mut shown = Map::new();
    for name in headers.keys() {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        let is_secret = is_secret_key(name.as_str()) || name.as_str().contains("cookie");
        let value = if is_secret { "hidden".to_owned() } else { cluster.redact_text(&values.join(", ")).into_owned() };
        shown.insert(name.as_str().to_owned(), value.into());
    }
    shown
}

/// Refuses a path that could mean another one to somebody on its way.
fn check_path(path: &str) -> Result<()> {
    let (way, query) = path.split_once('?').unwrap_or((path, ""));
    let is_sent_as_is =
        |byte: u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'\\' | b'"' | b'<' | b'>' | b'`');
    let lower = way.to_ascii_lowercase();
    let is_straight = way.starts_with('/')
        && !way.contains("//")
        && way.split('/').all(|part| part != "." && part != "..")
        && !["%2e", "%2f", "%5c", "%25", "%00", ";"].iter().any(|code| lower.contains(code));
    if is_straight && way.bytes().chain(query.bytes()).all(is_sent_as_is) {
        return Ok(());
    }
    Err(Error::BadArguments(format!(
        "path: `{}` cannot be sent; give a path from / on without `..`, `//` and encoded slashes, other characters than \
         letters encoded",
        path.escape_debug()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_straight_paths_are_sent() {
        for path in ["/", "/healthz", "/api/v1/query?query=up%7Ba%3D%22b%22%7D", "/a.b/..c/%C3%BC"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in
            ["", "healthz", "/../secrets", "/a/..", "/%2e%2e/x", "/a%2fb", "//x", "/a b", "/a#b", "/a\\b", "/a;b/"]
        {
            assert!(check_path(path).is_err(), "{path}");
        }
    }
}
