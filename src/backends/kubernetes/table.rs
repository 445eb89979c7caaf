//! Other forms in which the API server sends objects: lists as it lays them out, and metadata only
//! (kubernetes.io/docs/reference/using-api/api-concepts, "Receiving resources as Tables").

use serde::Deserialize;
use serde_json::Value;

use super::null_as_none;
use super::parts::IsTable;
use super::status::ListPlace;

/// Accepts a list as a table.
pub const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Accepts one object with nothing but its metadata.
pub const AS_METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";

/// Accepts a list with nothing but the metadata of its objects.
pub const AS_METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// A list as a table, with as much of each object as was asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de> + Default"))]
pub struct Table<O = Value> {
    /// That it is a table.
    pub kind: IsTable,
    /// Bytes of the answer that it was read from.
    #[serde(skip)]
    pub bytes: usize,
    /// Where it goes on.
    #[serde(default)]
    pub metadata: ListPlace,
    /// What the cells of each row are; a watch tells them once.
    #[serde(default, deserialize_with = "null_as_none")]
    pub column_definitions: Vec<Column>,
    /// The rows.
    #[serde(default = "Vec::new", deserialize_with = "null_as_none")]
    pub rows: Vec<TableRow<O>>,
}

/// What one cell of each row is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// What its cells are (OpenAPI), for example `string` or `date`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where they come from, in words.
    pub description: String,
    /// Zero where it is always shown; higher ones only where somebody asks for more.
    pub priority: i32,
}

/// One object.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "O: Deserialize<'de> + Default"))]
pub struct TableRow<O = Value> {
    /// As many as there are columns.
    pub cells: Vec<Value>,
    /// As much of the object as was asked for (`includeObject`).
    pub object: O,
}
