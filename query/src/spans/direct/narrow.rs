//! Exact quantiles of more values than memory holds: values are counted by their first binary digits, which tells the few
//! ranges that hold the wanted ranks; the next pass keeps what lies there, or counts it by more digits.
//!
//! ```text
//! too many values -> counts by 6 digits (32 ranges an octave) -> the values of the ranges of the ranks, if they fit
//!                                                 '-> else counts of these by 13 digits, 20, ... 63: one value a range
//! ```
//! So memory is bounded by groups, however many values there are; each arrow is a pass over the files.
use std::sync::Arc;

use datafusion::common::Result;
use hashbrown::HashMap;
use storage::Kind;

use super::quantiles::{Found, GROUP_BYTES, Keep, Passes};
use super::runs::Key;
use crate::Error;
use crate::quantile::values::Values;

/// Binary digits that are looked at in the first count, and how many more in each that follows.
const FIRST_DIGITS: u32 = 6;
const MORE_DIGITS: u32 = 7;
/// All that a whole number has.
const ALL_DIGITS: u32 = 63;

const TOO_MANY_GROUPS: &str = "quantiles of so many groups need more memory than one query may use; group by longer times \
                               or narrow the range, or ask latency() or histogram(), which keep counts";

/// The number with the first `digits` binary digits of `value`, and zeros behind them. Never falls while `value` rises.
fn coarse(value: i64, digits: u32) -> i64 {
    let plain = if value < 0 { !value } else { value };
    let cut = (i64::BITS - plain.leading_zeros()).saturating_sub(digits);
    let kept = plain >> cut << cut;
    if value < 0 { !kept } else { kept }
}

/// One wanted rank: that of the value which is at `place` of the sorted values in `range`.
#[derive(Debug, Clone, Copy)]
struct Target {
    range: i64,
    place: usize,
}

/// A group, and the place of what is asked of.
type Asked = (Key, usize);
/// How many values lie in each range.
type Counts = HashMap<i64, usize>;

/// Where the values of the quantiles lie.
#[derive(Debug, Default)]
struct Ranges {
    /// Of which they are told by; 0 where nothing is known.
    digits: u32,
    targets: HashMap<Asked, Vec<Option<Target>>>,
}

impl Ranges {
    /// True where `value` lies in the range of one of `targets`.
    fn holds(&self, targets: &[Option<Target>], value: i64) -> bool {
        let range = coarse(value, self.digits);
        targets.iter().flatten().any(|target| target.range == range)
    }

    /// The targets of `asked`; `None` where nothing is known.
    fn of(&self, asked: &Asked) -> Option<&[Option<Target>]> {
        self.targets.get(asked).map(Vec::as_slice)
    }

    /// The ranges of the targets of `asked`, each once.
    fn distinct(&self, asked: &Asked) -> Vec<i64> {
        let targets = self.of(asked).unwrap_or_default();
        let mut ranges: Vec<i64> = targets.iter().flatten().map(|target| target.range).collect();
        ranges.sort_unstable();
        ranges.dedup();
        ranges
    }
}

/// See the module.
pub(super) struct Narrowing<'a> {
    passes: &'a mut Passes,
    ranges: Arc<Ranges>,
}

impl<'a> Narrowing<'a> {
    /// Of the rows that `passes` reads.
    pub(super) fn new(passes: &'a mut Passes) -> Self {
        Self { passes, ranges: Arc::default() }
    }

    /// The quantiles of all groups.
    ///
    /// # Errors
    /// The input fails, or there are too many groups.
    pub(super) async fn found(mut self) -> Result<Found> {
        loop {
            let counts = self.count().await?;
            let within = |(asked, counts): (&Asked, &Counts)| -> usize {
                let ranges = self.ranges.distinct(asked).into_iter();
                ranges.filter_map(|range| counts.get(&range)).sum()
            };
            let wanted: usize = counts.iter().map(within).sum();
            drop(counts);
            self.passes.held.free();
            if self.ranges.digits == ALL_DIGITS {
                return Ok(self.answers(|_, target| Some(target.range)));
            }
            // What a value can take, and room for its growth.
            let fits = self.passes.held.try_resize(wanted * 2 * size_of::<i64>()).is_ok();
            self.passes.held.free();
            if !fits {
                continue;
            }
            let ranges = Arc::clone(&self.ranges);
            let near = move || Near { ranges: Arc::clone(&ranges), near: HashMap::new(), bytes: 0 };
            if let Some(parts) = self.passes.read(near).await? {
                return Ok(self.select(parts));
            }
            self.passes.held.free();
        }
    }

    /// Counts by more digits what lies in the ranges that are known, and makes these smaller.
    async fn count(&mut self) -> Result<HashMap<Asked, Counts>> {
        let known = Arc::clone(&self.ranges);
        let digits = match known.digits {
            0 => FIRST_DIGITS,
            digits => (digits + MORE_DIGITS).min(ALL_DIGITS),
        };
        let ranges = Arc::clone(&known);
        let counting = move || Counting {
            ranges: Arc::clone(&ranges),
            digits,
            counts: HashMap::new(),
            bytes: 0,
        };
        let Some(parts) = self.passes.read(counting).await? else {
            return Err(Error::new(Kind::TooLarge, TOO_MANY_GROUPS).into());
        };
        let mut all: HashMap<Asked, Counts> = HashMap::new();
        for (asked, counts) in parts.into_iter().flat_map(|part| part.counts) {
            let own = all.entry(asked).or_default();
            counts.into_iter().for_each(|(range, count)| *own.entry(range).or_default() += count);
        }
        let targets = all.iter().map(|(asked, counts)| (*asked, self.smaller(asked, counts)));
        self.ranges = Arc::new(Ranges { digits, targets: targets.collect() });
        Ok(all)
    }

    /// The targets of `asked` in ranges that were counted.
    fn smaller(&self, asked: &Asked, counts: &Counts) -> Vec<Option<Target>> {
        let mut sorted: Vec<(i64, usize)> =
            counts.iter().map(|(range, count)| (*range, *count)).collect();
        sorted.sort_unstable();
        let Some(known) = self.ranges.of(asked) else {
            let all = sorted.iter().map(|(_, count)| count).sum();
            let ranks = self.passes.runs.shapes[asked.1].ranks(all).into_iter();
            return ranks.map(|rank| target_at(sorted.iter().copied(), rank?)).collect();
        };
        let digits = self.ranges.digits;
        let within = |target: &Target| {
            let own = sorted.iter().filter(|(range, _)| coarse(*range, digits) == target.range);
            target_at(own.copied(), target.place)
        };
        known.iter().map(|target| target.as_ref().and_then(within)).collect()
    }

    fn select(&self, parts: Vec<Near>) -> Found {
        let mut near: HashMap<(Asked, i64), Values> = HashMap::new();
        for (place, values) in parts.into_iter().flat_map(|part| part.near) {
            near.entry(place).or_default().append(&values);
        }
        self.answers(|asked, target| near.get_mut(&(asked, target.range))?.nth(target.place))
    }

    fn answers(&self, mut value: impl FnMut(Asked, Target) -> Option<i64>) -> Found {
        let mut found = Found::new();
        for (asked, targets) in &self.ranges.targets {
            let (key, place) = *asked;
            let by_place = found.entry(key).or_default();
            by_place.resize_with(self.passes.runs.shapes.len(), Vec::new);
            let values = targets.iter().map(|target| value(*asked, (*target)?));
            by_place[place] = values.collect();
        }
        found
    }
}

/// Where the value at `place` lies; `ranges` rise.
fn target_at(ranges: impl Iterator<Item = (i64, usize)>, mut place: usize) -> Option<Target> {
    for (range, count) in ranges {
        if place < count {
            return Some(Target { range, place });
        }
        place -= count;
    }
    None
}

/// What an entry of a map takes.
const ENTRY_BYTES: usize = 32;

/// Counts what lies in ranges, by more digits.
struct Counting {
    ranges: Arc<Ranges>,
    digits: u32,
    counts: HashMap<Asked, Counts>,
    bytes: usize,
}

impl Keep for Counting {
    fn add(&mut self, key: Key, place: usize, values: &[i64]) {
        let targets = self.ranges.of(&(key, place));
        let counts = self.counts.entry((key, place)).or_insert_with(|| {
            self.bytes += GROUP_BYTES;
            Counts::new()
        });
        let before = counts.len();
        for value in values {
            if targets.is_none_or(|targets| self.ranges.holds(targets, *value)) {
                *counts.entry(coarse(*value, self.digits)).or_default() += 1;
            }
        }
        self.bytes += (counts.len() - before) * ENTRY_BYTES;
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Keeps what lies in ranges.
struct Near {
    ranges: Arc<Ranges>,
    near: HashMap<(Asked, i64), Values>,
    bytes: usize,
}

impl Keep for Near {
    fn add(&mut self, key: Key, place: usize, values: &[i64]) {
        let asked = (key, place);
        let Some(targets) = self.ranges.of(&asked) else { return };
        for value in values {
            if !self.ranges.holds(targets, *value) {
                continue;
            }
            let range = coarse(*value, self.ranges.digits);
            let own = self.near.entry((asked, range)).or_insert_with(|| {
                self.bytes += GROUP_BYTES;
                Values::default()
            });
            let before = own.bytes();
            own.push(*value);
            self.bytes += own.bytes() - before;
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
