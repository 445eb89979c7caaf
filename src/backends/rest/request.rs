//! What is asked of a backend.

use bytes::Bytes;
use http::Method;
use serde::Serialize;

use crate::error::{Error, Result};

/// One request to a backend.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) segments: Vec<String>,
    pub(super) query: String,
    pub(super) body: Option<(&'static str, Bytes)>,
    /// Whether it may be sent again.
    pub(super) safe: bool,
}

impl Request {
    /// Reads something. `path` is constant text; anything else goes through [`Request::segment`].
    #[must_use]
    pub fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path, true)
    }

    /// Changes something by `POST`; never sent twice.
    #[must_use]
    pub fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path, false)
    }

    /// Reads something by `POST`, as query APIs do.
    #[must_use]
    pub fn read_by_post(path: &'static str) -> Self {
        Self::new(Method::POST, path, true)
    }

    /// Removes something; never sent twice.
    #[must_use]
    pub fn delete(path: &'static str) -> Self {
        Self::new(Method::DELETE, path, false)
    }

    fn new(method: Method, path: &'static str, safe: bool) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        Self { method, segments, query: String::new(), body: None, safe }
    }

    /// Adds a path segment, percent-encoded: it cannot leave its place.
    #[must_use]
    pub fn segment(mut self, segment: &str) -> Self {
        self.segments.push(segment.to_owned());
        self
    }

    /// Adds query parameters; lists repeat their key.
    ///
    /// # Errors
    /// [`Error::Internal`] where a value has no query form.
    pub fn query(mut self, parameters: &impl Serialize) -> Result<Self> {
        let query = serde_html_form::to_string(parameters).map_err(Error::internal)?;
        if !query.is_empty() {
            if !self.query.is_empty() {
                self.query.push('&');
            }
            self.query.push_str(&query);
        }
        Ok(self)
    }

    /// Sends parameters as a form; lists repeat their key.
    ///
    /// # Errors
    /// [`Error::Internal`] where a value has no form.
    pub fn form(mut self, parameters: &impl Serialize) -> Result<Self> {
        let form = serde_html_form::to_string(parameters).map_err(Error::internal)?;
        self.body = Some(("application/x-www-form-urlencoded", form.into()));
        Ok(self)
    }

    /// Sends a JSON body.
    ///
    /// # Errors
    /// [`Error::Internal`] where a value has no JSON form.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(("application/json", serde_json::to_vec(body).map_err(Error::internal)?.into()));
        Ok(self)
    }
}
