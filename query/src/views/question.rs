//! Table functions with arguments of their own, beside those that take a range only ([`crate::View`]).
mod arguments;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result as PlanResult;
use storage::TimeRange;

pub(crate) use arguments::Arguments;

use super::compare::{self, Compare, Unit};
use super::condition::Condition;
use super::critical_path::{self, Roots};
use super::descendants::{self, Descendants};
use super::forest::Texts;
use super::heatmap::{self, Heatmap};
use super::load::Source;
use super::{Notes, checks, missing, network, patterns, structure, unowned};
use crate::check::{Check, CheckFile};

/// Their names.
pub(crate) const NAMES: [&str; 16] = [
    "patterns",
    "pattern",
    "compare",
    "compare_spans",
    "critical_path",
    "structure",
    "descendants",
    "calls",
    "self_time",
    "trace_tree",
    "unowned",
    "latency_heatmap",
    "trace_pattern",
    "missing_parents",
    "network_caused_services",
    "checks",
];

/// One question with its arguments.
#[derive(Debug)]
pub(crate) enum Question {
    /// Traces by shape.
    Patterns(TimeRange),
    /// The tree of one shape.
    Pattern { pattern: u64, range: TimeRange },
    /// What a selection has that a baseline has not.
    Compare(Compare),
    /// The critical path of one trace.
    TracePath([u8; 16]),
    /// The critical paths of many traces together.
    Paths(Roots),
    /// Each span's place in its tree.
    Structure(TimeRange),
    /// Spans below others.
    Descendants(Descendants),
    /// Self times by operation.
    SelfTime(TimeRange),
    /// One trace as text.
    TraceTree([u8; 16]),
    /// Requests that no handler answered.
    Unowned(TimeRange),
    /// How long traces took over time.
    Heatmap(Heatmap),
    /// Parents that are not there, and why.
    MissingParents(TimeRange),
    /// Bytes by the service that caused them.
    CausedServices(TimeRange),
    /// What has to be true of every trace.
    Checks { checks: Vec<Check>, range: TimeRange },
    /// The pattern of one trace.
    TracePattern([u8; 16]),
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
            "critical_path" => path_of(arguments),
            "structure" => {
                arguments.at_most(2, "structure(from, to)")?;
                Ok(Self::Structure(arguments.range(0)?))
            }
            "self_time" => {
                arguments.at_most(2, "self_time(from, to)")?;
                Ok(Self::SelfTime(arguments.range(0)?))
            }
            "unowned" => {
                arguments.at_most(2, "unowned(from, to)")?;
                Ok(Self::Unowned(arguments.range(0)?))
            }
            "missing_parents" => {
                arguments.at_most(2, "missing_parents(from, to)")?;
                Ok(Self::MissingParents(arguments.range(0)?))
            }
            "network_caused_services" => {
                arguments.at_most(2, "network_caused_services(from, to)")?;
                Ok(Self::CausedServices(arguments.range(0)?))
            }
            "checks" => {
                arguments.at_most(3, "checks(checks, from, to)")?;
                let json = arguments.needed(0, "the checks as JSON: docs/checks.md")?;
                let checks = CheckFile::parse(&json)?.checks()?;
                Ok(Self::Checks { checks, range: arguments.range(1)? })
            }
            "latency_heatmap" => Ok(Self::Heatmap(heatmap_of(arguments)?)),
            "trace_pattern" => {
                arguments.at_most(1, "trace_pattern(trace_id)")?;
                Ok(Self::TracePattern(arguments.trace_id(0)?))
            }
            "descendants" | "calls" => Ok(Self::Descendants(descendants_of(name, arguments)?)),
            "trace_tree" => {
                arguments.at_most(1, "trace_tree(trace_id)")?;
                Ok(Self::TraceTree(arguments.trace_id(0)?))
            }
            other => Err(format!("there is no function {other}")),
        }
    }

    /// The columns of its answer.
    pub(crate) fn schema(&self) -> PlanResult<SchemaRef> {
        let texts = Texts::default();
        let empty = match self {
            Self::Checks { .. } => return checks::schema(),
            Self::Patterns(_) => patterns::batch(&texts, &[])?,
            Self::Pattern { .. } => patterns::tree_batch(&[])?,
            Self::Compare(_) => compare::batch(&[])?,
            Self::TracePath(_) => critical_path::piece_batch(&texts, &[])?,
            Self::Paths(_) => critical_path::part_batch(&texts, &[])?,
            Self::Structure(_) => structure::batch(&texts, &[])?,
            Self::Descendants(_) => descendants::batch(&texts, &[])?,
            Self::SelfTime(_) => structure::self_batch(&texts, &[])?,
            Self::TraceTree(_) => structure::tree_batch(&texts, &[])?,
            Self::Unowned(_) => unowned::batch(&[])?,
            Self::Heatmap(_) => heatmap::batch(&[])?,
            Self::CausedServices(_) => network::services::batch(&texts, &[])?,
            Self::MissingParents(_) => missing::batch(&texts, &[])?,
            Self::TracePattern(_) => patterns::one::batch(&texts, &[])?,
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
            Self::TracePath(trace) => critical_path::of_trace(source, *trace).await,
            Self::Paths(roots) => critical_path::of_roots(source, roots, notes).await,
            Self::Structure(range) => structure::answer(source, *range).await,
            Self::Descendants(descendants) => descendants.answer(source).await,
            Self::SelfTime(range) => structure::self_time(source, *range).await,
            Self::TraceTree(trace) => structure::tree_answer(source, *trace).await,
            Self::Unowned(range) => unowned::answer(&source, *range).await,
            Self::Heatmap(heatmap) => heatmap.answer(source, notes).await,
            Self::Checks { checks, range } => {
                Ok(vec![checks::answer(source, checks, *range).await?])
            }
            Self::CausedServices(range) => network::services::answer(source, *range, notes).await,
            Self::MissingParents(range) => missing::answer(source, *range, notes).await,
            Self::TracePattern(trace) => patterns::one::of_trace(source, *trace).await,
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

/// `critical_path(trace_id)` or `critical_path(from, to, root_service, root_name)`.
fn path_of(arguments: &Arguments<'_>) -> Result<Question, String> {
    let first = arguments.text(0).ok().flatten();
    if let Some(trace) = first.as_deref().and_then(arguments::trace_id) {
        arguments.at_most(1, "critical_path(trace_id)")?;
        return Ok(Question::TracePath(trace));
    }
    arguments.at_most(4, "critical_path(from, to, root_service, root_name)")?;
    let (service, name) = (arguments.text(2)?, arguments.text(3)?);
    Ok(Question::Paths(Roots { range: arguments.range(0)?, service, name }))
}

/// `latency_heatmap(from, to, root_service, root_name, step, rows)`.
fn heatmap_of(arguments: &Arguments<'_>) -> Result<Heatmap, String> {
    arguments.at_most(6, "latency_heatmap(from, to, root_service, root_name, step, rows)")?;
    let (service, name) = (arguments.text(2)?, arguments.text(3)?);
    let roots = Roots { range: arguments.range(0)?, service, name };
    Heatmap::new(roots, arguments.duration(4)?, arguments.whole(5)?)
}

/// `descendants(above, below, from, to)` with conditions, `calls(caller, callee, from, to)` with services.
fn descendants_of(name: &str, arguments: &Arguments<'_>) -> Result<Descendants, String> {
    arguments.at_most(4, "(above, below, from, to)")?;
    let (above, below) = match name {
        "calls" => {
            let caller = arguments.needed(0, "the calling service")?;
            let callee = arguments.needed(1, "the called service")?;
            (Condition::service(&caller), Condition::service(&callee))
        }
        _ => {
            let above = arguments.needed(0, "a condition for spans, such as kind = 'CLIENT'")?;
            let below = arguments.needed(1, "a condition for spans below them")?;
            (Condition::parse(above)?, Condition::parse(below)?)
        }
    };
    Ok(Descendants { above, below, range: arguments.range(2)? })
}
