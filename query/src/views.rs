//! Views: one view = one file: question -> spans -> rows. Each is a SQL table function of its name, too.
//!
//! ```text
//! dependencies('-1h')  -> function   arguments -> range          a table whose scan is one ViewExec
//!                      -> sweep      files in the order of time, traces whole -> forest (spans by trace), again and again
//!                      -> dependencies, traces, latency, network             -> rows
//!                         operations, network: straight from the scan, no forest
//! ```
//! Definitions: docs/sql.md. The same question asked of `spans` by plain SQL gives the same answer.
mod attribute;
mod checks;
mod compare;
mod condition;
mod critical_path;
mod dependencies;
mod descendants;
mod edge;
mod forest;
mod function;
mod heatmap;
mod latency;
mod load;
mod missing;
mod near;
mod network;
mod notes;
mod operations;
mod patterns;
mod question;
mod range;
mod read;
mod router;
mod rows;
mod structure;
mod sweep;
mod totals;
mod traces;
mod tree;
mod unowned;
mod waiting;

pub use patterns::one::{TracePattern, trace_pattern};
pub(crate) use question::NAMES;
pub use range::{duration, moment};
pub(crate) use router::Cache;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::dataframe::DataFrame;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::prelude::SessionContext;
use storage::TimeRange;

use crate::Result;
use crate::check::Check;
use crate::spans::Tables;
use crate::view::View;
use forest::{Forest, Texts, Trace};
use load::Source;
use notes::NoteBoard;
use sweep::{Sweep, is_exhausted};
use traces::listing::Listing;

/// What an answer could not know, as `(name, value)`.
pub(crate) type Notes = Vec<(&'static str, String)>;

/// A view's rows, and what they could not know.
pub(crate) struct Planned {
    /// The rows, filtered, ordered and limited as asked.
    pub(crate) rows: DataFrame,
    /// Notes of the answer.
    pub(crate) notes: Notes,
}

/// Registers every view over `tables` as a table function. Called once for each SQL query, so it must be cheap:
/// nothing is planned or read before the function is used.
pub(crate) fn register(context: &SessionContext, tables: &Tables) {
    register_with(context, tables, &NoteBoard::default());
}

fn register_with(context: &SessionContext, tables: &Tables, notes: &NoteBoard) {
    for view in View::ALL {
        let function = function::Function::new(view, tables.clone(), notes.clone());
        context.register_udtf(view.name(), Arc::new(function));
    }
    for (position, name) in NAMES.iter().enumerate() {
        let tables = tables.clone();
        let function = function::QuestionFunction::new(position, tables, notes.clone());
        context.register_udtf(name, Arc::new(function));
    }
    context.register_udaf(crate::quantile::quantile());
    context.register_udaf(crate::histogram::histogram());
}

/// Answers `sql`, a SELECT over one view; `context` has `spans` registered. Runs on the query runtime, and reads all that
/// the view needs before it returns, because only then the notes are known.
pub(crate) async fn plan(context: &SessionContext, tables: &Tables, sql: &str) -> Result<Planned> {
    let notes = NoteBoard::default();
    register_with(context, tables, &notes);
    let rows = rows(context, sql).await?;
    Ok(Planned { rows, notes: notes.take() })
}

async fn rows(context: &SessionContext, sql: &str) -> PlanResult<DataFrame> {
    context.sql(sql).await?.cache().await
}

/// Reads what lists of traces and views from rollups need of the files, so that it is known when somebody asks.
///
/// # Errors
/// Something cannot be read, or is more than one query may use.
pub(crate) async fn warm(context: SessionContext, tables: Tables) -> Result<()> {
    let Some(cache) = tables.rollups.clone() else { return Ok(()) };
    let consumer = MemoryConsumer::new("read ahead");
    let reservation = consumer.register(&context.runtime_env().memory_pool);
    // Hot batches are another matter at each question.
    // Rollups have the names that were sent, as in `answer`.
    let tables = tables.as_sent().part(Arc::clone(&tables.snapshot.files), Arc::new([]));
    let source = Source::new(context, tables, reservation);
    router::warm(&source, &cache).await?;
    let ask = Ask { range: TimeRange::ALL, exact: false, bytes: true };
    if let Ok(listing) = Listing::new(source, ask).await? {
        listing.warm().await?;
    }
    Ok(())
}

/// Makes the answers from rollups anew that were given though they were not of now.
///
/// # Errors
/// As [`warm`].
pub(crate) async fn renew(context: SessionContext, tables: Tables) -> Result<()> {
    let Some(cache) = tables.rollups.clone() else { return Ok(()) };
    let consumer = MemoryConsumer::new("answers");
    let reservation = consumer.register(&context.runtime_env().memory_pool);
    let source = Source::new(context, tables.as_sent(), reservation);
    Ok(router::renew(&source, &cache).await?)
}

/// The same of what lists of traces begin with.
///
/// # Errors
/// As [`warm`].
pub(crate) async fn renew_lists(context: SessionContext, tables: Tables) -> Result<()> {
    let Some(cache) = tables.rollups.clone() else { return Ok(()) };
    let consumer = MemoryConsumer::new("lists of traces");
    let reservation = consumer.register(&context.runtime_env().memory_pool);
    let source = Source::new(context, tables, reservation);
    Ok(traces::moment::renew(&source, &cache).await?)
}

/// Tests `checks` on the spans that start within the range.
///
/// # Errors
/// A time or condition is wrong, or the spans cannot be read.
pub(crate) async fn check(
    context: SessionContext,
    tables: Tables,
    (checks, range): (&[Check], TimeRange),
) -> Result<RecordBatch> {
    let consumer = MemoryConsumer::new("checks");
    let reservation = consumer.register(&context.runtime_env().memory_pool);
    Ok(checks::answer(Source::new(context, tables, reservation), checks, range).await?)
}

/// The columns of a view.
fn schema(view: View) -> PlanResult<SchemaRef> {
    let texts = Texts::default();
    let empty = match view {
        View::Traces => traces::batch(&texts, &[]),
        View::Latency => latency::batch(&texts, &[]),
        View::LatencyHistogram => latency::histogram_batch(&texts, &[]),
        View::Operations => operations::batch(&texts, &[]),
        View::Dependencies => dependencies::batch(&texts, &[]),
        View::Network => network::batch(&texts, &[]),
        View::NetworkOperations => network::operations::batch(&texts, &[]),
        View::NetworkCaused => network::caused_batch(&texts, &[]),
    };
    Ok(empty?.schema())
}

/// What is asked of a view.
#[derive(Debug, Clone, Copy)]
struct Ask {
    range: TimeRange,
    /// Quantiles are nearest ranks of all durations; otherwise within 1 % of them.
    exact: bool,
    /// The bytes of `traces` are wanted.
    bytes: bool,
}

/// The rows of a view: from rollups where they tell it, otherwise from spans. A note says which, and why.
async fn answer(
    view: View,
    mut source: Source,
    ask: Ask,
    notes: &mut Notes,
) -> PlanResult<Vec<RecordBatch>> {
    let from_rollups = match source.tables.rollups.clone() {
        _ if view == View::Traces => return from_spans(view, source, ask, notes).await,
        Some(_) if ask.exact => Err("exact quantiles need all durations"),
        Some(cache) => {
            // Rollups have the names that were sent; so must the spans beside them.
            let shown = source.tables.clone();
            source.tables = shown.as_sent();
            let totals = router::totals(&source, &cache, ask.range).await;
            source.tables = shown;
            let renames = source.tables.snapshot.patches.renames();
            totals?.and_then(|totals| totals.renamed(renames))
        }
        None => Err("rollups are off"),
    };
    match from_rollups {
        Ok(totals) => {
            if let Some(rows) = totals::answer(view, &totals.sum, &totals.gaps, notes) {
                if missing::lacks_parents(notes) {
                    let Tables { snapshot, now_unix_nano, .. } = &source.tables;
                    let (all, ledger) = (totals.gaps.missing_in_traces, snapshot.ledger.as_ref());
                    totals.gaps.kept.note(all, (ledger, *now_unix_nano), notes);
                }
                notes.push(("source", totals.source));
                return rows;
            }
        }
        Err(reason) => {
            notes.push(("source", format!("spans: {reason}")));
            let left_out = router::history::left_out(&source, ask.range);
            notes.extend(left_out.map(|words| ("history", words)));
        }
    }
    from_spans(view, source, ask, notes).await
}

async fn from_spans(
    view: View,
    source: Source,
    ask: Ask,
    notes: &mut Notes,
) -> PlanResult<Vec<RecordBatch>> {
    let rows = read_spans(view, source, ask, notes).await;
    rows.map_err(|error| if ask.exact && is_exhausted(&error) { too_exact() } else { error })
}

/// All durations at once are more than the memory of one query.
fn too_exact() -> DataFusionError {
    const WORDS: &str = "exact quantiles of so many spans need more memory than one query may use; narrow the time \
                         range, or leave out exact: quantiles are then within 1 %";
    crate::Error::new(storage::Kind::Busy, WORDS).into()
}

async fn read_spans(
    view: View,
    source: Source,
    ask: Ask,
    notes: &mut Notes,
) -> PlanResult<Vec<RecordBatch>> {
    let extent = match view {
        View::Operations => return operations::answer(&source, ask).await,
        View::Network => return network::answer(&source, ask.range, notes).await,
        View::NetworkOperations => {
            return network::operations::answer(&source, ask.range, notes).await;
        }
        View::Traces => return traces::answer(source, ask, notes).await,
        View::Dependencies => dependencies::EXTENT,
        View::NetworkCaused => network::CAUSED_EXTENT,
        View::Latency | View::LatencyHistogram => traces::extent(false),
    };
    let mut sweep = Sweep::new(source, ask.range, extent);
    let rows = match view {
        View::Latency => latency::answer(&mut sweep, ask, notes).await,
        View::LatencyHistogram => latency::histogram(&mut sweep, ask, notes).await,
        View::NetworkCaused => network::caused(&mut sweep, ask, notes).await,
        _ => dependencies::answer(&mut sweep, ask, notes).await,
    }?;
    Box::pin(missing::note(sweep.source, ask.range, notes)).await?;
    Ok(rows)
}

/// The traces whose root starts within `range`.
fn in_range(forest: &Forest, range: TimeRange) -> impl Iterator<Item = Trace<'_>> {
    forest.traces().filter(move |trace| range.contains(trace.span(trace.root().0).start))
}

/// Orders two groups by service, then name.
fn by_names(texts: &Texts, a: (u32, u32), b: (u32, u32)) -> std::cmp::Ordering {
    let names = |(service, name): (u32, u32)| (texts.text(service), texts.text(name));
    names(a).cmp(&names(b))
}

/// A share as a note: `0.973`, or `unknown` where there was nothing to carry anything.
fn share_note(share: Option<f64>) -> String {
    share.map_or_else(|| "unknown".to_owned(), |share| format!("{share:.3}"))
}

#[cfg(test)]
mod tests;
