//! A small client of this server's own protocol, for the command line.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value, json};

use crate::backends::rest;
use crate::mcp::{Revision, meta};

/// A server elsewhere.
#[derive(Debug)]
pub struct Remote {
    url: url::Url,
    key: Option<String>,
    client: reqwest::Client,
}

impl Remote {
    /// The server at this endpoint, called with this API key.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the address.
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, String> {
        let url = url::Url::parse(url).map_err(|error| format!("--url: `{url}` is not an address: {error}"))?;
        let client = rest::client_builder(Duration::from_secs(5)).build().map_err(|error| format!("--url: {error}"))?;
        Ok(Self { url, key: key.map(str::to_owned), client })
    }

    /// Calls a tool and returns its result.
    ///
    /// # Errors
    /// A sentence: the server cannot be reached, or refuses.
    pub async fn call(&self, tool: &str, arguments: &Map<String, Value>, patience: Duration) -> Result<Value, String> {
        let revision = Revision::V2026_07_28.name();
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": tool,
            "arguments": arguments,
            "_meta": { meta::PROTOCOL_VERSION: revision, meta::CLIENT_CAPABILITIES: {} },
        }});
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(patience)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header("MCP-Protocol-Version", revision)
            .header("Mcp-Method", "tools/call")
            .header("Mcp-Name", tool)
            .body(body.to_string());
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let response = request.send().await.map_err(|error| format!("{} cannot be reached: {error}", self.url))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| format!("{} broke off: {error}", self.url))?;
        let answer = last_message(&text)
            .ok_or_else(|| format!("{} answered {status}, and not as an MCP server does", self.url))?;
        match answer.get("error") {
            Some(error) => Err(error.get("message").and_then(Value::as_str).unwrap_or("it failed").to_owned()),
            None => Ok(answer.get("result").cloned().unwrap_or_default()),
        }
    }
}

/// The response in a JSON body, or at the end of an event stream.
fn last_message(text: &str) -> Option<Value> {
    if let Ok(message) = serde_json::from_str(text) {
        return Some(message);
    }
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    events.filter_map(|data| serde_json::from_str(data.trim()).ok()).next_back()
}
