//! Requests to the API server.

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE};
use kube::client::Body;

use crate::call::Context;
use crate::error::{Error, Result};

/// How options of deletions say that nothing is to be done.
const DRY_RUN: &[u8] = br#""dryRun":["All"]"#;

/// A request to the API server.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    query: Vec<(&'static str, String)>,
    accept: &'static str,
    body: Option<(&'static str, Bytes)>,
}

impl Request {
    /// A request that changes nothing.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A request of any method.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), accept: "application/json", body: None }
    }

    /// The same request by another method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a parameter of the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a parameter of the query where there is a value.
    #[must_use]
    pub fn query_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// The form of answer that is wanted instead of the object.
    #[must_use]
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// What is sent along.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.body = Some((content_type, body.into()));
        self
    }

    /// Whether objects may be different afterwards; reviews are posted too, and change nothing.
    pub(super) fn changes(&self) -> bool {
        let is_review = ["/apis/authorization.k8s.io/", "/apis/authentication.k8s.io/"];
        self.method != Method::GET && !is_review.iter().any(|start| self.path.starts_with(start))
    }

    /// Whether something is done that could be done twice: reviews and dry runs are posted too, and do nothing.
    pub(super) fn takes_effect(&self) -> bool {
        let is_dry = self.query.iter().any(|(name, _)| *name == "dryRun")
            || self.body.as_ref().is_some_and(|(_, body)| body.windows(DRY_RUN.len()).any(|part| part == DRY_RUN));
        self.changes() && !is_dry
    }

    /// Path and query as one.
    #[must_use]
    pub fn uri(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query = serde_html_form::to_string(&self.query).expect("names and texts");
        format!("{}?{query}", self.path)
    }

    pub(super) fn http(&self, context: &Context) -> Result<http::Request<Body>> {
        let mut builder = http::Request::builder().method(&self.method).uri(self.uri()).header(ACCEPT, self.accept);
        if let Some(parent) = &context.trace.parent {
            builder = builder.header("traceparent", parent);
        }
        let body = match &self.body {
            Some((content_type, body)) => {
                builder = builder.header(CONTENT_TYPE, *content_type);
                Body::from(body.clone())
            }
            None => Body::empty(),
        };
        builder.body(body).map_err(|_| Error::BadArguments("an argument cannot be sent to the API server".into()))
    }
}
