//! What tools return, and how it becomes an answer.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::schema;
use crate::answers::{Answer, Order, Row};
use crate::error::{Error, Result};

/// Something that a tool returns.
pub trait Output: Send {
    /// The schema of the structured result, for tools that have one. `located` names the column that says where a row
    /// is from.
    #[must_use]
    fn schema(located: &str) -> Option<Map<String, Value>>;

    /// The answer to be cut to the caller's budget.
    ///
    /// # Errors
    /// [`Error::Internal`] where a value has no JSON form.
    fn into_answer(self) -> Result<Answer>;
}

/// A table of rows, with facts about the whole.
///
/// Columns are the fields of the rows in their order; fields that hold a map become a column for each of its keys. Put
/// the telling ones in front: the last ones are dropped first when room is short.
#[derive(Clone, Debug)]
pub struct Listing<R> {
    /// The rows, in order.
    pub rows: Vec<R>,
    /// Rows that exist, where the backend gave fewer.
    pub total: Option<u64>,
    /// Where the backend goes on after these rows, where they are only a part.
    pub next: Option<String>,
    /// Counts and totals, shown above the table.
    pub facts: Map<String, Value>,
    /// Warnings, what was left out, advice; a sentence each.
    pub notes: Vec<String>,
    /// How the rows of several instances are merged; one after the other when absent.
    pub order: Option<Order>,
}

impl<R> Listing<R> {
    /// Rows, and nothing to say about them.
    #[must_use]
    pub fn new(rows: Vec<R>) -> Self {
        Self { rows, total: None, next: None, facts: Map::new(), notes: Vec::new(), order: None }
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says how rows are ordered, here and when those of several instances come together.
    #[must_use]
    pub fn ordered(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }
}

impl<R: Serialize + JsonSchema + Send> Output for Listing<R> {
    fn schema(located: &str) -> Option<Map<String, Value>> {
        let mut row = schema::of::<R>();
        row.remove("required");
        if let Some(Value::Object(properties)) = row.get_mut("properties") {
            properties.shift_insert(
                0,
                located.into(),
                json!({"type": "string", "description": format!("Which {located} the row is from, when several were asked.")}),
            );
            properties.values_mut().for_each(open);
        }
        let schema = json!({
            "type": "object",
            "properties": {
                "rows": {"type": "array", "items": row},
                "common": {"type": "object", "description": "What all rows share; left out of the rows."},
                "total": {"type": "integer", "description": "Rows that there are."},
                "facts": {"type": "object", "description": "What is true of the whole."},
                "notes": {"type": "array", "items": {"type": "string"}, "description": "Warnings, and what was left out."},
                "cursor": {"type": "string", "description": "Repeat the call with it for the next page."},
                "whole": {"type": "string", "description": "Resource with the whole answer."}
            },
            "required": ["rows", "total"]
        });
        as_map(schema)
    }

    fn into_answer(self) -> Result<Answer> {
        let rows = self
            .rows
            .into_iter()
            .map(|row| match serde_json::to_value(row) {
                Ok(Value::Object(row)) => Ok(row),
                Ok(other) => Err(Error::internal(format!("a row is not an object: {other}"))),
                Err(error) => Err(Error::internal(error)),
            })
            .collect::<Result<Vec<Row>>>()?;
        let Self { total, next, facts, notes, order, .. } = self;
        Ok(Listing { rows, total, next, facts, notes, order }.answer())
    }
}

impl Listing<Row> {
    /// The answer to be cut to the caller's budget, of rows that need not be laid out any more.
    #[must_use]
    pub fn answer(mut self) -> Answer {
        if let Some(order) = self.order {
            self.rows.sort_by(order);
        }
        Answer {
            rows: Some(self.rows),
            order: self.order,
            total: self.total,
            next: self.next,
            facts: (!self.facts.is_empty()).then_some(Value::Object(self.facts)),
            notes: self.notes,
            ..Answer::default()
        }
    }
}

/// Parts of a row may be cut away, so nothing inside is promised.
fn open(schema: &mut Value) {
    if let Value::Object(map) = schema {
        map.remove("required");
        map.remove("enum");
        map.values_mut().for_each(open);
    }
}

/// One thing, or several blocks of facts: laid out line by line.
#[derive(Clone, Debug)]
pub struct Facts<T> {
    facts: T,
    text: Option<String>,
    notes: Vec<String>,
    failed: bool,
    planned: Option<Value>,
}

impl<T> Facts<T> {
    /// Facts without notes.
    #[must_use]
    pub fn new(facts: T) -> Self {
        Self { facts, text: None, notes: Vec::new(), failed: false, planned: None }
    }

    /// A text that reads better than the facts line by line, such as a tree. It must say the same.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Changes the facts.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut T)) -> Self {
        change(&mut self.facts);
        self
    }

    /// Adds a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl<T> Facts<T> {
    /// Adds to the text, after an empty line.
    #[must_use]
    pub fn more_text(mut self, more: &str) -> Self {
        let text = self.text.get_or_insert_default();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(more);
        self
    }

    /// Adds several notes.
    #[must_use]
    pub fn notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Says whether they tell of a failure.
    #[must_use]
    pub fn failed(mut self, failed: bool) -> Self {
        self.failed = failed;
        self
    }

    /// What a plan made of this dry run holds fast.
    #[must_use]
    pub fn planned(mut self, planned: Value) -> Self {
        self.planned = Some(planned);
        self
    }
}

impl<T: Serialize + JsonSchema + Send> Output for Facts<T> {
    fn schema(_: &str) -> Option<Map<String, Value>> {
        let mut schema = schema::of::<T>();
        schema.remove("required");
        schema.insert("type".into(), "object".into());
        if let Value::Object(properties) = schema.entry("properties").or_insert_with(|| json!({})) {
            properties.values_mut().for_each(open);
            properties.insert("notes".into(), json!({"type": "array", "items": {"type": "string"}, "description": "Warnings, and what was left out."}));
            properties
                .insert("whole".into(), json!({"type": "string", "description": "Resource with the whole answer."}));
        }
        Some(schema)
    }

    fn into_answer(self) -> Result<Answer> {
        let facts = serde_json::to_value(self.facts).map_err(Error::internal)?;
        Ok(Answer {
            facts: Some(facts),
            text: self.text,
            notes: self.notes,
            failed: self.failed,
            planned: self.planned,
            ..Answer::default()
        })
    }
}

/// Content blocks as they are, for tools that answer with images, sound or resources.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// `ContentBlock`s of MCP.
    pub blocks: Vec<Value>,
    /// The structured result.
    pub structured: Option<Value>,
    /// Whether they tell of a failure.
    pub failed: bool,
}

impl Output for Content {
    fn schema(_: &str) -> Option<Map<String, Value>> {
        None
    }

    fn into_answer(self) -> Result<Answer> {
        Ok(Answer { blocks: self.blocks, structured: self.structured, failed: self.failed, ..Answer::default() })
    }
}

fn as_map(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}
