//! What is asked, as bytes that are made once and sent many times.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde_json::{Value, json};

use super::connection::{Connection, Reply};

/// The part of the protocol's history that a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Era {
    /// Each request stands for itself.
    #[serde(rename = "2026-07-28")]
    Modern,
    /// Each caller has a session.
    #[serde(rename = "2025-11-25")]
    Legacy,
    /// Not the protocol at all.
    #[serde(rename = "-")]
    None,
}

impl Era {
    pub(crate) const BOTH: [Self; 2] = [Self::Modern, Self::Legacy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Modern => "2026-07-28",
            Self::Legacy => "2025-11-25",
            Self::None => "-",
        }
    }
}

/// Where an MCP server is, or the fake that it asks.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Host and port.
    pub(crate) address: String,
    path: String,
    key: Option<String>,
    /// How its certificate is checked, where it speaks TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Endpoint {
    /// The endpoint of an address such as `http://127.0.0.1:8080/mcp`.
    pub(crate) fn new(url: &str, key: Option<&str>) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let rest = rest.ok_or_else(|| format!("{url} does not begin with http://"))?;
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self { address: address.to_owned(), path: format!("/{path}"), key: key.map(str::to_owned), tls: None })
    }

    /// The endpoint over TLS, with a certificate that this authority (PEM) signed.
    pub(crate) fn trusting(self, authority: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { tls: Some(Arc::new(config)), ..self })
    }

    /// Another path of the same server.
    pub(crate) fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// A request in this place.
    pub(crate) fn request(&self, method: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
        let Self { address, path, key, .. } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
        if let Some(key) = key {
            text.push_str(&format!("Authorization: Bearer {key}\r\n"));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        format!("{text}\r\n{body}").into_bytes()
    }
}

/// What both eras accept.
pub(crate) const ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");

/// Ids have ten digits, so that the next one fits where the one before was.
const FIRST_ID: u64 = 1_000_000_000;

/// A request of one kind, before there is somebody to send it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The name of its row.
    pub(crate) name: String,
    method: &'static str,
    params: Value,
    /// A whole HTTP request instead.
    plain: Option<String>,
}

impl Call {
    /// A call of a tool.
    pub(crate) fn tool(name: &str, arguments: Value) -> Self {
        Self::method("tools/call", json!({"name": name, "arguments": arguments})).named(&format!("tools/call {name}"))
    }

    /// A call as the command line spells it: `name={…}`.
    pub(crate) fn of_tool(text: &str) -> Result<Self, String> {
        let (name, arguments) = text.split_once('=').unwrap_or((text, "{}"));
        let arguments = serde_json::from_str(arguments).map_err(|error| format!("arguments of {name}: {error}"))?;
        Ok(Self::tool(name, arguments))
    }

    /// `tools/list`.
    pub(crate) fn list() -> Self {
        Self::method("tools/list", json!({}))
    }

    /// A request with these parameters.
    pub(crate) fn method(method: &'static str, params: Value) -> Self {
        Self { name: method.into(), method, params, plain: None }
    }

    /// An HTTP request that is no call.
    pub(crate) fn plain(name: &str, request: &str) -> Self {
        Self { name: name.into(), method: "", params: Value::Null, plain: Some(request.to_owned()) }
    }

    /// The same call of a client that wants to hear of progress: it is answered by a stream.
    pub(crate) fn with_progress(mut self) -> Self {
        self.params["_meta"]["progressToken"] = "p".into();
        self
    }

    /// The same call under another name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The call as a caller sends it, within its session if it has one.
    pub(crate) fn request(&self, endpoint: &Endpoint, era: Era, session: Option<&str>) -> Request {
        if let Some(plain) = &self.plain {
            return Request { bytes: plain.clone().into_bytes(), id: None };
        }
        let mut params = self.params.clone();
        let mut headers = vec![ACCEPT, ("MCP-Protocol-Version", era.name())];
        if era == Era::Modern {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = era.name().into();
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
            headers.push(("Mcp-Method", self.method));
        }
        let name = self.params["name"].as_str();
        headers.extend(name.filter(|_| era == Era::Modern).map(|name| ("Mcp-Name", name)));
        headers.extend(session.map(|session| ("Mcp-Session-Id", session)));
        let body = json!({"jsonrpc": "2.0", "id": FIRST_ID, "method": self.method, "params": params}).to_string();
        let bytes = endpoint.request("POST", &headers, &body);
        let body_at = bytes.len() - body.len();
        let id = body.find(&FIRST_ID.to_string()).map(|place| body_at + place);
        Request { bytes, id }
    }
}

/// A request that can be sent again and again.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    /// Where the digits of its id are.
    id: Option<usize>,
}

impl Request {
    /// The request with another id than before.
    pub(crate) fn next(&mut self) -> &[u8] {
        if let Some(place) = self.id {
            for digit in self.bytes[place..place + 10].iter_mut().rev() {
                if *digit < b'9' {
                    *digit += 1;
                    break;
                }
                *digit = b'0';
            }
        }
        &self.bytes
    }
}

/// Begins a session, and returns its id: none where the server does without.
pub(crate) async fn begin(connection: &mut Connection, endpoint: &Endpoint) -> Result<Option<String>, String> {
    let params = json!({
        "protocolVersion": Era::Legacy.name(),
        "capabilities": {},
        "clientInfo": {"name": "load", "version": "1"},
    });
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).to_string();
    let reply =
        connection.send(&endpoint.request("POST", &[ACCEPT], &body)).await.map_err(|error| error.to_string())?;
    check(&reply)?;
    let session = reply.header("mcp-session-id").map(str::to_owned);
    let mut headers = vec![ACCEPT, ("MCP-Protocol-Version", Era::Legacy.name())];
    headers.extend(session.as_deref().map(|session| ("Mcp-Session-Id", session)));
    let told = endpoint.request("POST", &headers, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let reply = connection.send(&told).await.map_err(|error| error.to_string())?;
    match reply.status {
        200..300 => Ok(session),
        status => Err(format!("notifications/initialized: status {status}")),
    }
}

/// Whether a reply carries the result of a success; else what it says.
pub(crate) fn check(reply: &Reply<'_>) -> Result<(), String> {
    let body = std::str::from_utf8(reply.body).map_err(|_| "the body is no text".to_owned())?;
    let result = ["\"result\":{", "\"result\": {", "\"status\":\"success\"", "\"kind\":\"Table\""]
        .iter()
        .any(|mark| body.contains(mark));
    if reply.status == 200 && result && !body.contains("\"isError\":true") && !body.contains("\"isError\": true") {
        return Ok(());
    }
    Err(format!("status {}: {}", reply.status, body.chars().take(300).collect::<String>()))
}
