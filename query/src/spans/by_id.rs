//! All spans of one trace, by a plan made by hand: no SQL, no optimizer.
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::logical_expr::{col, lit};
use datafusion::physical_expr::expressions::col as physical_col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::SessionContext;
use storage::schema::column as c;
use storage::{TimeRange, TraceId};

use crate::Result;
use crate::spans::Tables;
use crate::spans::provider::Shape;

/// The spans of `trace` in the columns of SQL `spans`, ordered by start, then span id.
pub(crate) fn stream(
    context: &SessionContext,
    tables: &Tables,
    trace: TraceId,
) -> Result<SendableRecordBatchStream> {
    let table = tables.table(TimeRange::ALL, Shape::Presented);
    let filter = col(c::TRACE_ID).eq(lit(trace.to_string()));
    let scan = table.plan(&context.state(), None, &[filter], None)?;
    let schema = table.schema();
    let by = [c::START, c::SPAN_ID].map(|name| physical_col(name, &schema));
    let by = by.into_iter().collect::<Result<Vec<_>, _>>()?;
    let Some(order) = LexOrdering::new(by.into_iter().map(PhysicalSortExpr::new_default)) else {
        return Ok(execute_stream(scan, context.task_ctx())?);
    };
    let all = Arc::new(CoalescePartitionsExec::new(scan));
    Ok(execute_stream(Arc::new(SortExec::new(order, all)), context.task_ctx())?)
}
