//! The order of rows: findings by significance, and within one finding what tells a reader most.
//!
//! Values that exactly the same traces or spans have cannot be told apart by counting: the statement, its summary, the span's
//! name; the server's name and its address. Which one is the cause is not known; but the one that says most should be read first.
use std::cmp::Reverse;

use hashbrown::HashMap;
use storage::schema::column;

use super::{Row, Scope, significance};

/// Rows of one answer, intervals of time not among them.
const ROWS_MAX: usize = 1_000;

/// A row in its place.
#[derive(Debug)]
pub(crate) struct Ranked {
    pub(crate) row: Row,
    pub(crate) position: i64,
    /// Position of the first row that the same traces or spans have.
    pub(crate) same_as: i64,
    pub(crate) p_value: f64,
    pub(crate) evidence: f64,
}

/// Puts rows in order: by significance, findings together. Intervals of time come along.
pub(crate) fn ranked(values: Vec<Row>, times: Vec<Row>) -> Vec<Ranked> {
    // Where durations are known, each value is looked at twice.
    let looks = if values.iter().any(|row| row.duration() > 0.0) { 2.0 } else { 1.0 };
    let tests = values.len() as f64 * looks;
    let mut rows = ordered(values.into_iter().filter(|row| row.evidence() > 0.0));
    rows.truncate(ROWS_MAX);
    rows.extend(times);
    let mut first = HashMap::new();
    (1..)
        .zip(ordered(rows.into_iter()))
        .map(|(position, row)| {
            let evidence = row.evidence();
            Ranked {
                position,
                same_as: *first.entry(row.finding()).or_insert(position),
                // Bonferroni: so many values were looked at that some differ by chance.
                p_value: (significance::p_value(evidence) * tests.max(1.0)).min(1.0),
                evidence,
                row,
            }
        })
        .collect()
}

/// By significance; of equally significant findings the more telling one first, whole.
fn ordered(rows: impl Iterator<Item = Row>) -> Vec<Row> {
    let keyed = rows.map(|row| (row.evidence(), Telling::of(&row), row));
    let mut rows: Vec<(f64, Telling, Row)> = keyed.collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut first = HashMap::new();
    for (place, (.., row)) in rows.iter().enumerate() {
        first.entry(row.finding()).or_insert(place);
    }
    let mut rows: Vec<Row> = rows.into_iter().map(|(.., row)| row).collect();
    // Stable: within a finding they keep their order.
    rows.sort_by_cached_key(|row| first[&row.finding()]);
    rows
}

/// Of what the same traces or spans have, the smallest comes first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Telling {
    place: Place,
    words: Reverse<usize>,
    scope: Scope,
    key: String,
    value: String,
}

/// What a value is about.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// What the span itself did, in words.
    Span,
    /// The service that did it.
    Service,
    /// The process, the library, the machine.
    Process,
    /// Of the span, but only a number, an address, an id.
    Opaque,
}

impl Telling {
    fn of(row: &Row) -> Self {
        let words = letters_of_words(&row.value);
        let place = match (row.scope, row.key.as_str()) {
            (Scope::Field, column::SERVICE) => Place::Service,
            (Scope::Resource, _) | (Scope::Field, column::SCOPE_NAME) => Place::Process,
            _ if words == 0 => Place::Opaque,
            _ => Place::Span,
        };
        let (key, value) = (row.key.clone(), row.value.clone());
        Self { place, words: Reverse(words), scope: row.scope, key, value }
    }
}

/// Letters in words: parts without digits. Neither addresses nor ids have many.
fn letters_of_words(value: &str) -> usize {
    let words = value.split(|letter: char| !letter.is_alphanumeric());
    let words = words.filter(|word| !word.contains(char::is_numeric));
    words.map(|word| word.chars().count()).sum()
}

#[cfg(test)]
mod tests;
