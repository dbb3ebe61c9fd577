//! Which operations a wanted trace can begin with, and what that says of a file: how long its wanted traces last at most,
//! and which of its spans can be the beginning of one.
//!
//! The conditions on `root_service`, `root_name` and `root_error` are asked of the operations that rollups name, each once.
use std::sync::Arc;

use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, col, lit};
use hashbrown::{HashMap, HashSet};
use storage::rollup::{Bound, Rollup};
use storage::schema::column;

use super::Row;
use super::filter::{Filter, HeadCondition};
use crate::views::forest::Texts;

/// See the module.
pub(super) struct Heads {
    condition: Option<HeadCondition>,
    /// By service, operation and whether it failed.
    known: HashMap<(u32, u32, bool), bool>,
}

/// What one file may have of what is wanted.
#[derive(Debug, Default)]
pub(super) struct Possible {
    /// How long the traces last at most that it has whole; `None` where none is wanted.
    pub(super) traces_nano: Option<i64>,
    /// How long the spans last at most that a wanted trace can begin with; `None` where there are none.
    pub(super) spans_nano: Option<i64>,
    /// Root operations of its wanted traces.
    pub(super) roots: Roots,
    /// Of which services and operations they are, where that says something.
    named: Option<(Vec<String>, Vec<String>)>,
    only_errors: bool,
}

/// Services and operations as keys of a list's texts; `None`: all.
pub(super) type Roots = Option<Arc<HashSet<(u32, u32)>>>;

/// What the span that a wanted trace begins with is like.
pub(super) struct Beginning {
    /// Over stored spans.
    pub(super) filter: Expr,
    /// The same in words, without the duration.
    pub(super) words: String,
    /// How long it lasts at least.
    pub(super) shortest: i64,
}

/// Lists of names up to this number are asked of files.
const NAMES_MAX: usize = 64;

impl Heads {
    /// As `filter` says.
    pub(super) fn of(filter: &Filter) -> Result<Self> {
        Ok(Self { condition: filter.heads()?, known: HashMap::new() })
    }

    /// What a file may have.
    pub(super) fn possible(
        &mut self,
        rollup: &Rollup,
        filter: &Filter,
        texts: &mut Texts,
    ) -> Result<Possible> {
        let longest = rollup.longest();
        if self.condition.is_none() {
            let known = |nano: i64| (nano > i64::MIN).then_some(nano);
            return Ok(Possible {
                traces_nano: known(longest.trace_nano),
                spans_nano: known(longest.span_nano),
                ..Possible::default()
            });
        }
        let mut bounds = Vec::new();
        rollup.bounds(&mut |bound| bounds.push(bound));
        self.find_out(&bounds, filter, texts)?;
        let mut possible = Possible { only_errors: true, ..Possible::default() };
        let (mut services, mut names) = (Vec::new(), Vec::new());
        let mut roots = HashSet::new();
        for bound in &bounds {
            let keys = (texts.id(bound.service), texts.id(bound.name));
            let holds = |error| self.known.get(&(keys.0, keys.1, error)) == Some(&true);
            let (failed, others) =
                (bound.errors > 0 && holds(true), bound.errors < bound.count && holds(false));
            if !failed && !others {
                continue;
            }
            let longest = match bound.of_traces {
                true => &mut possible.traces_nano,
                false => &mut possible.spans_nano,
            };
            *longest = (*longest).max(Some(bound.longest_nano));
            if bound.of_traces {
                roots.insert(keys);
            } else {
                possible.only_errors &= !others;
                services.push(bound.service.to_owned());
                names.push(bound.name.to_owned());
            }
        }
        possible.roots = Some(Arc::new(roots));
        possible.named = Some((services, names));
        Ok(possible)
    }

    /// Asks the condition of what was not seen before.
    fn find_out(&mut self, bounds: &[Bound<'_>], filter: &Filter, texts: &mut Texts) -> Result<()> {
        let Some(condition) = &self.condition else { return Ok(()) };
        let mut new = Vec::new();
        for bound in bounds {
            let (service, name) = (texts.id(bound.service), texts.id(bound.name));
            for error in [false, true] {
                if !self.known.contains_key(&(service, name, error)) {
                    self.known.insert((service, name, error), false);
                    new.push(Row::head(service, name, error));
                }
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let holds = filter.holds_of(condition, texts, &new)?;
        for (row, holds) in new.iter().zip(&holds) {
            self.known.insert((row.service, row.name, row.error), holds == Some(true));
        }
        Ok(())
    }
}

impl Possible {
    /// Conditions on stored spans that the beginning of a wanted trace satisfies, which lasts `shortest` at least; `None`
    /// where it may be any span.
    pub(super) fn beginning(self, shortest: i64) -> Option<Beginning> {
        let mut parts = Vec::new();
        if let Some((services, names)) = self.named {
            for (name, mut words) in [(column::SERVICE, services), (column::NAME, names)] {
                words.sort_unstable();
                words.dedup();
                if words.len() <= NAMES_MAX {
                    let words = words.into_iter().map(text).collect();
                    parts.push(col(name).in_list(words, false));
                }
            }
            if self.only_errors {
                parts.push(col(column::STATUS).eq(text("ERROR".to_owned())));
            }
        }
        let named = parts.into_iter().reduce(Expr::and);
        let words = named.as_ref().map_or_else(String::new, |named| format!("{named:?}"));
        let lasting = (shortest > 0).then(|| col(column::DURATION).gt_eq(lit(shortest)));
        let filter = named.into_iter().chain(lasting).reduce(Expr::and)?;
        Some(Beginning { filter, words, shortest })
    }
}

/// A constant of the type that stored texts have.
fn text(word: String) -> Expr {
    lit(ScalarValue::Utf8View(Some(word)))
}
