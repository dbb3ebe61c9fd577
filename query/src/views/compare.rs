//! `compare`, `compare_spans`: what a selection of traces or spans has that a baseline has not, and the other way round.
//!
//! ```text
//! conditions -> sides: which traces (by the view traces) or spans (while they are read) stand where
//!            -> tally: one pass over the spans counts each attribute's values on both sides
//!            -> rows, ranked by significance; intervals of time in which the selection is dense, likewise
//! ```
//! Of traces that begin with the same operation those with many spans have more of everything, and take longer: there a
//! difference counts only as far as it is among traces of about the same size, too, and spans that got slow count as well.
//! What exactly the same traces or spans have is one finding, of which the value that tells most comes first.
mod leaves;
mod order;
mod sides;
pub(super) mod significance;
mod tally;
mod times;
mod values;
mod weights;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use storage::TimeRange;

use super::Notes;
use super::condition::Condition;
use super::load::Source;
use super::rows::Columns;
use leaves::Leaves;
use order::{Ranked, ranked};
use significance::Table;
use times::Times;
use weights::Estimates;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Traces; a trace has a value where any of its spans has it.
    Traces,
    /// Spans.
    Spans,
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Compare {
    /// What is counted.
    pub(crate) unit: Unit,
    /// What stands in the selection.
    pub(crate) selection: Condition,
    /// What stands in the baseline; everything that is not in the selection where absent.
    pub(crate) baseline: Option<Condition>,
    /// Where both lie.
    pub(crate) range: TimeRange,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// A column of every span: service, name, kind, status.
    Field,
    /// A span's attributes.
    Attribute,
    /// The attributes of its resource.
    Resource,
    /// The time of its start.
    Time,
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Attribute => "attribute",
            Self::Resource => "resource",
            Self::Time => "time",
        }
    }
}

/// One value and where it occurs.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) scope: Scope,
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) table: Table,
    /// Of traces: the statistic among those of one size; `None` of others.
    pub(crate) within: Option<f64>,
    /// What those who have it stand for; `None` of an interval of time.
    pub(crate) estimates: Option<Estimates>,
    /// How long its spans took; nothing where spans are counted.
    pub(crate) leaves: Leaves,
    /// Equal where the same traces or spans have the value.
    pub(crate) signature: u64,
    /// Of an interval of time.
    pub(crate) interval: Option<TimeRange>,
}

impl Row {
    /// How well it tells the sides apart by being there: chi-squared with one degree of freedom.
    fn presence(&self) -> f64 {
        let g = self.table.g();
        self.within.map_or(g, |within| within.min(g))
    }

    /// The same by how long its spans take.
    fn duration(&self) -> f64 {
        self.leaves.chi_squared(self.table.with)
    }

    fn evidence(&self) -> f64 {
        self.presence().max(self.duration())
    }

    fn is_by_duration(&self) -> bool {
        self.duration() > self.presence()
    }

    /// Equal where it is the same finding: the same traces, and where durations tell, the same spans.
    fn finding(&self) -> u64 {
        if self.is_by_duration() {
            return self.signature.wrapping_add(self.leaves.signature());
        }
        self.signature
    }
}

impl Compare {
    /// The values, the most significant difference first.
    pub(crate) async fn answer(
        &self,
        source: Source,
        notes: &mut Notes,
    ) -> Result<Vec<RecordBatch>> {
        let mut times = Times::over(&source.tables.snapshot, self.range);
        let (source, tally) = match self.unit {
            Unit::Traces => {
                let (source, sides) = sides::of_traces(self, source, &mut times).await?;
                if let Some(share) = sides.share {
                    notes.push(("share_of_traces_read", format!("{share:.4}")));
                }
                let is_one_kind = sides.is_one_kind();
                let (tally, parents) = values::read_traces(&source, self.range, sides).await?;
                if is_one_kind && parents.is_none() {
                    notes.push(("durations", "not compared: too many spans".to_owned()));
                }
                (source, tally)
            }
            Unit::Spans => {
                let tally = values::read_spans(&source, self, &mut times).await?;
                (source, tally)
            }
        };
        let total = tally.total();
        notes.push(("selection", total.selection.to_string()));
        notes.push(("baseline", total.baseline.to_string()));
        if let Some(keys) = tally.keys_with_many_values() {
            notes.push(("rare_values_left_out_of", keys));
        }
        let values = tally.rows();
        source.hold(tally.bytes() + values.len() * (size_of::<Row>() + 64))?;
        // Sides that are told apart by their time differ in it: nothing new.
        let times = if self.is_of_times() { Vec::new() } else { times.rows() };
        Ok(vec![batch(&ranked(values, times))?])
    }

    /// True where a side is defined by when it starts.
    fn is_of_times(&self) -> bool {
        let mut sides = std::iter::once(&self.selection).chain(&self.baseline);
        sides.any(|side| side.mentions("start_time"))
    }
}

/// The columns.
pub(crate) fn batch(rows: &[Ranked]) -> Result<RecordBatch> {
    Columns::of(rows)
        .big("position", |ranked| ranked.position)
        .text("scope", |ranked| ranked.row.scope.word())
        .text("key", |ranked| ranked.row.key.as_str())
        .text("value", |ranked| ranked.row.value.as_str())
        .big("selection", |ranked| ranked.row.table.with.selection)
        .big("baseline", |ranked| ranked.row.table.with.baseline)
        .float_or_null("selection_share", |ranked| ranked.row.table.shares().0)
        .float_or_null("baseline_share", |ranked| ranked.row.table.shares().1)
        .float_or_null("lift", |ranked| ranked.row.table.lift())
        .float("g", |ranked| ranked.row.table.g())
        .float("p_value", |ranked| ranked.p_value)
        .big("same_as", |ranked| ranked.same_as)
        .time_or_null("from_time", |ranked| ranked.row.interval.map(|interval| interval.from))
        .time_or_null("to_time", |ranked| ranked.row.interval.map(|interval| interval.until))
        .float("evidence", |ranked| ranked.evidence)
        .text("told_by", |ranked| match ranked.row.is_by_duration() {
            true => "duration",
            false => "presence",
        })
        .big_or_null("selection_leaf_nano", |ranked| ranked.row.leaves.means()[0])
        .big_or_null("baseline_leaf_nano", |ranked| ranked.row.leaves.means()[1])
        .float_or_null("weighted_selection", |ranked| Some(ranked.row.estimates?.totals[0]))
        .float_or_null("weighted_selection_error", |ranked| Some(ranked.row.estimates?.errors[0]))
        .float_or_null("weighted_baseline", |ranked| Some(ranked.row.estimates?.totals[1]))
        .float_or_null("weighted_baseline_error", |ranked| Some(ranked.row.estimates?.errors[1]))
        .finish()
}

/// Counts on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) selection: i64,
    pub(crate) baseline: i64,
}

impl Counts {
    /// Counts one more.
    pub(crate) fn add(&mut self, selected: bool) {
        if selected {
            self.selection += 1;
        } else {
            self.baseline += 1;
        }
    }

    /// Both together.
    pub(crate) fn all(self) -> i64 {
        self.selection + self.baseline
    }
}

#[cfg(test)]
mod tests;
