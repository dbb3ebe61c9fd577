//! Checks: what has to be true of every trace, such as "where the cache hit, there is no call of a database below".
//!
//! ```text
//! conditions of all checks -> the spans that satisfy them (descendants::Marks) -> the traces with a span to be checked
//!   -> their trees -> each span that `when` names is counted, and noted where it does not hold
//! ```
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use hashbrown::HashSet;
use storage::TimeRange;

use super::condition::Condition;
use super::descendants::Marks;
use super::forest::{Forest, Trace};
use super::load::Source;
use super::rows::Columns;
use super::sweep::{Harvest, Sweep};
use super::tree::Tree;
use crate::check::{Check, Expect, Place};

/// Traces up to this number are read by their ids.
const TRACES_BY_ID_MAX: usize = 1_000;
/// Failing spans that are named, of each check.
const EXAMPLES_MAX: usize = 10;
/// Checks at once.
const CHECKS_MAX: usize = 200;

/// A check with the spans that its conditions name.
struct Prepared<'a> {
    check: &'a Check,
    when: Marks,
    /// In the order of the conditions.
    expected: Vec<Marks>,
}

/// How one check went.
#[derive(Debug, Clone, Default)]
struct Outcome {
    tested: i64,
    failed: i64,
    /// Trace and span, smallest ids first, and how many spans were found.
    examples: Vec<([u8; 16], u64, i64)>,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.tested += other.tested;
        self.failed += other.failed;
        self.examples.extend(other.examples);
        self.cut();
    }

    fn cut(&mut self) {
        self.examples.sort_unstable();
        self.examples.truncate(EXAMPLES_MAX);
    }
}

/// A check and how it went.
struct Row<'a> {
    check: &'a Check,
    outcome: Outcome,
}

/// Tests `checks` on the spans that start within `range`; one row a check, in their order.
///
/// # Errors
/// A condition is wrong, or there is too much to be held in the memory of one query.
pub(crate) async fn answer(
    source: Source,
    checks: &[Check],
    range: TimeRange,
) -> Result<RecordBatch> {
    if checks.len() > CHECKS_MAX {
        return datafusion::common::plan_err!(
            "{} checks at once, at most {CHECKS_MAX}",
            checks.len()
        );
    }
    let mut prepared = Vec::new();
    let mut held = 0;
    for check in checks {
        let own = Prepared::new(&source, check, range).await?;
        held += own.bytes();
        source.hold(held)?;
        prepared.push(own);
    }
    let outcomes = outcomes(source, &prepared, range, held).await?;
    let rows: Vec<Row<'_>> =
        checks.iter().zip(outcomes).map(|(check, outcome)| Row { check, outcome }).collect();
    batch(&rows)
}

/// The columns of an answer.
pub(crate) fn schema() -> Result<SchemaRef> {
    Ok(batch(&[])?.schema())
}

async fn outcomes(
    source: Source,
    prepared: &[Prepared<'_>],
    range: TimeRange,
    held: usize,
) -> Result<Vec<Outcome>> {
    let none = || Tested { prepared, outcomes: vec![Outcome::default(); prepared.len()] };
    let traces: HashSet<[u8; 16]> = prepared.iter().flat_map(|own| own.when.traces()).collect();
    let mut all = none();
    if traces.len() <= TRACES_BY_ID_MAX {
        let forest = source.few(traces).await?;
        all.add(&forest, true);
        return Ok(all.outcomes);
    }
    let mut sweep = Sweep::new(source, range, Default::default());
    sweep.keep(held)?;
    while let Some(slice) = sweep.next(none).await? {
        for (own, more) in all.outcomes.iter_mut().zip(slice.outcomes) {
            own.merge(more);
        }
    }
    Ok(all.outcomes)
}

impl<'a> Prepared<'a> {
    async fn new(source: &Source, check: &'a Check, range: TimeRange) -> Result<Self> {
        let condition = |text: &str| {
            Condition::parse(text.to_owned()).map_err(|words| {
                datafusion::common::plan_datafusion_err!("check {:?}: {words}", check.name)
            })
        };
        let when = Marks::of(source, range, &condition(&check.when)?, None).await?;
        let window = super::load::window(range);
        let mut expected = Vec::new();
        for text in check.expect.conditions() {
            expected.push(Marks::of(source, window, &condition(text)?, Some(&when)).await?);
        }
        Ok(Self { check, when, expected })
    }

    fn bytes(&self) -> usize {
        self.when.bytes() + self.expected.iter().map(Marks::bytes).sum::<usize>()
    }

    /// Whether the check holds for the span at `own`, and how many spans were found.
    fn test(&self, id: &[u8; 16], trace: &Trace<'_>, tree: &Tree, own: u32) -> (bool, i64) {
        let has = |number: usize, at: u32| {
            self.expected.get(number).is_some_and(|marks| marks.has(id, trace.span(at)))
        };
        match &self.check.expect {
            Expect::Count { place, at_least, at_most, .. } => {
                let found = around(*place, trace, tree, own).into_iter().filter(|at| has(0, *at));
                let found = i64::try_from(found.count()).unwrap_or(i64::MAX);
                (*at_least <= found && at_most.is_none_or(|most| found <= most), found)
            }
            Expect::Order(conditions) => {
                let below = around(Place::Below, trace, tree, own);
                let first = |number: usize| {
                    let starts = below.iter().filter(|at| has(number, **at));
                    starts.map(|at| trace.span(*at).start).min()
                };
                let starts: Vec<i64> = (0..conditions.len()).filter_map(first).collect();
                (starts.is_sorted(), i64::try_from(starts.len()).unwrap_or(i64::MAX))
            }
        }
    }
}

/// The spans that a check looks at.
fn around(place: Place, trace: &Trace<'_>, tree: &Tree, own: u32) -> Vec<u32> {
    match place {
        Place::Children => tree.children(own).to_vec(),
        Place::Trace => (0..trace.len()).collect(),
        Place::Above => std::iter::successors(tree.above(own), |at| tree.above(*at)).collect(),
        Place::Below => {
            let mut below = tree.children(own).to_vec();
            let mut next = 0;
            while let Some(at) = below.get(next).copied() {
                below.extend(tree.children(at));
                next += 1;
            }
            below
        }
    }
}

/// How checks go in some traces.
struct Tested<'a> {
    prepared: &'a [Prepared<'a>],
    outcomes: Vec<Outcome>,
}

impl Harvest for Tested<'_> {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for trace in forest.traces() {
            let id = forest.trace_id(trace.index());
            if self.prepared.iter().all(|own| !own.when.has_trace(&id)) {
                continue;
            }
            let tree = Tree::of(&trace);
            for (own, outcome) in self.prepared.iter().zip(&mut self.outcomes) {
                let spans = (0..trace.len()).filter(|at| own.when.has(&id, trace.span(*at)));
                for at in spans {
                    let (holds, found) = own.test(&id, &trace, &tree, at);
                    outcome.tested += 1;
                    if !holds {
                        outcome.failed += 1;
                        outcome.examples.push((id, trace.span(at).id, found));
                    }
                }
                if outcome.examples.len() > EXAMPLES_MAX * 8 {
                    outcome.cut();
                }
            }
        }
        self.outcomes.iter_mut().for_each(Outcome::cut);
    }

    fn bytes(&self) -> usize {
        self.outcomes.len() * (size_of::<Outcome>() + EXAMPLES_MAX * 8 * 32)
    }
}

fn batch(rows: &[Row<'_>]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("name", |row| row.check.name.as_str())
        .flag("passed", |row| row.outcome.failed == 0)
        .big("tested", |row| row.outcome.tested)
        .big("failed", |row| row.outcome.failed)
        .text("expected", |row| row.check.expect.words())
        .text("examples", |row| {
            let example = |(trace, span, found): &([u8; 16], u64, i64)| {
                format!("{}/{span:016x} ({found} found)", hex::encode(trace))
            };
            row.outcome.examples.iter().map(example).collect::<Vec<_>>().join(", ")
        })
        .finish()
}
