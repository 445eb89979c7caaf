//! The rows of one list, and whether they are those of now.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::choice::Choice;
use super::row::Row;
use crate::backends::kubernetes::{Column, ListPlace, Table};
use crate::secrets::Signer;

/// What the place of a part begins with; a continue token of the API server never does, as it is base64.
const AFTER: &str = "after:";

/// The place after an object, for a list that goes on as it is then: its namespace and name.
#[must_use]
pub fn place_after(key: &str) -> String {
    format!("{AFTER}{key}")
}

/// The namespace and name of such a place; none of any other.
#[must_use]
pub fn object_before(place: &str) -> Option<&str> {
    place.strip_prefix(AFTER)
}

/// What was missed before a watch began comes in at once; how long that may take.
const CATCHING_UP: Duration = Duration::from_secs(1);

/// A list that is kept.
#[derive(Debug)]
pub(super) struct Kept {
    /// Where the API server has it.
    pub(super) path: String,
    /// How long it may be wrong at most.
    most_stale: Duration,
    state: RwLock<State>,
    asked: Mutex<Instant>,
    /// Bytes of all lists of the cluster.
    bytes: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct State {
    columns: Arc<[Column]>,
    rows: BTreeMap<String, Row>,
    bytes: usize,
    /// Since when it is true, while it is.
    true_since: Option<Instant>,
    /// When the watch was last known to be alive.
    heard: Option<Instant>,
}

/// A part of a list that is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Only objects of this namespace.
    pub(super) namespace: Option<&'a str>,
    pub(super) choice: &'a Choice,
    /// The last object before the part.
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
    pub(super) with_objects: bool,
    pub(super) now: Timestamp,
    pub(super) signer: &'a Signer,
}

impl Kept {
    pub(super) fn new(path: &str, most_stale: Duration, bytes: Arc<AtomicUsize>) -> Self {
        Self { path: path.to_owned(), most_stale, state: RwLock::default(), asked: Mutex::new(Instant::now()), bytes }
    }

    /// Notes that it was asked for.
    pub(super) fn touch(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long nobody asked for it.
    pub(super) fn idle(&self) -> Duration {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether its rows are those of now.
    pub(super) fn is_true(&self) -> bool {
        self.read().is_true(self.most_stale)
    }

    /// A part of it as the API server would answer it; none while it may not be true.
    pub(super) fn part(&self, part: Part<'_>) -> Option<Table> {
        let state = self.read();
        state.is_true(self.most_stale).then(|| state.part(part))
    }

    /// Takes over a whole list.
    pub(super) fn replace(&self, columns: Arc<[Column]>, rows: BTreeMap<String, Row>) {
        let mut state = self.write();
        let bytes = rows.iter().map(|(key, row)| key.len() + row.bytes()).sum();
        self.count(state.bytes, bytes);
        *state = State { columns, rows, bytes, ..State::default() };
    }

    /// The columns, where they are known.
    pub(super) fn columns(&self) -> Arc<[Column]> {
        self.read().columns.clone()
    }

    /// An object is like this now, or gone.
    pub(super) fn set(&self, key: String, row: Option<Row>) {
        let mut state = self.write();
        let size = |row: &Row| key.len() + row.bytes();
        let added = row.as_ref().map_or(0, size);
        let removed = match row {
            Some(row) => state.rows.insert(key.clone(), row),
            None => state.rows.remove(&key),
        };
        let removed = removed.as_ref().map_or(0, size);
        let bytes = (state.bytes + added).saturating_sub(removed);
        self.count(state.bytes, bytes);
        state.bytes = bytes;
    }

    /// The watch is alive. Where it was not, it first tells what was missed.
    pub(super) fn heard(&self) {
        let mut state = self.write();
        let now = Instant::now();
        state.heard = Some(now);
        state.true_since.get_or_insert(now + CATCHING_UP);
    }

    /// The watch is no longer known to tell all.
    pub(super) fn lost(&self) {
        self.write().true_since = None;
    }

    /// About how many bytes its rows take.
    pub(super) fn bytes(&self) -> usize {
        self.read().bytes
    }

    /// How long nothing was heard of the watch.
    pub(super) fn silence(&self) -> Duration {
        self.read().heard.map_or(Duration::MAX, |heard| heard.elapsed())
    }

    fn count(&self, before: usize, after: usize) {
        self.bytes.fetch_add(after, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let bytes = self.read().bytes;
        self.count(bytes, 0);
    }
}

impl State {
    fn is_true(&self, most_stale: Duration) -> bool {
        let now = Instant::now();
        self.true_since.is_some_and(|since| since <= now)
            && self.heard.is_some_and(|heard| now.duration_since(heard) < most_stale)
    }

    fn part(&self, part: Part<'_>) -> Table {
        // Of one namespace, the keys lie between `name/` and the text that comes after all such.
        let first = part.namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let begin = match part.after {
            Some(after) if *after >= *first => Bound::Excluded(after),
            _ => Bound::Included(first.as_str()),
        };
        let from_start = part.after.is_none() && part.namespace.is_none();
        let chosen = self.rows.range::<str, _>((begin, Bound::Unbounded));
        let mut rest = chosen.take_while(|(key, _)| key.starts_with(&first));
        let mut table = Table { column_definitions: self.columns.to_vec(), ..Table::default() };
        let mut passed = 0;
        let mut last = None;
        for (key, row) in rest.by_ref() {
            passed += 1;
            if part.choice.takes(&row.namespace, &row.name, &row.labels) {
                table.rows.push(row.at(part.now, part.with_objects, part.signer));
                if table.rows.len() == part.limit {
                    last = Some(key);
                    break;
                }
            }
        }
        // As the API server does: whether what comes after is chosen too is found out when it is asked for.
        let left = match last {
            None => 0,
            Some(_) if from_start => self.rows.len() - passed,
            Some(_) if part.choice.is_all() => rest.count(),
            Some(_) => usize::from(rest.next().is_some()),
        };
        if let Some(last) = last.filter(|_| left > 0) {
            table.metadata = ListPlace {
                next: place_after(last),
                remaining_item_count: part.choice.is_all().then_some(left as u64),
                ..ListPlace::default()
            };
        }
        table
    }
}
