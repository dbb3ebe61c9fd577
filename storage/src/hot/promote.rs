//! Decides which attributes occur often enough for a column of their own.
use hashbrown::HashMap;

use crate::batch::{RestCount, SpanBatch};
use crate::schema::{AttributeScope, AttributeType};

/// An attribute is frequent when one span in this many carries it.
const ROWS_PER_SPAN: u64 = 100;
/// While a buffer fills, this many spans must have carried it.
const SPANS_MIN: u64 = 100;
/// At a flush fewer are enough, but a handful is no reason for a column that stays for ever.
const SPANS_MIN_AT_FLUSH: u64 = 10;

/// A frequent attribute, with the type that most of its values have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frequent {
    pub(crate) scope: AttributeScope,
    pub(crate) key: String,
    pub(crate) kind: AttributeType,
}

/// Counts since the last flush.
#[derive(Debug, Default)]
pub(crate) struct Promotion {
    rows: u64,
    /// By scope, then key: most keys were counted before, and need no copy then.
    counts: HashMap<AttributeScope, HashMap<String, Counts>>,
}

/// Spans by type of the value.
#[derive(Debug, Default)]
struct Counts {
    by_kind: [u64; 4],
    given: bool,
}

const KINDS: [AttributeType; 4] =
    [AttributeType::String, AttributeType::Int, AttributeType::Double, AttributeType::Bool];

impl Counts {
    fn spans(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    fn kind(&self) -> AttributeType {
        let most = self.by_kind.iter().copied().max();
        let index = self.by_kind.iter().position(|spans| Some(*spans) == most);
        KINDS[index.unwrap_or(0)]
    }
}

impl Promotion {
    /// Adds the counts of `batch`; returns attributes that have become frequent by it.
    pub(crate) fn count(&mut self, batch: &SpanBatch) -> Vec<Frequent> {
        self.rows += batch.rows() as u64;
        let mut frequent = Vec::new();
        for rest in batch.rest() {
            let found = self.add(rest);
            frequent.extend(found);
        }
        frequent
    }

    /// Attributes frequent in everything counted; then starts anew.
    pub(crate) fn finish(&mut self) -> Vec<Frequent> {
        let rows = std::mem::take(&mut self.rows);
        let counts = std::mem::take(&mut self.counts);
        let mut frequent: Vec<Frequent> = counts
            .into_iter()
            .flat_map(|(scope, keys)| {
                keys.into_iter().map(move |(key, counts)| (scope, key, counts))
            })
            .filter(|(.., counts)| !counts.given && is_frequent(counts, rows, SPANS_MIN_AT_FLUSH))
            .map(|(scope, key, counts)| Frequent { scope, key, kind: counts.kind() })
            .collect();
        // The map's order is random; the order of columns should not be.
        frequent.sort_unstable_by(|a, b| (a.scope, &a.key).cmp(&(b.scope, &b.key)));
        frequent
    }

    fn add(&mut self, rest: &RestCount) -> Option<Frequent> {
        let rows = self.rows;
        let counts = self.counts.entry(rest.scope).or_default().entry_ref(&rest.key).or_default();
        let kind = KINDS.iter().position(|kind| *kind == rest.kind)?;
        counts.by_kind[kind] += rest.spans;
        if counts.given || !is_frequent(counts, rows, SPANS_MIN) {
            return None;
        }
        counts.given = true;
        Some(Frequent { scope: rest.scope, key: rest.key.clone(), kind: counts.kind() })
    }
}

fn is_frequent(counts: &Counts, rows: u64, spans_min: u64) -> bool {
    let spans = counts.spans();
    spans >= spans_min && spans.saturating_mul(ROWS_PER_SPAN) >= rows
}
