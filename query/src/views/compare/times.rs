//! Intervals of time in which the selection is denser than the baseline.
use storage::{Snapshot, TimeRange};

use super::leaves::Leaves;
use super::significance::{Table, p_value};
use super::{Counts, Row, Scope};

const BINS: usize = 240;
/// Intervals at most.
const INTERVALS_MAX: usize = 3;
/// An interval has at least so much more of the selection than of the baseline.
const EXCESS_MIN: f64 = 0.05;
const P_VALUE_MAX: f64 = 0.001;

/// Starts of traces or spans, counted in equal intervals.
#[derive(Debug)]
pub(crate) struct Times {
    from: i64,
    width: i64,
    bins: Vec<Counts>,
}

impl Times {
    /// Over what `snapshot` holds of `range`.
    pub(crate) fn over(snapshot: &Snapshot, range: TimeRange) -> Self {
        let files = snapshot.files.iter().map(|file| file.start);
        let stored = files.chain(snapshot.hot.iter().map(|batch| batch.start()));
        let stored = stored.filter(|stored| stored.from < stored.until);
        let (mut from, mut until) = (i64::MAX, i64::MIN);
        for stored in stored {
            from = from.min(stored.from);
            until = until.max(stored.until);
        }
        Self::between(from.max(range.from), until.min(range.until))
    }

    /// From the first to the last of `starts`, which are sorted, but for one in two hundred at either end: a wrong clock
    /// must not make one interval of all the others.
    pub(crate) fn of(starts: &[i64]) -> Self {
        let edge = starts.len() / 200;
        let (first, last) = (starts.get(edge), starts.get(starts.len().saturating_sub(edge + 1)));
        Self::between(first.copied().unwrap_or(0), last.copied().unwrap_or(0).saturating_add(1))
    }

    fn between(from: i64, until: i64) -> Self {
        let bins = i64::try_from(BINS).unwrap_or(i64::MAX);
        let width = (until.saturating_sub(from) / bins).saturating_add(1).max(1);
        Self { from, width, bins: vec![Counts::default(); BINS] }
    }

    /// Counts one that starts at `start`.
    pub(crate) fn add(&mut self, start: i64, selected: bool) {
        let bin = usize::try_from(start.saturating_sub(self.from) / self.width).unwrap_or(0);
        self.bins[bin.min(BINS - 1)].add(selected);
    }

    /// The intervals with the largest excess of the selection's share over the baseline's.
    pub(crate) fn rows(mut self) -> Vec<Row> {
        let mut all = Counts::default();
        for bin in &self.bins {
            all.selection += bin.selection;
            all.baseline += bin.baseline;
        }
        let mut rows = Vec::new();
        if all.selection == 0 || all.baseline == 0 {
            return rows;
        }
        while rows.len() < INTERVALS_MAX {
            let (first, end) = densest(&self.bins, all);
            let mut with = Counts::default();
            for bin in &mut self.bins[first..end] {
                with.selection += bin.selection;
                with.baseline += bin.baseline;
                *bin = Counts { selection: 0, baseline: bin.baseline };
            }
            let table = Table { with, all };
            let (Some(selection), Some(baseline)) = table.shares() else { break };
            if selection - baseline < EXCESS_MIN || p_value(table.g()) > P_VALUE_MAX {
                break;
            }
            rows.push(self.row(first, end, table));
        }
        rows
    }

    fn row(&self, first: usize, end: usize, table: Table) -> Row {
        let at = |bin: usize| {
            let bin = i64::try_from(bin).unwrap_or(i64::MAX);
            self.from.saturating_add(bin.saturating_mul(self.width))
        };
        let interval = TimeRange { from: at(first), until: at(end) };
        let text = |nanos: i64| {
            let time = chrono::DateTime::from_timestamp_nanos(nanos);
            time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        };
        Row {
            scope: Scope::Time,
            key: "start_time".to_owned(),
            value: format!("{} to {}", text(interval.from), text(interval.until)),
            table,
            within: None,
            estimates: None,
            leaves: Leaves::default(),
            signature: interval.from.cast_unsigned()
                ^ interval.until.cast_unsigned().rotate_left(32),
            interval: Some(interval),
        }
    }
}

/// The run of bins, as first and end, in which the selection's share exceeds the baseline's by most.
fn densest(bins: &[Counts], all: Counts) -> (usize, usize) {
    let excess = |bin: &Counts| {
        bin.selection as f64 / all.selection as f64 - bin.baseline as f64 / all.baseline as f64
    };
    let (mut best, mut found) = (0.0, (0, 0));
    let (mut sum, mut first) = (0.0, 0);
    for (at, bin) in bins.iter().enumerate() {
        if sum <= 0.0 {
            (sum, first) = (0.0, at);
        }
        sum += excess(bin);
        if sum > best {
            (best, found) = (sum, (first, at + 1));
        }
    }
    found
}
