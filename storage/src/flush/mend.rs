//! What changes for traces whose parts lie in several files when those files become one: callers and roots that were in
//! another file are known now, and the traces count whole where their parts counted before.
use std::sync::Arc;

use super::fragments::Fragments;
use super::heads::Heads;
use super::{lift, parquet_failed};
use crate::batch::SpanBatch;
use crate::error::Result;
use crate::file::chunk::NULL;
use crate::id::TraceId;
use crate::rollup::{Content, Slots};
use crate::schema::{AttributeColumns, column};

/// The columns that are mended, in the order of [`Known::texts`].
pub(crate) const MENDED: [&str; 4] =
    [column::CALLER_SERVICE, column::CALLER_NAME, column::ROOT_SERVICE, column::ROOT_NAME];

/// All spans of some traces in some files.
pub(crate) struct Parts {
    pub(crate) batches: Vec<Arc<SpanBatch>>,
    /// By row of all batches: the number of its file.
    pub(crate) files: Vec<u16>,
}

/// Where a rollup counts.
pub(crate) struct Counting<'a> {
    /// Length of a slot.
    pub(crate) slot_nano: i64,
    /// Traces that count; the others are here only because links lead to them.
    pub(crate) counts: &'a dyn Fn(&TraceId) -> bool,
    /// Whether a trace was open in the rollup of this file.
    pub(crate) was_open: &'a dyn Fn(u16, &TraceId) -> bool,
    /// Whether a trace may have spans in other files than these.
    pub(crate) elsewhere: &'a dyn Fn(&TraceId) -> bool,
}

/// See [`mend`].
#[derive(Default)]
pub(crate) struct Mended {
    /// What is known of rows now that was not known, or was something else.
    pub(crate) known: Vec<Known>,
    /// What the traces contribute to the rollup of the new file.
    pub(crate) plus: Content,
    /// What they contributed to the rollups of the old ones.
    pub(crate) minus: Slots,
}

/// What is known of a row now.
pub(crate) struct Known {
    /// Among all rows of [`Parts`].
    pub(crate) row: usize,
    /// Of each of [`MENDED`]; `None` where nothing has changed.
    pub(crate) texts: [Option<Box<str>>; 4],
}

/// Looks at traces as if the files that hold them were one.
///
/// # Errors
/// Attributes cannot be moved into their columns.
pub(crate) fn mend(
    parts: &Parts,
    attributes: &AttributeColumns,
    counting: Option<&Counting<'_>>,
) -> Result<Mended> {
    let heads = Heads::of(&parts.batches);
    let resolved = heads.resolve();
    let known = (0..parts.files.len()).filter_map(|row| known(row, &heads, &resolved)).collect();
    let Some(counting) = counting else { return Ok(Mended { known, ..Mended::default() }) };
    let lifted =
        lift::lift(&parts.batches, attributes).map_err(|error| parquet_failed(error.into()))?;
    let fragments = Fragments::of(&lifted, attributes, &heads, &resolved);
    let counts: Vec<bool> =
        resolved.ids.iter().map(|id| (counting.counts)(&TraceId(*id))).collect();
    let width = counting.slot_nano;
    let one = vec![0; parts.files.len()];
    let plus = fragments.of_file((&one, 0), &counts, width, &|trace| (counting.elsewhere)(trace));
    let mut minus = Slots { slot_nano: width, ..Slots::default() };
    for file in 0..=parts.files.iter().copied().max().unwrap_or(0) {
        let was_open = |trace: &TraceId| (counting.was_open)(file, trace);
        let of_file = fragments.of_file((&parts.files, file), &counts, width, &was_open);
        minus.add(&of_file.slots);
    }
    Ok(Mended { known, plus, minus })
}

/// How spans leave.
pub(crate) struct Leaving<'a> {
    /// Length of a slot.
    pub(crate) slot_nano: i64,
    /// Traces that count; the others are here only because links lead to them.
    pub(crate) counts: &'a dyn Fn(&TraceId) -> bool,
    /// Whether a trace was open in the rollup of this file, which leaves.
    pub(crate) was_open: &'a dyn Fn(u16, &TraceId) -> bool,
    /// The files with a smaller number leave,
    pub(crate) files: u16,
    /// but for the spans of these traces.
    pub(crate) stays: &'a dyn Fn(&TraceId) -> bool,
}

/// See [`leave`].
pub(crate) struct Left {
    /// What the traces contribute now, whole or not.
    pub(crate) plus: Content,
    /// What they contributed to the rollups of the files that leave.
    pub(crate) before: Slots,
    /// What they contribute once the files have left.
    pub(crate) after: Slots,
}

/// Looks at traces before and after some of the files that hold them have left.
///
/// # Errors
/// Attributes cannot be moved into their columns.
pub(crate) fn leave(
    parts: &Parts,
    attributes: &AttributeColumns,
    how: &Leaving<'_>,
) -> Result<Left> {
    let heads = Heads::of(&parts.batches);
    let resolved = heads.resolve();
    let lifted =
        lift::lift(&parts.batches, attributes).map_err(|error| parquet_failed(error.into()))?;
    let fragments = Fragments::of(&lifted, attributes, &heads, &resolved);
    let of_trace = |of: &dyn Fn(&TraceId) -> bool| -> Vec<bool> {
        resolved.ids.iter().map(|id| of(&TraceId(*id))).collect()
    };
    let (counts, stays, width) = (of_trace(how.counts), of_trace(how.stays), how.slot_nano);
    let mut plus = fragments.of_all((&vec![0; parts.files.len()], 0), &counts, width);
    // Of single traces nothing is kept.
    (plus.open, plus.linked, plus.traces) = (Vec::new(), Vec::new(), Vec::new());
    let is_left = |(row, file): (usize, &u16)| {
        let trace = resolved.trace[row] as usize;
        u16::from(*file >= how.files || stays[trace])
    };
    let left: Vec<u16> = parts.files.iter().enumerate().map(is_left).collect();
    let after = fragments.of_all((&left, 1), &counts, width).slots;
    let mut before = Slots { slot_nano: width, ..Slots::default() };
    for file in 0..how.files {
        let was_open = |trace: &TraceId| (how.was_open)(file, trace);
        before.add(&fragments.of_file((&parts.files, file), &counts, width, &was_open).slots);
    }
    Ok(Left { plus, before, after })
}

fn known(row: usize, heads: &Heads, resolved: &super::Resolved) -> Option<Known> {
    let others = [resolved.parent[row], resolved.root_of(row)];
    let mut texts = [const { None }; 4];
    for (place, text) in texts.iter_mut().enumerate() {
        let words = if place % 2 == 0 { &heads.service } else { &heads.name };
        let key = words.key(others[place / 2]);
        let before = heads.known(MENDED[place]).map_or(NULL, |known| known[row]);
        if key != NULL && key != before {
            *text = Some(words.text(key).into());
        }
    }
    texts.iter().any(Option::is_some).then_some(Known { row, texts })
}
