//! The table `spans`: one [`Snapshot`] as DataFusion sees it.
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;
use storage::{Snapshot, TimeRange};

use crate::Result;

/// What one query sees: one snapshot, at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The state of the table.
    pub snapshot: Arc<Snapshot>,
    /// What `now` means in this query, Unix nanoseconds.
    pub now_unix_nano: i64,
}

impl Tables {
    /// The spans that start within `range`, with the columns of SQL `spans` (ids as hex text).
    ///
    /// # Errors
    /// The plan could not be made.
    pub fn spans(&self, context: &SessionContext, range: TimeRange) -> Result<DataFrame> {
        let _ = (context, range);
        unimplemented!()
    }

    /// The same spans with the stored columns ([`storage::schema`], strings as `Utf8View`, ids as bytes, `date` last):
    /// cheaper to join and group by id.
    ///
    /// # Errors
    /// The plan could not be made.
    pub fn stored(&self, context: &SessionContext, range: TimeRange) -> Result<DataFrame> {
        let _ = (context, range);
        unimplemented!()
    }
}
