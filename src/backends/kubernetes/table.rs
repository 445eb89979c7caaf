//! Other forms in which the API server sends objects: lists as it lays them out, and metadata only
//! (kubernetes.io/docs/reference/using-api/api-concepts, "Receiving resources as Tables").

use serde::Deserialize;
use serde_json::Value;

use super::status::ListPlace;

/// Accepts a list as a table.
pub const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Accepts one object with nothing but its metadata.
pub const AS_METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";

/// Accepts a list with nothing but the metadata of its objects.
pub const AS_METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

/// A list as a table.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Table {
    /// Where it goes on.
    pub metadata: ListPlace,
    /// What the cells of each row are.
    pub column_definitions: Vec<Column>,
    /// The rows.
    pub rows: Vec<TableRow>,
}

/// What one cell of each row is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Zero where it is always shown; higher ones only where somebody asks for more.
    pub priority: i32,
}

/// One object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TableRow {
    /// As many as there are columns.
    pub cells: Vec<Value>,
    /// As much of the object as was asked for (`includeObject`).
    pub object: Value,
}
