//! The newest events of one filter, as bytes that all its readers share. A reader remembers only where it stands, so
//! that a slow one costs nothing: what it has not taken in time goes, and it is told how many spans that were.
use std::collections::VecDeque;

use bytes::Bytes;

/// Sums since the filter's first reader came. What lies between two moments is their difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Spans that became events.
    pub(super) spans: u64,
    /// Spans that the filter wanted and its limit did not let through.
    pub(super) skipped: u64,
    /// Spans that were not looked at, because they had left memory before.
    pub(super) missed: u64,
}

/// Some events, and the range of span numbers that was looked at for them.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Number of the first span looked at.
    pub(super) begin: u64,
    /// Number behind the last.
    pub(super) end: u64,
    /// Log position of the last.
    pub(super) through: u64,
    /// The events, in wire form.
    pub(super) bytes: Bytes,
    /// For each event: the number of its span, and where it begins in `bytes`.
    pub(super) events: Vec<(u64, usize)>,
    /// Spans skipped in it.
    pub(super) skipped: u64,
    /// Spans missed before it.
    pub(super) missed: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ring {
    /// With the totals before each.
    frames: VecDeque<(Totals, Frame)>,
    bytes: usize,
    /// Where the oldest frame begins, and the totals there.
    begin: u64,
    before: Totals,
    /// How far spans were looked at, the log position there, and the totals.
    end: u64,
    through: u64,
    totals: Totals,
}

/// Where a reader stands in a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Number of the next span.
    pub(super) at: u64,
    /// Totals of everything that it was told.
    pub(super) told: Totals,
}

/// What comes next for a reader.
#[derive(Debug)]
pub(super) struct Step {
    /// Events of spans that it lost because it was too slow.
    pub(super) lost: u64,
    /// The next events.
    pub(super) events: Bytes,
    /// How many spans they are.
    pub(super) spans: u64,
    /// Totals behind them.
    pub(super) totals: Totals,
}

impl Ring {
    /// An empty ring whose first span will be number `at`.
    pub(super) fn new(at: u64, through: u64) -> Self {
        let (before, totals) = (Totals::default(), Totals::default());
        Self { frames: VecDeque::new(), bytes: 0, begin: at, before, end: at, through, totals }
    }

    /// Number behind the last span looked at.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Log position there.
    pub(super) fn through(&self) -> u64 {
        self.through
    }

    /// The place of a reader that wants what comes from now on.
    pub(super) fn newest(&self) -> Place {
        Place { at: self.end, told: self.totals }
    }

    /// The place in front of span `at`; `None` where that is not in the ring any more.
    pub(super) fn place(&self, at: u64) -> Option<Place> {
        if at < self.begin {
            return None;
        }
        let index = self.frames.partition_point(|(_, frame)| frame.end <= at);
        let Some((before, frame)) = self.frames.get(index) else {
            return Some(Place { at, told: self.totals });
        };
        let mut told = *before;
        if at > frame.begin {
            // What was skipped in a frame is told before its events.
            told.skipped += frame.skipped;
            told.missed += frame.missed;
            told.spans += frame.events.partition_point(|(number, _)| *number < at) as u64;
        }
        Some(Place { at, told })
    }

    /// Adds `frame`, and drops the oldest while there are more than `bytes_max` bytes; the newest stays.
    pub(super) fn push(&mut self, frame: Frame, bytes_max: usize) {
        let before = self.totals;
        self.totals.spans += frame.events.len() as u64;
        self.totals.skipped += frame.skipped;
        self.totals.missed += frame.missed;
        self.bytes += frame.bytes.len();
        self.seen(frame.end, frame.through);
        self.frames.push_back((before, frame));
        while self.bytes > bytes_max && self.frames.len() > 1 {
            let Some((_, oldest)) = self.frames.pop_front() else { break };
            self.bytes -= oldest.bytes.len();
            self.begin = oldest.end;
            self.before = self.frames.front().map_or(self.totals, |(before, _)| *before);
        }
    }

    /// Spans up to number `end` were looked at, and none of them was wanted.
    pub(super) fn seen(&mut self, end: u64, through: u64) {
        self.end = self.end.max(end);
        self.through = self.through.max(through);
    }

    /// The next frame for a reader, whose place then lies behind it (its `told.spans` alone is brought up to date).
    pub(super) fn step(&self, place: &mut Place) -> Option<Step> {
        let mut lost = 0;
        if place.at < self.begin {
            lost = self.before.spans.saturating_sub(place.told.spans);
            place.at = self.begin;
            place.told.spans = self.before.spans;
        }
        let index = self.frames.partition_point(|(_, frame)| frame.end <= place.at);
        let Some((before, frame)) = self.frames.get(index) else {
            place.at = place.at.max(self.end);
            return None;
        };
        let first = frame.events.partition_point(|(number, _)| *number < place.at);
        let offset = frame.events.get(first).map_or(frame.bytes.len(), |(_, offset)| *offset);
        let offset = if first == 0 { 0 } else { offset };
        let spans = (frame.events.len() - first) as u64;
        let totals = Totals {
            spans: before.spans + frame.events.len() as u64,
            skipped: before.skipped + frame.skipped,
            missed: before.missed + frame.missed,
        };
        place.at = frame.end;
        place.told.spans = totals.spans;
        Some(Step { lost, events: frame.bytes.slice(offset..), spans, totals })
    }

    /// Everything skipped and missed so far.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }
}
