//! Rows of lists: which columns they have, and in which order they come.

use serde_json::Value;

use super::super::path::{ObjectPath, Room, check_count, is_path};
use super::super::sort::{Key, compare};
use crate::answers::Row;
use crate::backends::kubernetes::{Column, TableRow};
use crate::error::{Error, Result};

/// The rows in their order, with the columns that are wanted.
pub(super) async fn arranged(
    wanted: Columns,
    order: Option<Order>,
    columns: Vec<Column>,
    mut rows: Vec<TableRow>,
    has_namespaces: bool,
) -> Result<Vec<Row>> {
    let takes_long = !wanted.paths.is_empty() || order.as_ref().is_some_and(|order| order.path.is_some());
    let arrange = move || {
        if let Some(order) = &order {
            order.sort(&columns, &mut rows)?;
        }
        wanted.rows(&columns, rows, has_namespaces)
    };
    if takes_long { tokio::task::spawn_blocking(arrange).await.map_err(Error::internal)? } else { arrange() }
}

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

    fn rows(&self, columns: &[Column], rows: Vec<TableRow>, has_namespaces: bool) -> Result<Vec<Row>> {
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
        let mut room = Room::default();
        let mut arranged = Vec::with_capacity(rows.len());
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
                cells.insert(path.text().to_owned(), path.of(&row.object, &mut room)?);
            }
            arranged.push(cells);
        }
        Ok(arranged)
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

    fn sort(&self, columns: &[Column], rows: &mut Vec<TableRow>) -> Result<()> {
        let headings: Vec<String> = columns.iter().map(|column| heading(&column.name)).collect();
        let place = headings.iter().position(|name| *name == self.column);
        if self.path.is_none() && place.is_none() && !rows.is_empty() {
            return Err(Error::BadArguments(format!(
                "sort_by: there is no column `{}`; there are {}, and any JSONPath such as .metadata.creationTimestamp",
                self.column,
                headings.join(", ")
            )));
        }
        let mut room = Room::default();
        let mut key = |row: &TableRow| match (&self.path, place) {
            (Some(path), _) => path.of(&row.object, &mut room).map(|found| Key::new(&found)),
            // The older an object, the greater its age.
            (None, _) if self.column == "age" => {
                Ok(Key::moment_before(&text_at(&row.object, "/metadata/creationTimestamp")))
            }
            (None, Some(place)) => Ok(Key::new(row.cells.get(place).unwrap_or(&Value::Null))),
            (None, None) => Ok(Key::new(&Value::Null)),
        };
        let keyed = std::mem::take(rows).into_iter().map(|row| Ok((key(&row)?, row)));
        let mut keyed = keyed.collect::<Result<Vec<_>>>()?;
        keyed.sort_by(|(one, _), (other, _)| compare(one, other, self.reversed));
        rows.extend(keyed.into_iter().map(|(_, row)| row));
        Ok(())
    }
}

/// The heading of a column, as rows name it: `Up-to-date` is `up_to_date`.
pub(super) fn heading(name: &str) -> String {
    name.trim().to_lowercase().replace(['-', ' '], "_")
}

pub(super) fn text_at(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
