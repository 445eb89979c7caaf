//! Requests that the API server hands on to pods and services, and what those answer.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;

use super::cluster::Cluster;
use super::request::Request;
use super::status::{Refused, Status};
use crate::call::Context;
use crate::error::Result;

/// What a pod or service answered.
#[derive(Debug)]
pub struct Proxied {
    /// Its status, whichever that is.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as much of it as was wanted.
    pub body: Bytes,
    /// Whether there was more.
    pub is_cut: bool,
}

impl Cluster {
    /// Sends a request that is handed on, once, and reads so many bytes of the answer.
    ///
    /// # Errors
    /// What the API server itself says; [`crate::error::Error::Unavailable`] where it cannot be reached,
    /// [`crate::error::Error::TimedOut`] at the deadline.
    pub async fn proxied(
        &self,
        request: &Request,
        most: usize,
        deadline: Instant,
        context: &Context,
    ) -> Result<Proxied, Refused> {
        let started = Instant::now();
        let outcome = tokio::time::timeout_at(deadline.into(), self.exchange(request, most, context)).await;
        let result = outcome.unwrap_or_else(|_| Err(self.too_slow(started, deadline)));
        self.record(request, started, &result);
        result
    }

    async fn exchange(&self, request: &Request, most: usize, context: &Context) -> Result<Proxied, Refused> {
        let _place = self.place().await?;
        let sent = self.client().await?.send(request.http(context)?).await;
        let (parts, mut body) = sent.map_err(|error| self.unreachable(&error))?.into_parts();
        let mut read = BytesMut::new();
        let mut is_cut = false;
        while let Some(frame) = body.frame().await {
            // Who broke off is the pod or service behind, not the cluster.
            let Ok(part) = frame.map_err(|error| self.broken(&error))?.into_data() else { continue };
            let room = most - read.len();
            read.extend_from_slice(&part[..part.len().min(room)]);
            if part.len() > room {
                is_cut = true;
                break;
            }
        }
        // Whoever is behind could answer like this too; then it is told as a refusal, which it is.
        if !parts.status.is_success()
            && parts.headers.get("content-type").is_some_and(|kind| kind == "application/json")
        {
            let said = serde_json::from_slice::<serde_json::Value>(&read).unwrap_or_default();
            if said["kind"] == "Status" && said["apiVersion"] == "v1" {
                let status = Status::said(&read, self.name(), parts.status.as_u16(), &context.signer);
                return Err(Refused::Status(Box::new(status)));
            }
        }
        Ok(Proxied { status: parts.status, headers: parts.headers, body: read.freeze(), is_cut })
    }
}
