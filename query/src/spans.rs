//! The table `spans`: one [`Snapshot`] as DataFusion sees it.
//!
//! ```text
//! filters, columns of SQL -> translate -> over stored columns -> prune files -> select rows -> Parquet scan -.
//!                                                             -> hot batches -> HotExec     -> union -> SQL's columns
//! ```
//! Rows are selected by the dictionaries of a file's columns (`select`, `pages`), which is why a trace is found in
//! milliseconds, by its id as well as by a rare value. Where a sort wants only its first rows, those are found by the
//! column that is sorted by (`candidates`, `first`), before any other column is read.
pub(crate) mod attributes;
#[cfg(test)]
mod bare;
pub(crate) mod by_id;
mod candidates;
mod chosen;
pub(crate) mod columns;
pub(crate) mod counts;
pub(crate) mod direct;
mod files;
pub(crate) mod first;
pub(crate) mod grouped;
mod halves;
mod hot;
mod integers;
mod known;
mod like;
mod near;
mod nothing;
pub(crate) mod nulls;
pub(crate) mod numbers;
mod pages;
mod parts;
mod pick;
mod picker;
pub mod present;
pub(crate) mod provider;
mod prune;
mod reader;
pub(crate) mod rows;
pub(crate) mod select;
pub(crate) mod shape;
mod source;
pub(crate) mod tally;
mod traced;
mod translate;
mod vocabulary;

use std::sync::{Arc, OnceLock};

use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;
use storage::{DataFile, Snapshot, SpanBatch, TimeRange};

use crate::Result;
use crate::spans::columns::Columns;
pub(crate) use crate::spans::files::STORE_URL;
use crate::spans::known::Known;
use crate::spans::provider::{Shape, SpansTable};
use crate::views::Cache;

/// What one query sees: one snapshot, at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The state of the table.
    pub snapshot: Arc<Snapshot>,
    /// What `now` means in this query, Unix nanoseconds.
    pub now_unix_nano: i64,
    /// What views found out about the files; `None` where they are to read spans.
    pub(crate) rollups: Option<Arc<Cache>>,
    columns: Arc<Columns>,
    /// The same without patches.
    raw: Arc<Columns>,
    /// What the tables look like, as a schema of SQL; made when first needed.
    pub(crate) described: Arc<OnceLock<Arc<dyn SchemaProvider>>>,
    /// What was learnt of files.
    pub(crate) known: Arc<Known>,
}

impl Tables {
    /// What a query over `snapshot` sees.
    ///
    /// # Errors
    /// The snapshot's schema is wrong: a mistake of ours.
    pub fn new(snapshot: Arc<Snapshot>, now_unix_nano: i64) -> Result<Self> {
        let columns = Arc::new(Columns::of(&snapshot)?);
        let raw = Arc::new(Columns::new(&snapshot.columns)?);
        let rollups = Some(Arc::default());
        Ok(Self {
            snapshot,
            now_unix_nano,
            rollups,
            columns,
            raw,
            described: Arc::default(),
            known: Arc::default(),
        })
    }

    /// The same over a newer `snapshot`; the columns are kept where they did not change.
    pub(crate) fn renewed(&self, snapshot: Arc<Snapshot>, now_unix_nano: i64) -> Result<Self> {
        let same = Arc::ptr_eq(&self.snapshot.columns, &snapshot.columns);
        if !same || !self.columns.are_of(&snapshot) {
            let (rollups, known) = (self.rollups.clone(), Arc::clone(&self.known));
            return Ok(Self { rollups, known, ..Self::new(snapshot, now_unix_nano)? });
        }
        Ok(Self { snapshot, now_unix_nano, ..self.clone() })
    }

    /// The columns with patches, and without.
    pub(crate) fn column_sets(&self) -> [&Arc<Columns>; 2] {
        [&self.columns, &self.raw]
    }

    /// True where plans over these tables fit `other`.
    pub(crate) fn has_columns_of(&self, other: &Self) -> bool {
        let (own, other) = (self.column_sets(), other.column_sets());
        own.iter().zip(other).all(|(own, other)| Arc::ptr_eq(own, other))
    }

    /// The same spans as they were sent: without patches.
    pub(crate) fn as_sent(&self) -> Self {
        Self { columns: Arc::clone(&self.raw), ..self.clone() }
    }

    /// The same columns without any span.
    pub(crate) fn without_spans(&self) -> Self {
        self.part(Arc::new([]), Arc::new([]))
    }

    /// The same columns with the spans of these files and batches only.
    pub(crate) fn part(&self, files: Arc<[Arc<DataFile>]>, hot: Arc<[Arc<SpanBatch>]>) -> Self {
        let snapshot = Snapshot { files, hot, ..self.snapshot.as_ref().clone() };
        Self { snapshot: Arc::new(snapshot), ..self.clone() }
    }

    /// The spans that start within `range`, with the columns of SQL `spans` (ids as hex text).
    ///
    /// # Errors
    /// The plan could not be made.
    pub fn spans(&self, context: &SessionContext, range: TimeRange) -> Result<DataFrame> {
        Ok(context.read_table(self.spans_table(range))?)
    }

    /// The same spans with the stored columns ([`storage::schema`], strings as `Utf8View`, ids as bytes, `date` last):
    /// cheaper to join and group by id.
    ///
    /// # Errors
    /// The plan could not be made.
    pub fn stored(&self, context: &SessionContext, range: TimeRange) -> Result<DataFrame> {
        Ok(context.read_table(self.stored_table(range))?)
    }

    /// [`Tables::spans`] as a table.
    pub fn spans_table(&self, range: TimeRange) -> Arc<dyn TableProvider> {
        Arc::new(self.table(range, Shape::Presented))
    }

    /// All spans with the columns of SQL `spans`, as they were sent: without patches.
    pub fn raw_table(&self) -> Arc<dyn TableProvider> {
        Arc::new(self.table_of(&self.raw, TimeRange::ALL, Shape::Presented))
    }

    /// [`Tables::stored`] as a table.
    pub fn stored_table(&self, range: TimeRange) -> Arc<dyn TableProvider> {
        Arc::new(self.table(range, Shape::Stored))
    }

    pub(crate) fn table(&self, range: TimeRange, shape: Shape) -> SpansTable {
        self.table_of(&self.columns, range, shape)
    }

    fn table_of(&self, columns: &Arc<Columns>, range: TimeRange, shape: Shape) -> SpansTable {
        SpansTable {
            snapshot: Arc::clone(&self.snapshot),
            columns: Arc::clone(columns),
            known: Arc::clone(&self.known),
            range,
            shape,
        }
    }
}
