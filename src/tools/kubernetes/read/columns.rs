//! Columns of a list, and what its rows are sorted by.

use serde_json::Value;

use super::super::path::{ObjectPath, Room, check_count, is_path};
use super::super::sort::{Key, compare};
use crate::answers::Row;
use crate::backends::kubernetes::{Column, TableRow};
use crate::error::{Error, Result};

/// The columns that a caller wants besides the usual ones.
pub(super) struct Columns {
    names: Vec<String>,
    pub(super) paths: Vec<ObjectPath>,
}

impl Columns {
    pub(super) fn new(wanted: &[String]) -> Result<Self> {
        check_count("columns", wanted.len())?;
        let (paths, names): (Vec<&String>, Vec<&String>) = wanted.iter().partition(|text| is_path(text));
        Ok(Self {
            names: names.into_iter().map(|name| heading(name)).collect(),
            paths: paths.into_iter().map(|path| ObjectPath::parse("columns", path)).collect::<Result<_>>()?,
        })
    }

    /// Adds rows with the columns that are wanted.
    pub(super) fn add(
        &self,
        into: &mut Vec<Row>,
        columns: &[Column],
        rows: Vec<TableRow>,
        has_namespaces: bool,
        room: &mut Room,
    ) -> Result<()> {
        let headings: Vec<String> = columns.iter().map(|column| heading(&column.name)).collect();
        if let Some(unknown) = self.names.iter().find(|name| !headings.contains(name))
            && !headings.is_empty()
        {
            return Err(Error::BadArguments(format!(
                "columns: there is no `{unknown}`; there are {}, and any JSONPath such as .spec.nodeName",
                headings.join(", ")
            )));
        }
        let is_shown: Vec<bool> = columns
            .iter()
            .zip(&headings)
            .map(|(column, heading)| column.priority == 0 || self.names.contains(heading))
            .collect();
        let width = usize::from(has_namespaces) + is_shown.iter().filter(|shown| **shown).count() + self.paths.len();
        for row in rows {
            let mut cells = Row::with_capacity(width);
            if has_namespaces {
                cells.insert("namespace".into(), text_at(&row.object, "/metadata/namespace").into());
            }
            for ((cell, heading), is_shown) in row.cells.into_iter().zip(&headings).zip(&is_shown) {
                if *is_shown {
                    cells.insert(heading.clone(), shown(cell));
                }
            }
            for path in &self.paths {
                cells.insert(path.text().to_owned(), path.of(&row.object, room)?);
            }
            into.push(cells);
        }
        Ok(())
    }
}

/// A cell; what is not known is left empty.
pub(super) fn shown(cell: Value) -> Value {
    match cell {
        Value::String(text) if text == "<none>" || text == "<unset>" => Value::Null,
        other => other,
    }
}

/// How rows are sorted.
pub(super) struct Order {
    pub(super) column: String,
    pub(super) path: Option<ObjectPath>,
    reversed: bool,
}

impl Order {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (text, reversed) = text.strip_prefix('-').map_or((text, false), |text| (text, true));
        let path = is_path(text).then(|| ObjectPath::parse("sort_by", text)).transpose()?;
        Ok(Self { column: heading(text), path, reversed })
    }

    /// What rows are sorted by.
    pub(super) fn keys(&self, columns: &[Column], rows: &[TableRow], room: &mut Room) -> Result<Vec<Key>> {
        let headings: Vec<String> = columns.iter().map(|column| heading(&column.name)).collect();
        let place = headings.iter().position(|name| *name == self.column);
        if self.path.is_none() && place.is_none() && !rows.is_empty() {
            return Err(Error::BadArguments(format!(
                "sort_by: there is no column `{}`; there are {}, and any JSONPath such as .metadata.creationTimestamp",
                self.column,
                headings.join(", ")
            )));
        }
        let key = |row: &TableRow| match (&self.path, place) {
            (Some(path), _) => path.of(&row.object, room).map(|found| Key::new(&found)),
            // The older an object, the greater its age.
            (None, _) if self.column == "age" => {
                Ok(Key::moment_before(&text_at(&row.object, "/metadata/creationTimestamp")))
            }
            (None, Some(place)) => Ok(Key::new(row.cells.get(place).unwrap_or(&Value::Null))),
            (None, None) => Ok(Key::new(&Value::Null)),
        };
        rows.iter().map(key).collect()
    }

    /// Sorts rows by their keys.
    pub(super) fn sort(&self, keys: Vec<Key>, rows: &mut Vec<Row>) {
        let mut keyed: Vec<_> = keys.into_iter().zip(std::mem::take(rows)).collect();
        keyed.sort_by(|(one, _), (other, _)| compare(one, other, self.reversed));
        rows.extend(keyed.into_iter().map(|(_, row)| row));
    }
}

/// The heading of a column, as rows name it: `Up-to-date` is `up_to_date`.
pub(super) fn heading(name: &str) -> String {
    name.trim().to_lowercase().replace(['-', ' '], "_")
}

/// A text within an object; empty where there is none.
pub(super) fn text_at(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
