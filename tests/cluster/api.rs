//! The Kubernetes API over plain HTTP, to put things into a cluster and to see what became of them.

use std::time::Duration;

use cloud_native_mcp::backends::rest;
use cloud_native_mcp::yaml;
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// How long anything may take, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The API of one server, as one identity.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    token: String,
    client: Client,
}

impl Api {
    /// The API at this address, whose certificate this authority signed.
    ///
    /// A client belongs to the runtime that made it: each test makes its own.
    pub(super) fn new(base: &str, authority: &str, token: &str) -> Result<Self, String> {
        let certificate = Certificate::from_pem(authority.as_bytes()).map_err(|error| error.to_string())?;
        // Upgraded connections exist in HTTP/1.1 only.
        let builder = rest::client_builder(Duration::from_secs(5)).tls_certs_only([certificate]).http1_only();
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { base: base.to_owned(), token: token.to_owned(), client })
    }

    /// A request to a path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token).timeout(PATIENCE)
    }

    /// What is at a path.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        read(self.request(Method::GET, path)).await.map_err(|(_, message)| message)
    }

    /// Makes a namespace whose name begins like this and is its own; pods can be created in it.
    pub async fn namespace(&self, prefix: &str) -> Result<String, String> {
        let body = json!({"metadata": {"generateName": format!("{prefix}-")}});
        let made = read(self.request(Method::POST, "/api/v1/namespaces").json(&body)).await;
        let made = made.map_err(|(_, message)| message)?;
        let name = made["metadata"]["name"].as_str().ok_or("a namespace without a name")?.to_owned();
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        self.until(&account, |found| found["metadata"]["uid"].is_string()).await?;
        Ok(name)
    }

    /// Applies YAML documents; what belongs into a namespace and names none goes into this one.
    pub async fn apply(&self, namespace: &str, documents: &str) -> Result<(), String> {
        for document in documents.split("\n---\n").filter(|document| !document.trim().is_empty()) {
            let (object, _) = yaml::parse(document)?;
            let path = self.path(namespace, &object).await?;
            let query = "fieldManager=tests&force=true";
            eventually(&path, async || {
                let request = self
                    .request(Method::PATCH, &format!("{path}?{query}"))
                    .header("Content-Type", "application/apply-patch+yaml")
                    .body(document.to_owned());
                match read(request).await {
                    // A kind that was defined a moment ago is listed before it is served.
                    Err((StatusCode::NOT_FOUND, message)) => Err(message),
                    other => Ok(other.map_err(|(_, message)| message)),
                }
            })
            .await??;
        }
        Ok(())
    }

    /// Waits until what is at a path is as wanted, and returns it.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value, String> {
        eventually(path, async || {
            let found = self.get(path).await?;
            if wanted(&found) { Ok(found) } else { Err(shortened(&found.to_string())) }
        })
        .await
    }

    /// Where an object is, from its kind.
    async fn path(&self, namespace: &str, object: &Value) -> Result<String, String> {
        let text = |pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).ok_or_else(|| format!("no {pointer} in {object}"))
        };
        let (version, kind, name) = (text("/apiVersion")?, text("/kind")?, text("/metadata/name")?);
        let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let resource = |found: &Value| {
            let resources = found["resources"].as_array()?;
            let own = |resource: &&Value| {
                resource["kind"] == kind && resource["name"].as_str().is_some_and(|name| !name.contains('/'))
            };
            resources.iter().find(own).cloned()
        };
        let found = self.until(&root, |found| resource(found).is_some()).await?;
        let resource = resource(&found).ok_or_else(|| format!("no {kind} in {version}"))?;
        let plural = resource["name"].as_str().unwrap_or_default();
        if resource["namespaced"] == false {
            return Ok(format!("{root}/{plural}/{name}"));
        }
        let namespace = text("/metadata/namespace").unwrap_or(namespace);
        Ok(format!("{root}/namespaces/{namespace}/{plural}/{name}"))
    }
}

/// Tries until something succeeds; the last failure, if nothing does in time.
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> Result<T, String> {
    let mut last = String::new();
    let tries = async {
        loop {
            match attempt().await {
                Ok(found) => return found,
                Err(failure) => last = failure,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, tries).await;
    outcome.map_err(|_| format!("in vain: {what}: {last}"))
}

/// The body of an answer; of a refusal, its status and what the server says of it.
async fn read(request: RequestBuilder) -> Result<Value, (StatusCode, String)> {
    let nowhere = |error: reqwest::Error| (StatusCode::BAD_GATEWAY, error.to_string());
    let response = request.send().await.map_err(nowhere)?;
    let status = response.status();
    let text = response.text().await.map_err(nowhere)?;
    if status.is_success() {
        return serde_json::from_str(&text).or(Ok(Value::String(text)));
    }
    let message = serde_json::from_str::<Value>(&text).ok().and_then(|said| Some(said["message"].as_str()?.to_owned()));
    Err((status, format!("{status}: {}", message.unwrap_or(text))))
}

fn shortened(text: &str) -> String {
    text.chars().take(2000).collect()
}
