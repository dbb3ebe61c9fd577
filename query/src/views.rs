//! Views: one view = one file: question -> plan -> rows. Each is a SQL table function of its name, too.
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;

use crate::Result;
use crate::spans::Tables;
use crate::view::ViewRequest;

/// A view's rows, and what they could not know.
pub(crate) struct Planned {
    /// The rows, filtered, ordered and limited as asked.
    pub(crate) rows: DataFrame,
    /// Notes of the answer; may need a query of their own.
    pub(crate) notes: Vec<(&'static str, String)>,
}

/// Registers every view over `tables` as a table function. Called once for each SQL query, so it must be cheap:
/// nothing is planned or read before the function is used.
pub(crate) fn register(context: &SessionContext, tables: &Tables) {
    let _ = (context, tables);
}

/// Plans the answer to `request`; `context` has `spans` and the table functions registered. Runs on the query runtime.
pub(crate) async fn plan(
    context: &SessionContext,
    tables: &Tables,
    request: &ViewRequest,
) -> Result<Planned> {
    let _ = (context, tables, request);
    unimplemented!()
}
