//! Kubernetes clusters (kubernetes.io/docs/reference/using-api).

mod cluster;
mod connect;
mod kinds;
mod parts;
mod permitted;
mod proxy;
mod redact;
mod places;
mod request;
mod status;
mod table;
mod watch_cache;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use cluster::{Cluster, Config as ClusterConfig, Streamed};
pub use kinds::{Kind, Kinds, segment};
pub use parts::{IsList, IsTable, Parts, part_at};
pub use permitted::{Permitted, Target};
pub use proxy::Proxied;
pub use redact::{Hidden, LAST_APPLIED, LineRedactor, has_fingerprint, redact_text};
pub use request::Request;
pub use status::{ListPlace, Refused, Status};
pub use table::{AS_METADATA, AS_METADATA_LIST, AS_TABLE, Column, Table, TableRow};
pub use watch_cache::{KeptList, object_before, place_after};

use crate::call::Context;
use crate::error::{Error, Result};
use crate::secrets::Signer;

/// Bodies larger than this are read as JSON away from the threads that serve requests.
const LARGE_BODY: usize = 256 * 1024;

/// Objects in one part of a list that is read whole, as many as kubectl asks for: larger parts save few round trips, and a
/// part of large objects would not fit into [`ClusterConfig::most_bytes`] any more.
const PART: &str = "500";

/// The clusters, and what may be done in them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The one that is asked when a call names none; needless where there is only one.
    pub default: Option<String>,
    /// How to reach each, by the name that calls use.
    pub clusters: BTreeMap<String, ClusterConfig>,
    /// Commands that may be run in containers, each as a list of words: `*` in a word stands for any text without `..`,
    /// a last word `**` for any further words. None means that nothing can be run.
    pub commands: Vec<Vec<String>>,
    /// Ports that may be sent requests, as namespace/pod/name:port/path or namespace/service/name:port/path; `*` in a part
    /// stands for any text of it, and at the end of the path for all below. None means that no port can be reached.
    pub ports: Vec<String>,
}

/// What comes of a body; a large one is read away from the threads that serve requests.
async fn read<T: Send + 'static>(body: Bytes, read: impl FnOnce(&[u8]) -> T + Send + 'static) -> Result<T> {
    if body.len() > LARGE_BODY {
        return tokio::task::spawn_blocking(move || read(&body)).await.map_err(Error::internal);
    }
    Ok(read(&body))
}

/// Replaces the secrets in the cells and objects of a table.
fn redact_table(table: &mut Table, signer: &Signer) {
    for row in &mut table.rows {
        for (place, cell) in row.cells.iter_mut().enumerate() {
            match table.column_definitions.get(place) {
                Some(column) => redact::redact_cell(cell, column, signer),
                None => redact::redact_cell(cell, &Column::default(), signer),
            }
        }
        redact::redact(&mut row.object, signer);
    }
}

/// What JSON says; a large one is read away from the threads that serve requests.
async fn parsed<T: DeserializeOwned + Send + 'static>(body: Bytes) -> Result<Result<T, serde_json::Error>> {
    read(body, |body| serde_json::from_slice(body)).await
}

/// A handle on one cluster for one call.
#[derive(Debug)]
pub struct Kubernetes {
    cluster: Arc<Cluster>,
    permitted: Arc<Permitted>,
    /// The circumstances of the call.
    pub context: Context,
}

/// A list of objects, or a part of one.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct List<T = Value> {
    /// That it is a list.
    pub kind: IsList,
    /// Where it goes on.
    #[serde(default)]
    pub metadata: ListPlace,
    /// The objects.
    #[serde(default = "Vec::new", deserialize_with = "null_as_none")]
    pub items: Vec<T>,
}

/// Reads a list of which the API server may write `null` when nothing is in it.
fn null_as_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

impl Kubernetes {
    pub(super) fn new(cluster: Arc<Cluster>, permitted: Arc<Permitted>, context: Context) -> Self {
        Self { cluster, permitted, context }
    }

    /// The name of the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        self.cluster.name()
    }

    /// The cluster itself, for what is not JSON.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What an operator permits beside reading and changing objects.
    #[must_use]
    pub fn permitted(&self) -> &Permitted {
        &self.permitted
    }

    /// All kinds it serves.
    ///
    /// # Errors
    /// Those of [`Cluster::send`].
    pub async fn kinds(&self) -> Result<Arc<Kinds>> {
        self.cluster.kinds(&self.context).await
    }

    /// The kind that a caller means.
    ///
    /// # Errors
    /// [`Error::BadArguments`] where there is none, or several; those of [`Cluster::send`].
    pub async fn kind(&self, name: &str) -> Result<Arc<Kind>> {
        let kinds = self.kinds().await?;
        if let Ok(kind) = kinds.find(name) {
            return Ok(kind.clone());
        }
        self.cluster.kinds_again(&self.context).await?.find(name).cloned()
    }

    /// Reads something, with its secrets replaced.
    ///
    /// # Errors
    /// Those of [`Cluster::send`], and [`Error::Backend`] where the answer is not what is expected.
    pub async fn get<T: DeserializeOwned>(&self, request: Request) -> Result<T, Refused> {
        self.get_sized(request).await.map(|(value, _)| value)
    }

    /// Reads something, with its secrets replaced, and says how many bytes it had.
    async fn get_sized<T: DeserializeOwned>(&self, request: Request) -> Result<(T, usize), Refused> {
        let body = self.cluster.send(&request, &self.context).await?;
        let bytes = body.len();
        let value = self.redacted(body, redact::redact).await?;
        let value = serde_json::from_value(value).map_err(|error| self.cluster.unexpected(&error))?;
        Ok((value, bytes))
    }

    async fn get_sized_with_secrets<T>(&self, request: Request) -> Result<(T, usize), Refused>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let body = self.cluster.send(&request, &self.context).await?;
        let bytes = body.len();
        Ok((parsed(body).await?.map_err(|error| self.cluster.unexpected(&error))?, bytes))
    }

    /// Reads an object with its secrets replaced, and what was hidden in it.
    ///
    /// # Errors
    /// Those of [`Kubernetes::get`].
    pub async fn get_and_hidden(&self, request: Request) -> Result<(Value, Hidden), Refused> {
        let body = self.cluster.send(&request, &self.context).await?;
        let signer = self.context.signer.clone();
        let parsed = read(body, move |body| {
            let raw: Value = serde_json::from_slice(body)?;
            let mut redacted = raw.clone();
            redact::redact(&mut redacted, &signer);
            let hidden = Hidden::new(&raw, &redacted, signer);
            Ok((redacted, hidden))
        });
        parsed.await?.map_err(|error| self.cluster.unexpected(&error).into())
    }

    /// Reads something as it is. For what is sent back to the cluster, never for an answer.
    ///
    /// # Errors
    /// Those of [`Cluster::send`], and [`Error::Backend`] where the answer is not what is expected.
    pub async fn get_with_secrets<T: DeserializeOwned + Send + 'static>(&self, request: Request) -> Result<T, Refused> {
        self.get_sized_with_secrets(request).await.map(|(value, _)| value)
    }

    /// What a body says, with its secrets replaced.
    async fn redacted<T>(&self, body: Bytes, redact: fn(&mut T, &Signer)) -> Result<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let signer = self.context.signer.clone();
        let parsed = read(body, move |body| {
            let mut value = serde_json::from_slice(body)?;
            redact(&mut value, &signer);
            Ok(value)
        });
        parsed.await?.map_err(|error| self.cluster.unexpected(&error))
    }

    /// Reads a list as a table, with the secrets in its cells and objects replaced.
    ///
    /// # Errors
    /// Those of [`Kubernetes::get`].
    pub async fn table(&self, request: Request) -> Result<Table, Refused> {
        let body = self.cluster.send(&request, &self.context).await?;
        let bytes = body.len();
        let mut table: Table = self.redacted(body, redact_table).await?;
        table.bytes = bytes;
        Ok(table)
    }

    /// Sends a change, and reads its result with secrets replaced.
    ///
    /// # Errors
    /// Those of [`Kubernetes::get`].
    pub async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        request: Request,
        content_type: &'static str,
        body: &Value,
    ) -> Result<T, Refused> {
        self.get(request.method(method).body(content_type, body.to_string())).await
    }

    /// Sends a change, and reads its result with secrets replaced, and what the API server warns of.
    ///
    /// # Errors
    /// Those of [`Kubernetes::get`].
    pub async fn change_warned(
        &self,
        method: Method,
        request: Request,
        content_type: &'static str,
        body: &Value,
    ) -> Result<(Value, Vec<String>), Refused> {
        let request = request.method(method).body(content_type, body.to_string());
        let (body, warnings) = self.cluster.send_warned(&request, &self.context).await?;
        let value = self.redacted(body, redact::redact).await?;
        let warnings = warnings.iter().map(|warning| self.redact_text(warning).into_owned()).collect();
        Ok((value, warnings))
    }

    /// One object, with its secrets replaced.
    ///
    /// # Errors
    /// Those of [`Kubernetes::get`]; [`Error::BadArguments`] where the name cannot be one.
    pub async fn object<T: DeserializeOwned>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<T, Refused> {
        self.get(Request::get(kind.object_path(namespace, name)?)).await
    }

    /// All objects that a request for a list is about, part by part, with their secrets replaced.
    ///
    /// # Errors
    /// Those of [`Kubernetes::get`]; [`Error::BadArguments`] where there are too many.
    pub async fn list<T: DeserializeOwned>(&self, request: Request) -> Result<Vec<T>, Refused> {
        self.list_of(request, |items| items).await
    }

    /// What is wanted of the objects that a request for a list is about, with their secrets replaced; those of a part are gone
    /// before the next is read.
    ///
    /// # Errors
    /// Those of [`Kubernetes::list`].
    pub async fn list_of<T, Wanted>(
        &self,
        request: Request,
        wanted: impl FnMut(Vec<T>) -> Vec<Wanted>,
    ) -> Result<Vec<Wanted>, Refused>
    where
        T: DeserializeOwned,
    {
        self.all_parts(request, |part| self.get_sized(part), wanted).await
    }

    /// All objects that a request for a list is about, as they are.
    ///
    /// For types with no field that may be a secret, whose texts are redacted before they are shown: that the list is never
    /// laid out as a whole is what makes it fast.
    ///
    /// # Errors
    /// Those of [`Kubernetes::list`].
    pub async fn list_with_secrets<T>(&self, request: Request) -> Result<Vec<T>, Refused>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.all_parts(request, |part| self.get_sized_with_secrets(part), |items| items).await
    }

    async fn all_parts<T, Wanted, Reading>(
        &self,
        request: Request,
        read: impl Fn(Request) -> Reading,
        mut wanted: impl FnMut(Vec<T>) -> Vec<Wanted>,
    ) -> Result<Vec<Wanted>, Refused>
    where
        Reading: Future<Output = Result<(List<T>, usize), Refused>>,
    {
        let mut items = Vec::new();
        let mut parts = self.parts();
        let mut next = String::new();
        loop {
            let place = Some(next.as_str()).filter(|next| !next.is_empty());
            // On the heap, as tools await many lists at a time.
            let (part, bytes) = Box::pin(part_at(request.clone().query("limit", PART), place, &read)).await?;
            next = part.metadata.next;
            parts.take(part.items.len(), bytes, !next.is_empty())?;
            items.extend(wanted(part.items));
            if next.is_empty() {
                return Ok(items);
            }
        }
    }

    /// Replaces the secrets in an object, or a list of objects.
    pub fn redact(&self, value: &mut Value) {
        redact::redact(value, &self.context.signer);
    }

    /// A text without what looks like a secret.
    #[must_use]
    pub fn redact_text<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        redact_text(text, &self.context.signer)
    }

    /// The lines of a whole text from a source, such as a container, without what looks like a secret.
    ///
    /// # Errors
    /// [`Error::Internal`] where that breaks off.
    pub async fn redact_lines(&self, source: String, text: Bytes) -> Result<Vec<String>> {
        let signer = self.context.signer.clone();
        let lines = move |text: &[u8]| {
            let mut redactor = LineRedactor::new(&signer, &source);
            String::from_utf8_lossy(text).lines().map(|line| redactor.redact(line).into_owned()).collect()
        };
        read(text, lines).await
    }

    /// Replaces the secrets in a text that comes line by line from a source, such as a container.
    #[must_use]
    pub fn line_redactor<'a>(&'a self, source: &'a str) -> LineRedactor<'a> {
        LineRedactor::new(&self.context.signer, source)
    }
}
