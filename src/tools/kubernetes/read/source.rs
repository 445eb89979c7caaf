//! Where the rows of a list come from.

use super::columns::text_at;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{
    Column, KeptList, ListPlace, Refused, Request, Table, TableRow, object_before, part_at, place_after,
};
use crate::error::Result;

/// Rows of a list that is read whole, to sort or to count it.
pub(super) const MOST_ROWS: usize = 20_000;

/// Rows in one part of such a list, where nothing but the rows is wanted.
const PART: usize = 5_000;

/// Rows in one part where their objects come along, which take a hundred times as much memory.
const PART_WITH_OBJECTS: usize = 500;

/// Where rows come from: the API server, or a watch that keeps them up to date.
pub(super) struct Source<'a> {
    pub(super) cluster: &'a Kubernetes,
    pub(super) request: Request,
    /// How much of each object is wanted (`includeObject`).
    pub(super) object: &'static str,
    pub(super) kept: Option<KeptList>,
}

impl Source<'_> {
    /// One part of the list. It goes on where a part before ended: at a place of the API server, or after an object.
    pub(super) async fn part(&self, limit: usize, resume: Option<String>) -> Result<Table, Refused> {
        let after = resume.as_deref().and_then(object_before);
        if (resume.is_none() || after.is_some())
            && let Some(kept) = &self.kept
            && let Some(table) = kept.part(after, limit, self.object != "None")
        {
            return Ok(table);
        }
        match (after, resume.as_deref()) {
            (Some(after), _) => self.asked_after(after, limit).await,
            (None, resume) => self.asked(self.object, limit, resume).await,
        }
    }

    /// A part as the API server has it.
    async fn asked(&self, object: &'static str, limit: usize, resume: Option<&str>) -> Result<Table, Refused> {
        let request = self.request.clone().query("includeObject", object).query("limit", limit.to_string());
        part_at(request, resume, |part| self.cluster.table(part)).await
    }

    /// The part after an object as the API server has it, which knows no such place: what lies before is read too.
    async fn asked_after(&self, after: &str, limit: usize) -> Result<Table, Refused> {
        let mut found = Table::default();
        let mut resume = None;
        let mut parts = self.cluster.parts();
        loop {
            let part = self.asked("Metadata", PART_WITH_OBJECTS, resume.as_deref()).await?;
            parts.take(part.rows.len(), part.bytes, !part.metadata.next.is_empty())?;
            found.column_definitions = part.column_definitions;
            let mut rows = part.rows.into_iter().skip_while(|row| *key(row) <= *after);
            found.rows.extend(rows.by_ref().take(limit - found.rows.len()));
            let left = rows.count() as u64;
            let is_over = part.metadata.next.is_empty();
            if found.rows.len() == limit && (left > 0 || !is_over) {
                found.metadata = ListPlace {
                    next: found.rows.last().map(|row| place_after(&key(row))).unwrap_or_default(),
                    remaining_item_count: match part.metadata.remaining_item_count {
                        None if !is_over => None,
                        more => Some(left + more.unwrap_or(0)),
                    },
                    ..ListPlace::default()
                };
            }
            if is_over || found.rows.len() == limit {
                return Ok(found);
            }
            resume = Some(part.metadata.next);
        }
    }

    /// Hands the rows of the whole list over, each part before the next is read; how many rows there are beyond [`MOST_ROWS`].
    pub(super) async fn whole(
        &self,
        mut take: impl FnMut(&[Column], Vec<TableRow>) -> Result<()>,
    ) -> Result<Option<u64>> {
        let limit = if self.object == "None" { PART } else { PART_WITH_OBJECTS };
        let mut columns = Vec::new();
        let mut read = 0;
        let mut resume = None;
        let mut parts = self.cluster.parts();
        loop {
            let part = self.part(limit, resume).await?;
            parts.take(part.rows.len(), part.bytes, !part.metadata.next.is_empty())?;
            if columns.is_empty() {
                columns = part.column_definitions;
            }
            read += part.rows.len();
            take(&columns, part.rows)?;
            if part.metadata.next.is_empty() {
                return Ok(None);
            }
            if read >= MOST_ROWS {
                return Ok(Some(part.metadata.remaining_item_count.unwrap_or(1)));
            }
            resume = Some(part.metadata.next);
        }
    }
}

/// An object among others, as lists are sorted: its name, after its namespace where it has one.
fn key(row: &TableRow) -> String {
    let name = text_at(&row.object, "/metadata/name");
    match text_at(&row.object, "/metadata/namespace") {
        namespace if namespace.is_empty() => name,
        namespace => format!("{namespace}/{name}"),
    }
}
