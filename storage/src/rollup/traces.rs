//! One row for each trace that a file has whole: what a list of traces shows, so that no span need be read for it.
//!
//! Only plain fragments have a row (see [`super`]): an open trace is read from its spans. Rows are sorted by the start of
//! their root, so that the newest lie together; most of a row's bytes are its id.
use std::collections::HashMap;
use std::sync::Arc;

use super::edge::Moved;
use super::sum::Names;
use super::trace::{Caller, Trace, Words};
use super::varint::{Reader, put, put_signed};
use crate::id::TraceId;

/// What a list of traces shows of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TraceRow {
    /// Its id.
    pub id: TraceId,
    /// Service of the root: a key of [`RollupTraces::names`].
    pub service: u32,
    /// Operation of the root.
    pub name: u32,
    /// The root's start, Unix nanoseconds.
    pub start: i64,
    /// Of the root, in nanoseconds.
    pub duration: i64,
    /// The earliest start of all spans, Unix nanoseconds.
    pub first_start: i64,
    /// From the first start to the last end.
    pub extent: i64,
    /// Spans.
    pub spans: u32,
    /// Spans with status ERROR.
    pub errors: u32,
    /// Different services.
    pub services: u32,
    /// Spans on the longest way down.
    pub depth: u32,
    /// The root's status is ERROR.
    pub is_error: bool,
    /// Traces that it stands for.
    pub weight: f64,
    /// What its edges moved there and back, links not among them.
    pub bytes: i64,
}

impl TraceRow {
    /// The row of a whole trace with the root at `root`, whose edges moved `moved`.
    pub(crate) fn of(id: TraceId, trace: &Trace<'_>, root: u32, moved: &Moved) -> Self {
        let head = &trace.spans[root as usize];
        let first_start = trace.spans.iter().map(|span| span.start).min().unwrap_or(head.start);
        let ends = trace.spans.iter().map(|span| span.start.saturating_add(span.duration));
        let mut services: Vec<u32> = trace.spans.iter().map(|span| span.service).collect();
        services.sort_unstable();
        services.dedup();
        let errors = trace.spans.iter().filter(|span| span.is_error()).count();
        let moved = moved.request.saturating_add(moved.response);
        Self {
            id,
            service: head.service,
            name: head.name,
            start: head.start,
            duration: head.duration,
            first_start,
            extent: ends.max().unwrap_or(head.start).saturating_sub(first_start),
            spans: small(trace.spans.len()),
            errors: small(errors),
            services: small(services.len()),
            depth: trace.depth(),
            is_error: head.is_error(),
            weight: head.weight,
            bytes: i64::try_from(moved.max(0)).unwrap_or(i64::MAX),
        }
    }
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Trace<'_> {
    /// Spans on the longest way down, the first included.
    pub fn depth(&self) -> u32 {
        let count = u32::try_from(self.spans.len()).unwrap_or(u32::MAX);
        longest_way(count, |place| match self.callers[place as usize] {
            Caller::Known(above) => Some(above),
            Caller::Root | Caller::Missing => None,
        })
    }
}

/// Spans on the longest way down, the first included, where `above` tells the place of a span's caller. Each span is
/// visited once; a circle ends where it began.
pub fn longest_way(count: u32, above: impl Fn(u32) -> Option<u32>) -> u32 {
    const ON_THE_WAY: u32 = u32::MAX;
    let mut depths = vec![0u32; count as usize];
    let mut way = Vec::new();
    for own in 0..count {
        let mut at = own;
        // Upwards until a known depth, the top, or round a circle.
        let mut depth = loop {
            match depths[at as usize] {
                0 => {}
                ON_THE_WAY => break 0,
                known => break known,
            }
            depths[at as usize] = ON_THE_WAY;
            way.push(at);
            match above(at) {
                Some(caller) => at = caller,
                None => break 0,
            }
        };
        while let Some(below) = way.pop() {
            depth += 1;
            depths[below as usize] = depth;
        }
    }
    depths.into_iter().max().unwrap_or(0)
}

/// The traces that one file has whole, sorted by start, then id.
#[derive(Debug, Default)]
pub struct RollupTraces {
    names: Arc<[Arc<str>]>,
    rows: Vec<TraceRow>,
}

impl RollupTraces {
    /// The texts of keys.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The traces, oldest first.
    pub fn rows(&self) -> &[TraceRow] {
        &self.rows
    }

    /// Memory held, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<TraceRow>() + size_of::<Self>()
    }

    /// Reads what [`write()`] wrote; `None` where the bytes are something else.
    pub(super) fn parse(bytes: &[u8], names: &Arc<[Arc<str>]>) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self { names: Arc::clone(names), rows: Vec::new() });
        }
        let mut reader = Reader::new(bytes);
        let count = reader.count()?;
        let ids = reader.take(count.checked_mul(TraceId::LEN)?)?;
        let mut streams = Vec::new();
        let lengths: Vec<usize> = (0..STREAMS).map(|_| reader.count()).collect::<Option<_>>()?;
        for length in lengths {
            streams.push(Reader::new(reader.take(length)?));
        }
        let mut streams: [Reader<'_>; STREAMS] = streams.try_into().ok()?;
        let known = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let (mut rows, mut start) = (Vec::with_capacity(count), 0);
        for id in ids.chunks_exact(TraceId::LEN) {
            let row = read_row(TraceId::from_slice(id)?, start, &mut streams)?;
            if row.service >= known || row.name >= known {
                return None;
            }
            start = row.start;
            rows.push(row);
        }
        let is_read = reader.is_empty() && streams.iter().all(Reader::is_empty);
        (is_read && rows.is_sorted_by_key(|row| row.start))
            .then(|| Self { names: Arc::clone(names), rows })
    }
}

/// Numbers of one kind lie together: they compress better so.
const STREAMS: usize = 6;

/// Writes `rows`, which are sorted, with the keys that `own` says.
pub(super) fn write(rows: &[TraceRow], own: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if rows.is_empty() {
        return bytes;
    }
    put(&mut bytes, rows.len() as u64);
    let mut streams: [Vec<u8>; STREAMS] = Default::default();
    let mut start = 0;
    for row in rows {
        bytes.extend_from_slice(&row.id.0);
        let [starts, names, durations, bounds, counts, moved] = &mut streams;
        put_signed(starts, row.start.wrapping_sub(start));
        start = row.start;
        put(names, u64::from(own[row.service as usize]));
        put(names, u64::from(own[row.name as usize]));
        put_signed(durations, row.duration);
        put_signed(bounds, row.start.wrapping_sub(row.first_start));
        put_signed(bounds, row.extent.wrapping_sub(row.duration));
        let is_weighted = row.weight.to_bits() != 1f64.to_bits();
        put(counts, u64::from(row.is_error) | (u64::from(is_weighted) << 1));
        for count in [row.spans, row.errors, row.services, row.depth] {
            put(counts, u64::from(count));
        }
        if is_weighted {
            counts.extend_from_slice(&row.weight.to_bits().to_le_bytes());
        }
        put_signed(moved, row.bytes);
    }
    streams.iter().for_each(|stream| put(&mut bytes, stream.len() as u64));
    streams.iter().for_each(|stream| bytes.extend_from_slice(stream));
    bytes
}

fn read_row(id: TraceId, before: i64, streams: &mut [Reader<'_>; STREAMS]) -> Option<TraceRow> {
    let [starts, names, durations, bounds, counts, moved] = streams;
    let start = before.wrapping_add(starts.signed()?);
    let key = |number: u64| u32::try_from(number).ok();
    let (service, name) = (key(names.number()?)?, key(names.number()?)?);
    let duration = durations.signed()?;
    let first_start = start.wrapping_sub(bounds.signed()?);
    let extent = duration.wrapping_add(bounds.signed()?);
    let flags = counts.number()?;
    let [spans, errors, services, depth] = {
        let mut next = || key(counts.number()?);
        [next()?, next()?, next()?, next()?]
    };
    let weight = match flags >> 1 {
        0 => 1.0,
        _ => f64::from_bits(u64::from_le_bytes(counts.take(8)?.try_into().ok()?)),
    };
    Some(TraceRow {
        id,
        service,
        name,
        start,
        duration,
        first_start,
        extent,
        spans,
        errors,
        services,
        depth,
        is_error: flags & 1 == 1,
        weight,
        bytes: moved.signed()?,
    })
}

/// Gives `rows` the keys that `names` has for their texts, and sorts them as they are stored.
pub(crate) fn settle(rows: &mut [TraceRow], words: &dyn Words, names: &mut Names) {
    let mut known: HashMap<(u32, u32), (u32, u32)> = HashMap::new();
    for row in rows.iter_mut() {
        let keys = known.entry((row.service, row.name)).or_insert_with(|| {
            (names.key(words.service(row.service)), names.key(words.name(row.name)))
        });
        (row.service, row.name) = *keys;
    }
    rows.sort_unstable_by_key(|row| (row.start, row.id));
}

#[cfg(test)]
mod tests;
