//! Which texts a column has in a file, as hashes: a file without a text need not be opened to look for it.
//!
//! Learnt from dictionaries as searches read them. Files never change, so what is known of one stays true.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, AsArray};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal};
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use crate::cache::{Account, VOCABULARIES};

/// See the module. Four bytes for each value of a dictionary; where there is no room, everything is forgotten and learnt
/// anew.
#[derive(Debug)]
pub(crate) struct Vocabularies {
    held: Mutex<Held>,
    pub(super) account: Account,
}

impl Default for Vocabularies {
    fn default() -> Self {
        let account = Account::of("vocabularies", VOCABULARIES);
        Self { held: Mutex::default(), account }
    }
}

#[derive(Debug, Default)]
struct Held {
    /// By path of the file, then by column: sorted hashes.
    by_file: HashMap<String, HashMap<String, Arc<[u32]>>>,
    bytes: usize,
}

impl Vocabularies {
    /// True only where `column` of the file at `path` certainly has none of `texts`.
    pub(super) fn lacks(&self, path: &str, column: &str, texts: &[String]) -> bool {
        let held = self.lock();
        let known = held.by_file.get(path).and_then(|columns| columns.get(column));
        let Some(known) = self.account.count(known.map(Arc::clone)) else { return false };
        drop(held);
        !texts.iter().any(|text| known.binary_search(&hash(text)).is_ok())
    }

    /// Remembers that `column` of the file at `path` has no other texts than those with these hashes.
    pub(super) fn put(&self, path: &str, column: &str, mut hashes: Vec<u32>) {
        hashes.sort_unstable();
        hashes.dedup();
        let bytes = hashes.len() * size_of::<u32>() + path.len() + column.len();
        let bytes_max = self.account.bytes_max();
        if bytes > bytes_max {
            return;
        }
        let mut held = self.lock();
        if held.bytes + bytes > bytes_max {
            *held = Held::default();
        }
        let columns = held.by_file.entry(path.to_owned()).or_default();
        let before = columns.insert(column.to_owned(), hashes.into());
        // Two searches may learn the same at once.
        if before.is_none() {
            held.bytes += bytes;
        }
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds the hashes of `values`; `None` where they are no texts.
pub(super) fn add(values: &ArrayRef, hashes: &mut Vec<u32>) -> Option<()> {
    let texts = values.as_string_view_opt()?;
    hashes.extend(texts.iter().flatten().map(hash));
    Some(())
}

fn hash(text: &str) -> u32 {
    u32::try_from(xxh3_64(text.as_bytes()) >> 32).unwrap_or(u32::MAX)
}

/// The texts of which a column must have one, so that `condition` holds: `key = 'a'`, `key IN ('a', 'b')`, either of such.
/// `None` of any other condition.
pub(super) fn texts_of(condition: &Arc<dyn PhysicalExpr>) -> Option<Vec<String>> {
    if let Some(either) = condition.downcast_ref::<BinaryExpr>() {
        let (left, right) = (either.left(), either.right());
        return match either.op() {
            Operator::Eq if is_column(left) => Some(vec![text_of(right)?]),
            Operator::Eq if is_column(right) => Some(vec![text_of(left)?]),
            Operator::Or => Some([texts_of(left)?, texts_of(right)?].concat()),
            _ => None,
        };
    }
    let list = condition.downcast_ref::<InListExpr>()?;
    if list.negated() || !is_column(list.expr()) {
        return None;
    }
    list.list().iter().map(text_of).collect()
}

fn is_column(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Column>().is_some()
}

fn text_of(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    match expr.downcast_ref::<Literal>()?.value() {
        ScalarValue::Utf8View(text) | ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) => {
            text.clone()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
