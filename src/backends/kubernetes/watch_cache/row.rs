//! One row of a list that is kept: its cells without secrets, and what its ages count from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::age;
use crate::backends::kubernetes::redact::{redact_cell, redact_text};
use crate::backends::kubernetes::{Column, Kind, TableRow};
use crate::secrets::Signer;

/// Kinds with cells that count from other moments than the creation of the object (kubernetes, `pkg/printers`).
const COUNTING: [(&str, &str); 6] = [
    ("", "events"),
    ("events.k8s.io", "events"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("resource.k8s.io", "devicetaintrules"),
    ("resource.k8s.io", "resourcepoolstatusrequests"),
];

/// Bytes that a value, a label or a row takes besides its text.
const OVERHEAD: usize = 48;

/// As much of an object as a row needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    creation_timestamp: Option<Timestamp>,
    pub(super) resource_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    init_containers: Vec<InitContainer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InitContainer {
    name: String,
    restart_policy: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    conditions: Vec<Condition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    last_state: ContainerState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    finished_at: Option<Timestamp>,
}

/// A cell that says how long ago something was.
#[derive(Clone, Debug)]
struct Counting {
    place: usize,
    since: Timestamp,
    /// Of a cell such as `3 (5m ago)`, what stands before.
    count: Option<String>,
}

/// How much of each object is asked for: pods say in it when their containers restarted.
pub(super) fn include(kind: &Kind) -> &'static str {
    if kind.is("", "pods") { "Object" } else { "Metadata" }
}

/// Whether rows of this kind stay true for as long as their objects do not change, but for what [`Row`] counts itself.
pub(super) fn can_be_kept(kind: &Kind, columns: &[Column]) -> bool {
    kind.can("watch")
        && !COUNTING.iter().any(|(group, plural)| kind.is(group, plural))
        && columns.iter().all(|column| column.kind != "date" || ["Age", "Created At"].contains(&column.name.as_str()))
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
    cells: Vec<Value>,
    created: Option<Timestamp>,
    counting: Vec<Counting>,
}

impl Row {
    /// A row that the API server wrote at most so many seconds ago, without its secrets; none where one of its cells counts
    /// from an unknown moment.
    pub(super) fn new(
        row: TableRow<Object>,
        columns: &[Column],
        now: Timestamp,
        late: i64,
        signer: &Signer,
    ) -> Option<Self> {
        let TableRow { mut cells, object } = row;
        let mut counting = Vec::new();
        for (place, (column, cell)) in columns.iter().zip(&mut cells).enumerate() {
            let (age, since, count) = match (column.name.as_str(), &*cell) {
                ("Age", Value::String(age)) if object.metadata.creation_timestamp.is_some() => {
                    (age.as_str(), object.metadata.creation_timestamp, None)
                }
                ("Restarts", Value::String(text)) if text.ends_with(" ago)") => {
                    let (count, age) = text.strip_suffix(" ago)")?.split_once(" (")?;
                    (age, object.last_restart(), Some(count.to_owned()))
                }
                _ => {
                    redact_cell(cell, column, signer);
                    continue;
                }
            };
            let since = since.filter(|since| age::explains(*since, age, now, late))?;
            counting.push(Counting { place, since, count });
        }
        let Metadata { name, namespace, labels, creation_timestamp: created, .. } = object.metadata;
        Some(Self { name, namespace, labels, cells, created, counting })
    }

    /// Where it stands among the others: the API server sorts by namespace and name as one text.
    pub(super) fn key(metadata: &Metadata) -> String {
        if metadata.namespace.is_empty() {
            metadata.name.clone()
        } else {
            format!("{}/{}", metadata.namespace, metadata.name)
        }
    }

    /// The row as the API server would write it now, with as much of the object as lists need.
    pub(super) fn at(&self, now: Timestamp, with_object: bool, signer: &Signer) -> TableRow {
        let mut cells = self.cells.clone();
        for Counting { place, since, count } in &self.counting {
            let age = age::human(*since, now);
            cells[*place] = match count {
                Some(count) => format!("{count} ({age} ago)").into(),
                None => age.into(),
            };
        }
        let mut object = Value::Null;
        if with_object {
            let mut metadata = Map::new();
            metadata.insert("name".into(), redact_text(&self.name, signer).into());
            if !self.namespace.is_empty() {
                metadata.insert("namespace".into(), redact_text(&self.namespace, signer).into());
            }
            metadata.extend(self.created.map(|at| ("creationTimestamp".to_owned(), at.to_string().into())));
            object = json!({"metadata": metadata});
        }
        TableRow { cells, object }
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let cells: usize = self.cells.iter().map(|cell| OVERHEAD + cell.as_str().map_or(0, str::len)).sum();
        let labels: usize = self.labels.iter().map(|(name, value)| 2 * OVERHEAD + name.len() + value.len()).sum();
        5 * OVERHEAD + 2 * (self.name.len() + self.namespace.len()) + cells + labels
    }
}

impl Object {
    /// When a container of a pod ended last that was restarted: those that run, or those before while they do.
    fn last_restart(&self) -> Option<Timestamp> {
        let Self { spec, status, .. } = self;
        let is_initialized = status.init_container_statuses.is_empty()
            || status.conditions.iter().any(|one| one.kind == "Initialized" && one.status == "True");
        let stays = |init: &&ContainerStatus| {
            spec.init_containers.iter().any(|known| known.name == init.name && known.restart_policy == "Always")
        };
        let inits = status.init_container_statuses.iter().filter(|init| !is_initialized || stays(init));
        let statuses = inits.chain(status.container_statuses.iter().filter(|_| is_initialized));
        statuses.filter_map(|status| status.last_state.terminated.as_ref()?.finished_at).max()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn columns(names: &[&str]) -> Vec<Column> {
        names.iter().map(|name| Column { name: (*name).to_owned(), ..Column::default() }).collect()
    }

    fn row(cells: Value, status: Value) -> Option<Row> {
        let metadata = json!({"name": "web-1", "namespace": "shop", "creationTimestamp": "2026-01-02T11:00:00Z"});
        let row = json!({"cells": cells, "object": {"metadata": metadata, "status": status}});
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        Row::new(
            serde_json::from_value(row).unwrap(),
            &columns(&["Name", "Restarts", "Age"]),
            now,
            10,
            &Signer::new(b"key"),
        )
    }

    fn cells(row: &Row, now: &str) -> Value {
        row.at(now.parse().unwrap(), false, &Signer::new(b"key")).cells.into()
    }

    #[test]
    fn ages_go_on_counting() {
        let status = json!({"containerStatuses": [
            {"lastState": {}},
            {"lastState": {"terminated": {"finishedAt": "2026-01-02T11:54:59Z"}}},
            {"lastState": {"terminated": {"finishedAt": "2026-01-02T11:20:00Z"}}}
        ]});
        let row = row(json!(["web-1", "3 (5m1s ago)", "60m"]), status).unwrap();
        assert_eq!(cells(&row, "2026-01-02T12:00:00Z"), json!(["web-1", "3 (5m1s ago)", "60m"]));
        assert_eq!(cells(&row, "2026-01-02T14:00:00Z"), json!(["web-1", "3 (125m ago)", "3h"]));
    }

    #[test]
    fn what_counts_from_an_unknown_moment_is_not_kept() {
        assert!(row(json!(["web-1", "3 (5m1s ago)", "60m"]), json!({})).is_none());
        assert!(row(json!(["web-1", "3", "2d"]), json!({})).is_none());
        assert!(row(json!(["web-1", "3", "<unknown>"]), json!({})).is_none());
    }

    #[test]
    fn secrets_are_gone_before_a_row_is_kept() {
        let row = row(json!(["password=hunter2", "0", "60m"]), json!({})).unwrap();
        assert!(!format!("{row:?}").contains("hunter2"), "{row:?}");
    }
}
