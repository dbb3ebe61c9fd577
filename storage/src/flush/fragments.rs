//! The rollups of a flush: the fragments of its traces in each of its files, added up.
//!
//! Everything comes from what the flush holds anyway: rows by trace, parents, keys of services and names. Nothing is
//! decoded, and no text is looked at for each span.
use std::num::NonZeroU64;
use std::sync::Arc;

use super::extras::{Extras, each_double};
use super::heads::{Heads, times};
use super::order::Order;
use super::resolve::{NONE, Resolved};
use super::targets::{Target, Targets};
use super::texts::{Words as Text, with_texts};
use crate::batch::{self, SpanBatch};
use crate::file::chunk::value::Values as _;
use crate::id::TraceId;
use crate::rollup::{
    self, Builder, Caller, Content, Link, Names, Slots, Span, SpanKind, Status, Trace, TraceRow,
    Words,
};
use crate::schema::{AttributeColumns, column};

/// Says whether spans of a trace may be in other files than those being written.
pub(crate) type Elsewhere<'a> = &'a (dyn Fn(&TraceId) -> bool + 'a);

/// The columns that a rollup needs beside those of [`Heads`], by row in the order of arrival.
pub(super) struct Fragments<'a> {
    heads: &'a Heads,
    resolved: &'a Resolved,
    kind: Vec<SpanKind>,
    status: Vec<Status>,
    duration: Vec<i64>,
    weight: Vec<f64>,
    /// Some weight is not 1.
    sampled: bool,
    extras: Extras,
    targets: Targets,
}

impl<'a> Fragments<'a> {
    pub(super) fn of(
        batches: &[Arc<SpanBatch>],
        attributes: &AttributeColumns,
        heads: &'a Heads,
        resolved: &'a Resolved,
    ) -> Self {
        let places: Vec<u32> = (0u32..).take(heads.start.len()).collect();
        let kind = words(batches, column::KIND, &places, SpanKind::of);
        let mut weight = vec![1.0; heads.start.len()];
        let weights = batch::parts(batches, column::WEIGHT);
        let mut sampled = false;
        each_double(&weights, |row, value| {
            if value != 1.0 {
                weight[row] = value;
                sampled = true;
            }
        });
        Self {
            extras: Extras::of(batches, attributes, (&kind, &places)),
            targets: Targets::of(batches, &kind, resolved),
            status: words(batches, column::STATUS, &places, Status::of),
            duration: times(batches, column::DURATION),
            heads,
            resolved,
            kind,
            weight,
            sampled,
        }
    }

    /// By file of `order`, what its rollup says; none where too much is different in it to be worth one.
    pub(super) fn contents(&self, order: &Order, elsewhere: Elsewhere<'_>) -> Vec<Option<Content>> {
        let days = (order.dates.len() > 1).then(|| days(order));
        let files = order.dates.iter().zip(0u16..);
        files
            .map(|((_, places), day)| {
                let days = days.as_deref();
                let rows = File {
                    days,
                    day,
                    cut_is_open: true,
                    torn_is_open: true,
                    counts: None,
                    elsewhere,
                };
                self.content(&rows, places.len())
            })
            .collect()
    }

    /// What one file's rows of the traces that count contribute, in slots of this length. By row of all, `files` says which
    /// file it is in. A fragment is open where `is_open` says so, or where it is not whole in itself.
    pub(super) fn of_file(
        &self,
        (files, file): (&[u16], u16),
        counts: &[bool],
        slot_nano: i64,
        is_open: Elsewhere<'_>,
    ) -> Content {
        let rows = File {
            days: Some(files),
            day: file,
            cut_is_open: false,
            torn_is_open: true,
            counts: Some(counts),
            elsewhere: is_open,
        };
        // There is no limit that it could exceed.
        self.add_up(&rows, slot_nano, usize::MAX).unwrap_or_default()
    }

    /// The same where every fragment counts, whole or not.
    pub(super) fn of_all(
        &self,
        (files, file): (&[u16], u16),
        counts: &[bool],
        slot_nano: i64,
    ) -> Content {
        let rows = File {
            days: Some(files),
            day: file,
            cut_is_open: false,
            torn_is_open: false,
            counts: Some(counts),
            elsewhere: &|_| false,
        };
        self.add_up(&rows, slot_nano, usize::MAX).unwrap_or_default()
    }

    fn content(&self, file: &File<'_>, spans: usize) -> Option<Content> {
        let rows_max = ROWS_MIN.max(spans / SPANS_PER_ROW);
        let mut widths = SLOTS_NANO.iter().copied();
        while let Some(slot_nano) = widths.next() {
            match self.add_up(file, slot_nano, rows_max) {
                Ok(mut content) => {
                    content.spans = spans as u64;
                    content.slots = fitting(content.slots, spans, &mut widths);
                    return Some(content);
                }
                // Longer slots would make hardly fewer.
                Err(keys) if keys > rows_max / 4 => return None,
                Err(_) => {}
            }
        }
        None
    }

    /// One try with slots of this length; where there would be too many rows, how many keys they have.
    fn add_up(&self, file: &File<'_>, slot_nano: i64, rows_max: usize) -> Result<Content, usize> {
        let words =
            Keys { service: &self.heads.service, name: &self.heads.name, peer: &self.extras.names };
        let mut builder = Builder::with_slots(&words, slot_nano);
        let mut content = Content::default();
        let mut family = Family { local: vec![NONE; self.kind.len()], ..Family::default() };
        for trace in 0..self.resolved.traces() {
            let rows = self.resolved.rows_of(trace);
            let part = family.take(rows, file);
            if family.rows.is_empty() || !file.counts(trace) {
                continue;
            }
            if builder.rows() > rows_max {
                return Err(builder.keys());
            }
            self.read(trace, &mut family, &words);
            let of = Trace { spans: &family.spans, callers: &family.callers };
            builder.add_spans(&of);
            content.sampled |= self.sampled && family.spans.iter().any(|span| span.weight != 1.0);
            let id = TraceId(self.resolved.ids[trace]);
            let is_cut = part == Part::Cut && file.cut_is_open;
            let is_torn = file.torn_is_open && !of.is_whole();
            if is_cut || is_torn || (file.elsewhere)(&id) {
                content.open.push(id);
                continue;
            }
            let is_linked = self.links(trace, file, &mut family);
            let of = Trace { spans: &family.spans, callers: &family.callers };
            let head = builder.add_trace(&of, &family.links);
            content.traces.push(TraceRow::of(id, &of, head.root, &head.caused));
            if is_linked {
                content.linked.push(id);
            }
        }
        content.open.sort_unstable();
        content.linked.sort_unstable();
        content.slots = builder.slots();
        rollup::settle(&mut content.traces, &words, &mut content.slots.names);
        Ok(content)
    }

    /// The spans and callers of `family.rows`.
    fn read(&self, trace: usize, family: &mut Family, words: &Keys<'_>) {
        family.spans.clear();
        family.callers.clear();
        for (place, row) in (0u32..).zip(&family.rows) {
            family.local[*row as usize] = place;
            family.spans.push(self.span(*row));
        }
        if self.resolved.has_twins(trace) {
            Trace::resolve(&family.spans, &mut family.callers, words);
        } else {
            let callers = family.rows.iter().map(|row| self.caller(*row, &family.local));
            family.callers.extend(callers);
        }
        // For the next trace: rows of other files were never in.
        family.rows.iter().for_each(|row| family.local[*row as usize] = NONE);
    }

    fn caller(&self, row: u32, local: &[u32]) -> Caller {
        let row = row as usize;
        if self.heads.parent[row].is_none() {
            return Caller::Root;
        }
        match local.get(self.resolved.parent[row] as usize) {
            Some(place) if *place != NONE => Caller::Known(*place),
            _ => Caller::Missing,
        }
    }

    fn span(&self, row: u32) -> Span {
        let (at, heads) = (row as usize, self.heads);
        let kind = self.kind[at];
        let parent = heads.parent[at].map(u64::from_be_bytes);
        Span {
            id: u64::from_be_bytes(heads.span[at]),
            parent: parent.and_then(NonZeroU64::new),
            start: heads.start[at],
            duration: self.duration[at],
            weight: self.weight[at],
            service: heads.service.key(row),
            name: heads.name.key(row),
            kind,
            status: self.status[at],
            sizes: self.extras.sizes(at),
            peer: if kind.calls() { self.extras.peer(at) } else { None },
        }
    }

    /// Finds the links of the family's CONSUMER spans; returns whether some lead to spans outside of the file.
    fn links(&self, trace: usize, file: &File<'_>, family: &mut Family) -> bool {
        family.links.clear();
        let mut is_linked = false;
        let Some(targets) = self.targets.of_trace(trace) else { return false };
        for target in targets {
            let Some(place) = family.rows.iter().position(|row| *row == target.row) else {
                continue;
            };
            match self.linked(trace, target, file) {
                Linked::Parent => {}
                Linked::Span(row) => {
                    let place = u32::try_from(place).unwrap_or(NONE);
                    family.links.push(Link::new(place, &self.span(row)));
                }
                Linked::Missing => is_linked = true,
            }
        }
        is_linked
    }

    fn linked(&self, trace: usize, target: &Target, file: &File<'_>) -> Linked {
        if target.trace == Some(trace)
            && self.heads.parent[target.row as usize] == Some(target.span)
        {
            return Linked::Parent;
        }
        let rows = target.trace.map_or(&[][..], |trace| self.resolved.rows_of(trace));
        let is_it = |row: &u32| file.has(*row) && self.heads.span[*row as usize] == target.span;
        let words =
            Keys { service: &self.heads.service, name: &self.heads.name, peer: &self.extras.names };
        let found = rows.iter().copied().filter(is_it);
        let best = found.min_by(|a, b| {
            crate::rollup::compare_parents(&self.span(*a), &self.span(*b), None, &words)
        });
        best.map_or(Linked::Missing, Linked::Span)
    }
}

/// Where a link leads.
enum Linked {
    Parent,
    Span(u32),
    Missing,
}

/// One file of a flush.
struct File<'a> {
    /// By row the file that it goes into, where there are several.
    days: Option<&'a [u16]>,
    day: u16,
    /// A trace with rows in another file of this call is open.
    cut_is_open: bool,
    /// A fragment that lacks its root or a parent is open.
    torn_is_open: bool,
    /// By number, whether a trace counts; without it all do.
    counts: Option<&'a [bool]>,
    elsewhere: Elsewhere<'a>,
}

impl File<'_> {
    fn has(&self, row: u32) -> bool {
        self.days.is_none_or(|days| days[row as usize] == self.day)
    }

    fn counts(&self, trace: usize) -> bool {
        self.counts.is_none_or(|counts| counts[trace])
    }
}

/// How much of a trace is in a file.
#[derive(PartialEq)]
enum Part {
    /// All that the flush has.
    All,
    /// The rest is in the file of another date.
    Cut,
}

/// One trace's fragment; its memory serves one trace after the other.
#[derive(Default)]
struct Family {
    rows: Vec<u32>,
    spans: Vec<Span>,
    callers: Vec<Caller>,
    links: Vec<Link>,
    /// By row of the flush, the place in `rows`, or [`NONE`].
    local: Vec<u32>,
}

impl Family {
    fn take(&mut self, rows: &[u32], file: &File<'_>) -> Part {
        self.rows.clear();
        self.rows.extend(rows.iter().copied().filter(|row| file.has(*row)));
        if self.rows.len() == rows.len() { Part::All } else { Part::Cut }
    }
}

/// By row, the number of its file.
fn days(order: &Order) -> Vec<u16> {
    let mut days = vec![0; order.rows.len()];
    for ((_, places), day) in order.dates.iter().zip(0u16..) {
        order.rows[places.clone()].iter().for_each(|row| days[*row as usize] = day);
    }
    days
}

/// The texts of a flush's keys.
struct Keys<'a> {
    service: &'a Text,
    name: &'a Text,
    peer: &'a Names,
}

impl Words for Keys<'_> {
    fn service(&self, key: u32) -> &str {
        self.service.text(key)
    }

    fn name(&self, key: u32) -> &str {
        self.name.text(key)
    }

    fn peer(&self, key: u32) -> &str {
        self.peer.text(key)
    }
}

/// A column of few different words, as what `of` makes of them.
fn words<T: Copy + Default>(
    batches: &[Arc<SpanBatch>],
    name: &str,
    places: &[u32],
    of: impl Fn(&str) -> T,
) -> Vec<T> {
    with_texts(&batch::parts(batches, name), Some(places), &mut Vec::new(), |keys, texts| {
        let mut known: Vec<Option<T>> = vec![None; texts.count()];
        let keys = keys.iter().map(|key| {
            let Some(known) = known.get_mut(*key as usize) else { return T::default() };
            *known.get_or_insert_with(|| of(str::from_utf8(texts.get(*key)).unwrap_or_default()))
        });
        keys.collect()
    })
}

/// Lengths of slots, each a multiple of the one before: a minute, five, a quarter, an hour, a day (which is the file).
const SLOTS_NANO: &[i64] = &[
    60 * crate::time::NANOS_PER_SECOND,
    300 * crate::time::NANOS_PER_SECOND,
    900 * crate::time::NANOS_PER_SECOND,
    3_600 * crate::time::NANOS_PER_SECOND,
    crate::time::NANOS_PER_DAY,
];
/// So many spans share one row at least: otherwise the spans themselves are read as fast.
const SPANS_PER_ROW: usize = 8;
/// So many rows are never too many.
const ROWS_MIN: usize = 4_096;
/// What slots may take, in thousandths of a byte for each span.
const SLOT_BYTES_PER_THOUSAND: usize = 350;

/// The slots, made longer until they are worth their bytes.
fn fitting(mut slots: Slots, spans: usize, widths: &mut dyn Iterator<Item = i64>) -> Slots {
    let bytes_max = (spans * SLOT_BYTES_PER_THOUSAND / 1_000).max(SLOT_BYTES_MIN);
    while slots.slots.len() > 1 && slots.bytes_about() > bytes_max {
        let Some(wider) = widths.next() else { break };
        slots.widen(wider);
    }
    slots
}

/// The same of rollups that were joined.
pub(crate) fn fitted(mut content: Content) -> Content {
    let width = content.slots.slot_nano;
    let mut widths = SLOTS_NANO.iter().copied().filter(|wider| *wider > width);
    let spans = usize::try_from(content.spans).unwrap_or(usize::MAX);
    let slots = std::mem::take(&mut content.slots);
    content.slots = fitting(slots, spans, &mut widths);
    content
}

/// So many bytes are never too many.
const SLOT_BYTES_MIN: usize = 4_096;

#[cfg(test)]
mod tests;
