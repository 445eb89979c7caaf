//! Rows as a table: a header, one line a row, what all rows share stated once.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Row;
use super::text::{is_empty, scalar_text};

/// Columns that are kept whatever the budget.
const FEWEST_COLUMNS: usize = 3;

/// Rows with one level of objects spread into columns, and shared values taken out.
#[derive(Clone, Debug, Default)]
pub(super) struct Table<'a> {
    /// Column names, in the order that the rows have them in.
    columns: Vec<String>,
    /// What all rows have in common.
    common: Vec<(String, Value)>,
    rows: Vec<Cow<'a, Row>>,
    dropped: Vec<String>,
}

impl<'a> Table<'a> {
    pub(super) fn new(rows: &'a [Row]) -> Self {
        let rows: Vec<_> = rows.iter().map(flat).collect();
        let mut columns: Vec<String> = Vec::new();
        for row in &rows {
            // A column that earlier rows lack goes in front of what follows it in its own row, or to the end.
            let mut place = columns.len();
            for (name, _) in row.iter().rev().filter(|(_, value)| !is_empty(value)) {
                if place > 0 && columns.get(place - 1) == Some(name) {
                    place -= 1;
                    continue;
                }
                match columns.iter().position(|known| known == name) {
                    Some(known) => place = known,
                    None => columns.insert(place, name.clone()),
                }
            }
        }
        let mut common = Vec::new();
        if let [first, rest @ ..] = rows.as_slice()
            && !rest.is_empty()
        {
            columns.retain(|name| {
                let value = first.get(name);
                let shared = value.is_some() && rest.iter().all(|row| row.get(name) == value);
                if shared && let Some(value) = value {
                    common.push((name.clone(), value.clone()));
                }
                !shared
            });
            // Rows that are all equal still need something to show.
            if columns.is_empty() {
                columns = common.drain(..).map(|(name, _)| name).collect();
            }
        }
        Self { columns, common, rows, dropped: Vec::new() }
    }

    /// Drops the last column without which the rows can still be told apart as well as with it; tools put the telling ones
    /// in front. Says whether there was one.
    pub(super) fn drop_column(&mut self) -> bool {
        if self.columns.len() <= FEWEST_COLUMNS {
            return false;
        }
        let told_apart = self.distinct(None);
        let place = (1..self.columns.len()).rev().find(|place| self.distinct(Some(*place)) == told_apart);
        self.dropped.extend(place.map(|place| self.columns.remove(place)));
        place.is_some()
    }

    /// How many rows differ in the columns, leaving one of them out.
    fn distinct(&self, without: Option<usize>) -> usize {
        let seen: HashSet<Vec<Option<&Value>>> = self
            .rows
            .iter()
            .map(|row| {
                let columns = self.columns.iter().enumerate().filter(|(place, _)| Some(*place) != without);
                columns.map(|(_, name)| row.get(name)).collect()
            })
            .collect();
        seen.len()
    }

    pub(super) fn dropped(&self) -> &[String] {
        &self.dropped
    }

    /// The first `count` rows as text, cells at most `width` characters; and whether a cell was longer.
    pub(super) fn text(&self, count: usize, width: usize) -> (String, bool) {
        let mut text = String::new();
        let mut is_cut = false;
        if !self.common.is_empty() {
            text.push_str("all: ");
            for (place, (name, value)) in self.common.iter().enumerate() {
                text.push_str(if place == 0 { "" } else { "  " });
                text.push_str(name);
                text.push('=');
                text.push_str(&cell(value, width.max(60), &mut is_cut));
            }
            text.push('\n');
        }
        match &self.rows[..count.min(self.rows.len())] {
            [] => {}
            [row] if self.rows.len() == 1 => {
                for name in &self.columns {
                    let value = cell(row.get(name).unwrap_or(&Value::Null), width.max(200), &mut is_cut);
                    text.push_str(&format!("{name}: {value}\n"));
                }
            }
            rows => {
                let mut lines: Vec<Vec<Cow<'_, str>>> = Vec::with_capacity(rows.len() + 1);
                lines.push(self.columns.iter().map(|name| name.as_str().into()).collect());
                lines.extend(rows.iter().map(|row| {
                    let shown = |name: &String| match row.get(name).filter(|value| !is_empty(value)) {
                        Some(value) => cell(value, width, &mut is_cut),
                        None => "-".into(),
                    };
                    self.columns.iter().map(shown).collect()
                }));
                align(&mut text, &lines);
            }
        }
        text.truncate(text.trim_end().len());
        (text, is_cut)
    }

    /// The first `count` rows, typed, without what is common or dropped; and what is common.
    pub(super) fn structured(&self, rows: &[Row], count: usize, width: usize) -> (Vec<Value>, Map<String, Value>) {
        let hidden: Vec<&str> =
            self.common.iter().map(|(name, _)| name.as_str()).chain(self.dropped.iter().map(String::as_str)).collect();
        let rows = rows.iter().take(count).map(|row| Value::Object(without(row, &hidden, width))).collect();
        (rows, self.common.iter().cloned().collect())
    }
}

fn without(row: &Row, hidden: &[&str], width: usize) -> Map<String, Value> {
    let mut kept = Map::with_capacity(row.len());
    for (name, value) in row {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                let inner: Map<_, _> = inner
                    .iter()
                    .filter(|(key, value)| !hidden.contains(&inner_name(row, key, name).as_str()) && !value.is_null())
                    .map(|(key, value)| (key.clone(), short(value, width)))
                    .collect();
                if !inner.is_empty() {
                    kept.insert(name.clone(), Value::Object(inner));
                }
            }
            _ if hidden.contains(&name.as_str()) || value.is_null() => {}
            _ => {
                kept.insert(name.clone(), short(value, width));
            }
        }
    }
    kept
}

fn short(value: &Value, width: usize) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text, width).into_owned()),
        other => other.clone(),
    }
}

/// A row with the entries of its objects as columns of their own.
fn flat(row: &Row) -> Cow<'_, Row> {
    if !row.values().any(Value::is_object) {
        return Cow::Borrowed(row);
    }
    let mut flat = Map::new();
    for (name, value) in row {
        match value {
            Value::Object(inner) => {
                for (key, value) in inner {
                    flat.insert(inner_name(row, key, name), value.clone());
                }
            }
            _ => {
                flat.insert(name.clone(), value.clone());
            }
        }
    }
    Cow::Owned(flat)
}

fn inner_name(row: &Row, key: &str, outer: &str) -> String {
    let taken = row.get(key).is_some_and(|value| !value.is_object());
    if taken { format!("{outer}.{key}") } else { key.to_owned() }
}

/// A value in one line, at most `width` characters; tells in `is_cut` if it was longer.
fn cell<'v>(value: &'v Value, width: usize, is_cut: &mut bool) -> Cow<'v, str> {
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(scalar_text(other)),
    };
    let text = match text {
        text if text.contains(['\n', '\t']) => Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        text => text,
    };
    if is_short(&text, width) {
        return text;
    }
    *is_cut = true;
    cut(&text, width).into_owned().into()
}

/// Whether a text has at most `width` characters; it never has more of them than bytes.
fn is_short(text: &str, width: usize) -> bool {
    text.len() <= width || text.chars().count() <= width
}

/// The beginning of a text, with an ellipsis where it is longer than `width` characters.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    if is_short(text, width) {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    Cow::Owned(short)
}

fn align(text: &mut String, lines: &[Vec<Cow<'_, str>>]) {
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    text.reserve(lines.len() * (widths.iter().sum::<usize>() + 2 * columns));
    for line in lines {
        for (column, value) in line.iter().enumerate() {
            text.push_str(value);
            if column + 1 < columns {
                let padding = widths[column] - value.chars().count() + 2;
                text.extend(std::iter::repeat_n(' ', padding));
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(value: &Value) -> Vec<Row> {
        value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn what_all_rows_share_is_stated_once_and_the_rest_is_aligned() {
        let rows = rows(&json!([
            {"labels": {"job": "api", "pod": "api-1"}, "value": 1.5, "note": null},
            {"labels": {"job": "api", "pod": "api-22"}, "value": 2},
        ]));
        let table = Table::new(&rows);
        insta::assert_snapshot!(table.text(9, 60).0, @r"
        all: job=api
        pod     value
        api-1   1.5
        api-22  2
        ");
        let (structured, common) = table.structured(&rows, 1, 60);
        assert_eq!(structured, [json!({"labels": {"pod": "api-1"}, "value": 1.5})]);
        assert_eq!(Value::Object(common), json!({"job": "api"}));
    }

    #[test]
    fn columns_that_some_rows_lack_keep_their_place() {
        let columns = |value: &Value| Table::new(&rows(value)).columns.clone();
        let nested = json!([{"a": 1, "z": {}}, {"a": 2, "b": 1, "z": {"c": 1, "d": 2}}, {"z": {"c": 2}}]);
        assert_eq!(columns(&nested), ["a", "b", "c", "d"]);
        let first_comes_later = json!([{"b": 1, "c": 1}, {"a": 1, "b": 2, "d": 1}]);
        assert_eq!(columns(&first_comes_later), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_map_of_which_nothing_is_left_is_left_out() {
        let rows = rows(&json!([{"a": 1, "labels": {"job": "x"}}, {"a": 2, "labels": {"job": "x"}}]));
        assert_eq!(Table::new(&rows).structured(&rows, 1, 60).0, [json!({"a": 1})]);
    }

    #[test]
    fn one_row_is_shown_as_lines_and_long_cells_are_cut() {
        let rows = rows(&json!([{"name": "a", "text": "x".repeat(300), "labels": {"name": "b"}}]));
        let table = Table::new(&rows);
        let (text, is_cut) = table.text(1, 10);
        assert!(is_cut);
        assert!(text.starts_with("name: a\ntext: xxx"), "{text}");
        assert!(text.ends_with("…\nlabels.name: b"), "{text}");
    }

    #[test]
    fn columns_go_from_the_right_while_rows_can_be_told_apart_but_three_stay() {
        let few = rows(&json!([{"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 2, "b": 2, "c": 2, "d": 2}]));
        let mut table = Table::new(&few);
        assert!(table.drop_column());
        assert!(!table.drop_column());
        assert_eq!(table.dropped(), ["d"]);
        let rows = rows(
            &json!([{"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 1, "b": 2, "c": 1, "d": 2}, {"a": 2, "b": 1, "c": 2, "d": 3}]),
        );
        let mut telling = Table::new(&rows);
        telling.drop_column();
        assert_eq!(telling.columns.len(), 3, "any column may go while the others tell the rows apart");
        insta::assert_snapshot!(table.text(2, 9).0, @r"
        a  b  c
        1  1  1
        2  2  2
        ");
    }
}
