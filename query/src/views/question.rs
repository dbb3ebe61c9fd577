//! Table functions with arguments of their own, beside those that take a range only ([`crate::View`]).
mod arguments;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as PlanResult;
use storage::TimeRange;

pub(crate) use arguments::Arguments;

use super::compare::{self, Compare, Unit};
use super::condition::Condition;
use super::forest::Texts;
use super::load::Source;
use super::{Notes, patterns};

/// Their names.
pub(crate) const NAMES: [&str; 4] = ["patterns", "pattern", "compare", "compare_spans"];

/// One question with its arguments.
#[derive(Debug)]
pub(crate) enum Question {
    /// Traces by shape.
    Patterns(TimeRange),
    /// The tree of one shape.
    Pattern { pattern: u64, range: TimeRange },
    /// What a selection has that a baseline has not.
    Compare(Compare),
}

impl Question {
    /// Reads the arguments of the function `name`.
    ///
    /// # Errors
    /// Words about what is wrong with them.
    pub(crate) fn parse(name: &str, arguments: &Arguments<'_>) -> Result<Self, String> {
        match name {
            "patterns" => {
                arguments.at_most(2, "patterns(from, to)")?;
                Ok(Self::Patterns(arguments.range(0)?))
            }
            "pattern" => {
                arguments.at_most(3, "pattern(pattern, from, to)")?;
                let pattern = arguments.needed(0, "the pattern, as the view patterns names it")?;
                let pattern = patterns::parse(&pattern)?;
                Ok(Self::Pattern { pattern, range: arguments.range(1)? })
            }
            "compare" => Ok(Self::Compare(compare_of(Unit::Traces, arguments)?)),
            "compare_spans" => Ok(Self::Compare(compare_of(Unit::Spans, arguments)?)),
            other => Err(format!("there is no function {other}")),
        }
    }

    /// The columns of its answer.
    pub(crate) fn schema(&self) -> PlanResult<SchemaRef> {
        let empty = match self {
            Self::Patterns(_) => patterns::batch(&Texts::default(), &[])?,
            Self::Pattern { .. } => patterns::tree_batch(&[])?,
            Self::Compare(_) => compare::batch(&[])?,
        };
        Ok(empty.schema())
    }

    /// The rows. `bytes`: the column of that name will be read.
    pub(crate) async fn answer(
        &self,
        source: Source,
        bytes: bool,
        notes: &mut Notes,
    ) -> PlanResult<Vec<RecordBatch>> {
        match self {
            Self::Patterns(range) => patterns::answer(source, *range, bytes, notes).await,
            Self::Pattern { pattern, range } => {
                patterns::tree_answer(source, *range, *pattern).await
            }
            Self::Compare(compare) => compare.answer(source, notes).await,
        }
    }
}

fn compare_of(unit: Unit, arguments: &Arguments<'_>) -> Result<Compare, String> {
    arguments.at_most(4, "(selection, baseline, from, to)")?;
    let selection = arguments.needed(0, "the selection: a condition such as 'root_error'")?;
    let baseline = arguments.text(1)?.map(Condition::parse).transpose()?;
    let range = arguments.range(2)?;
    Ok(Compare { unit, selection: Condition::parse(selection)?, baseline, range })
}
