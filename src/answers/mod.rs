//! How an answer is made short and safe: tables, budgets, cursors.

mod budget;
mod clean;
mod cursor;
pub mod redact;
mod table;
mod text;
mod wholes;

use std::cmp::Ordering;

use serde_json::{Map, Value};

pub use budget::{Fitted, fit, tokens};
pub use clean::{clean, without_controls};
pub use cursor::{Place, digest};
pub use text::lines;
pub use wholes::Wholes;

/// One row of a table.
pub type Row = Map<String, Value>;

/// How rows of several instances are brought into one order.
pub type Order = fn(&Row, &Row) -> Ordering;

/// What a tool found, before it is cut to the caller's budget.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// A table, which can be paged.
    pub rows: Option<Vec<Row>>,
    /// The order of the rows, to merge several tables.
    pub order: Option<Order>,
    /// Rows that exist from here on, where the backend gave fewer.
    pub total: Option<u64>,
    /// Where the backend goes on after these rows, for a tool that reads them part by part. The next page is a call of
    /// the tool with this as `Inputs::resume`.
    pub next: Option<String>,
    /// Things that are true of the whole: counts, totals, one object.
    pub facts: Option<Value>,
    /// Text that is easier to read than the facts laid out line by line.
    pub text: Option<String>,
    /// What was left out, warnings of the backend, advice.
    pub notes: Vec<String>,
    /// Content blocks that are no text, as MCP's `ContentBlock`.
    pub blocks: Vec<Value>,
    /// A structured result to hand out as it is.
    pub structured: Option<Value>,
    /// Whether this tells of a failure.
    pub failed: bool,
    /// What a plan made of this dry run holds fast, such as versions; its tool finds it in `Inputs::plan`.
    pub planned: Option<Value>,
}

impl Answer {
    /// All of it as one value, made safe to show.
    #[must_use]
    pub fn whole(self) -> Value {
        let mut whole = Map::new();
        whole.extend(self.facts.map(|facts| ("facts".to_owned(), facts)));
        whole.extend(self.text.map(|text| ("text".to_owned(), text.into())));
        whole.extend(self.rows.map(|rows| ("rows".to_owned(), rows.into_iter().map(Value::Object).collect())));
        if !self.notes.is_empty() {
            whole.insert("notes".into(), self.notes.into());
        }
        let mut whole = Value::Object(whole);
        clean::clean_value(&mut whole);
        whole
    }
}

/// The part of an answer that a caller asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows in parts that were shown before this one.
    pub before: usize,
    /// Rows to pass over.
    pub offset: usize,
    /// Rows to show at most.
    pub limit: usize,
    /// Tokens to use at most.
    pub max_tokens: usize,
}
