//! Which traces stand in the selection, which in the baseline.
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::TimestampNanosecondType;
use datafusion::common::{Result, internal_err};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, ident};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::times::Times;
use super::{Compare, Counts};
use crate::views::forest::Texts;
use crate::views::load::Source;
use crate::views::read::{named, texts};
use crate::views::sweep::Sweep;
use crate::views::{Ask, Notes, traces};

/// Traces that are looked into at most. Of more, a share is taken, by a hash of their ids.
const TRACES_MAX: usize = 400_000;

/// Name of the first condition in a plan.
pub(crate) const SELECTED: &str = "__selected";

/// Traces on both sides.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    /// Position of each trace in `selected`.
    pub(crate) traces: HashMap<[u8; 16], u32>,
    /// For each trace whether it stands in the selection.
    pub(crate) selected: Vec<bool>,
    /// Traces on each side.
    pub(crate) counts: Counts,
    /// The share of all that were taken, where not all were.
    pub(crate) share: Option<f64>,
}

impl Compare {
    /// What stands in the selection, and what in either side, as conditions over the columns of `frame`.
    pub(crate) fn conditions(&self, frame: &DataFrame) -> Result<(Expr, Option<Expr>)> {
        let selection = self.selection.plan(frame)?;
        let either = match &self.baseline {
            Some(baseline) => Some(selection.clone().or(baseline.plan(frame)?)),
            None => None,
        };
        Ok((selection, either))
    }

    fn mentions(&self, word: &str) -> bool {
        self.selection.mentions(word)
            || self.baseline.as_ref().is_some_and(|baseline| baseline.mentions(word))
    }
}

/// A trace with its start, and whether it stands in the selection.
type Found = ([u8; 16], i64, bool);

/// The traces of `compare`, by the rows of the view `traces`; gives back where it read.
pub(crate) async fn of_traces(
    compare: &Compare,
    source: Source,
    times: &mut Times,
) -> Result<(Source, Sides)> {
    let context = source.context.clone();
    let bytes = compare.mentions("bytes");
    let ask = Ask { range: compare.range, exact: false, bytes };
    let sweep = Sweep::new(source, compare.range, traces::extent(bytes));
    let mut reading = traces::Reading::new(sweep, ask);
    let mut found: Vec<Found> = Vec::new();
    compare.check(&context)?;
    while let Some(rows) = reading.next(&mut Notes::new()).await? {
        if !rows.is_empty() {
            compare.find(context.read_batches(rows)?, &mut found).await?;
            reading.keep(found.capacity() * size_of::<Found>())?;
        }
    }
    Ok((reading.into_source(), Sides::of(found, times)))
}

impl Compare {
    /// Refuses conditions that cannot be asked of traces, also where there are none.
    fn check(&self, context: &SessionContext) -> Result<()> {
        let none = traces::batch(&Texts::default(), &[])?;
        self.conditions(&context.read_batches([none])?).map(drop)
    }

    /// Adds those of `rows` that stand on either side.
    async fn find(&self, rows: DataFrame, found: &mut Vec<Found>) -> Result<()> {
        let (selection, either) = self.conditions(&rows)?;
        let rows = match either {
            Some(either) => rows.filter(either)?,
            None => rows,
        };
        let columns = vec![ident("trace_id"), ident("start_time"), selection.alias(SELECTED)];
        let mut batches = rows.select(columns)?.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let ids = texts(&batch, "trace_id")?;
            let starts = named(&batch, "start_time")?;
            let Some(starts) = starts.as_primitive_opt::<TimestampNanosecondType>() else {
                return internal_err!("start_time is {}", starts.data_type());
            };
            let selected = flags(named(&batch, SELECTED)?)?;
            for row in 0..batch.num_rows() {
                let mut id = [0; 16];
                // The view's own hex is always right.
                let _ = hex::decode_to_slice(ids.value(row), &mut id);
                found.push((id, starts.value(row), selected.value(row)));
            }
        }
        Ok(())
    }
}

/// A column of conditions.
pub(crate) fn flags(array: &arrow::array::ArrayRef) -> Result<BooleanArray> {
    match array.as_boolean_opt() {
        Some(flags) => Ok(flags.clone()),
        None => internal_err!("a condition is {}", array.data_type()),
    }
}

impl Sides {
    fn of(mut found: Vec<Found>, times: &mut Times) -> Self {
        let mut sides = Self::default();
        if found.len() > TRACES_MAX {
            let share = TRACES_MAX as f64 / found.len() as f64;
            found.retain(|(id, ..)| (xxh3_64(id) as f64) < share * u64::MAX as f64);
            sides.share = Some(share);
        }
        // The order of reading must not show.
        found.sort_unstable();
        let mut starts: Vec<i64> = found.iter().map(|(_, start, _)| *start).collect();
        starts.sort_unstable();
        *times = Times::of(&starts);
        for (id, start, selected) in found {
            times.add(start, selected);
            sides.counts.add(selected);
            let next = u32::try_from(sides.selected.len()).unwrap_or(u32::MAX);
            sides.traces.insert(id, next);
            sides.selected.push(selected);
        }
        sides
    }
}
