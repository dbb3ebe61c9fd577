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
use crate::views::read::{doubles, integers, named, texts};
use crate::views::sweep::Sweep;
use crate::views::{Ask, Notes, traces};

/// Traces that are looked into at most. Of more, a share is taken, by a hash of their ids.
const TRACES_MAX: usize = 400_000;

/// Classes of size: two a doubling of the number of spans.
pub(crate) const SIZES: usize = 64;

/// The class of a trace of `spans` spans.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "twice the logarithm of an i64 is between 0 and 126"
)]
fn size_of_trace(spans: i64) -> u8 {
    ((spans.max(1) as f64).log2() * 2.0).min(SIZES as f64 - 1.0) as u8
}

/// The numbers of spans in a class, the first and the last.
#[expect(clippy::cast_possible_truncation, reason = "at most two to the 32nd")]
pub(crate) fn spans_in(size: usize) -> (i64, i64) {
    let bound = |size: usize| (size as f64 / 2.0).exp2().ceil() as i64;
    (bound(size), bound(size + 1) - 1)
}

/// Name of the first condition in a plan.
pub(crate) const SELECTED: &str = "__selected";

/// Traces on both sides.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    /// Position of each trace in `selected`.
    pub(crate) traces: HashMap<[u8; 16], u32>,
    /// For each trace whether it stands in the selection.
    pub(crate) selected: Vec<bool>,
    /// For each trace the class of its size; nothing where traces are of several kinds: see [`Sides::is_one_kind`].
    pub(crate) sizes: Vec<u8>,
    /// For each trace what it stands for; nothing where each stands for itself.
    pub(crate) weights: Vec<f64>,
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

/// A trace with its start, its number of spans, whether it stands in the selection, and the bits of its weight.
type Found = ([u8; 16], i64, i64, bool, u64);

/// The traces of both sides, as they are found.
#[derive(Debug, Default)]
struct Finds {
    traces: Vec<Found>,
    /// Service and operation of the first root.
    root: Option<(String, String)>,
    /// Some trace has another one.
    roots_differ: bool,
}

impl Finds {
    fn add_root(&mut self, service: &str, name: &str) {
        match &self.root {
            None => self.root = Some((service.to_owned(), name.to_owned())),
            Some((own, other)) => self.roots_differ |= own != service || other != name,
        }
    }
}

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
    let mut found = Finds::default();
    compare.check(&context)?;
    while let Some(rows) = reading.next(&mut Notes::new()).await? {
        if !rows.is_empty() {
            compare.find(context.read_batches(rows)?, &mut found).await?;
            reading.keep(found.traces.capacity() * size_of::<Found>())?;
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
    async fn find(&self, rows: DataFrame, found: &mut Finds) -> Result<()> {
        let (selection, either) = self.conditions(&rows)?;
        let rows = match either {
            Some(either) => rows.filter(either)?,
            None => rows,
        };
        let mut columns =
            ["trace_id", "start_time", "spans", "root_service", "root_name", "weight"]
                .map(ident)
                .to_vec();
        columns.push(selection.alias(SELECTED));
        let mut batches = rows.select(columns)?.execute_stream().await?;
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let ids = texts(&batch, "trace_id")?;
            let starts = named(&batch, "start_time")?;
            let Some(starts) = starts.as_primitive_opt::<TimestampNanosecondType>() else {
                return internal_err!("start_time is {}", starts.data_type());
            };
            let spans = integers(&batch, "spans")?;
            let services = texts(&batch, "root_service")?;
            let names = texts(&batch, "root_name")?;
            let selected = flags(named(&batch, SELECTED)?)?;
            let weights = doubles(&batch, "weight")?;
            for row in 0..batch.num_rows() {
                let mut id = [0; 16];
                // The view's own hex is always right.
                let _ = hex::decode_to_slice(ids.value(row), &mut id);
                let (start, spans) = (starts.value(row), spans.value(row));
                let weight = weights.value(row).to_bits();
                found.traces.push((id, start, spans, selected.value(row), weight));
                found.add_root(services.value(row), names.value(row));
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
    /// Whether all traces begin with the same operation. Then they should be alike, and how large they are and how long
    /// their spans take tells something. Otherwise both tell little but which kind of request it is.
    pub(crate) fn is_one_kind(&self) -> bool {
        !self.sizes.is_empty()
    }

    fn of(found: Finds, times: &mut Times) -> Self {
        let is_one_kind = !found.roots_differ;
        let mut found = found.traces;
        let mut sides = Self::default();
        if found.len() > TRACES_MAX {
            let share = TRACES_MAX as f64 / found.len() as f64;
            found.retain(|(id, ..)| (xxh3_64(id) as f64) < share * u64::MAX as f64);
            sides.share = Some(share);
        }
        // The order of reading must not show.
        found.sort_unstable();
        let mut starts: Vec<i64> = found.iter().map(|(_, start, ..)| *start).collect();
        starts.sort_unstable();
        *times = Times::of(&starts);
        let is_sampled = found.iter().any(|(.., weight)| *weight != 1f64.to_bits());
        for (id, start, spans, selected, weight) in found {
            times.add(start, selected);
            sides.counts.add(selected);
            let next = u32::try_from(sides.selected.len()).unwrap_or(u32::MAX);
            sides.traces.insert(id, next);
            sides.selected.push(selected);
            if is_one_kind {
                sides.sizes.push(size_of_trace(spans));
            }
            if is_sampled {
                sides.weights.push(f64::from_bits(weight));
            }
        }
        sides
    }
}
