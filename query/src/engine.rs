//! `Engine`: sessions, memory pool, time limit, permits.
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use storage::metrics::Metric;
use storage::{Store, TraceId};

use crate::view::ViewRequest;
use crate::{Config, Result};

/// A running answer. Dropping it stops the work.
pub struct Answer {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows as they come; ends with an error where a limit was hit or a file is damaged.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
    /// What the answer could not know, as `(name, value)`: `spans_without_parent`, `coverage`, ...
    pub notes: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Answers questions over one store, on a runtime of its own; cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {}

impl Engine {
    /// An engine over `store`.
    ///
    /// # Errors
    /// The query runtime could not start.
    pub fn new(store: Store, config: Config) -> Result<Self> {
        let _ = (store, config);
        unimplemented!()
    }

    /// Runs one read-only statement. `params` fill `$1`, `$2`, ...
    ///
    /// # Errors
    /// The statement is not allowed, cannot be planned, or a limit was hit; the message is for the user.
    pub async fn sql(
        &self,
        sql: &str,
        params: Vec<datafusion::common::ScalarValue>,
    ) -> Result<Answer> {
        let _ = (sql, params);
        unimplemented!()
    }

    /// Answers a view. The same code as the SQL table function of that name.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn view(&self, request: ViewRequest) -> Result<Answer> {
        let _ = request;
        unimplemented!()
    }

    /// All spans of one trace in the columns of `spans`, ordered by start; no rows where it is unknown.
    /// A plan of its own: only files whose filter admits the id are opened.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn trace(&self, trace: TraceId) -> Result<Answer> {
        let _ = trace;
        unimplemented!()
    }

    /// Figures for `/metrics`.
    pub fn metrics(&self) -> Vec<Metric> {
        unimplemented!()
    }
}
