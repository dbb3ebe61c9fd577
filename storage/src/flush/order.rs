//! The order of rows in files: one file a date, sorted by service, name and start.
//!
//! Rows are dealt out by service and name first, and each group is sorted by start while it fits a near cache. Where services and
//! names are too many for that: a radix sort of row numbers, one digit of one key at a time, from the least significant on:
//! each pass keeps the order of equal digits, so the passes by start come first and those by service last.
use std::ops::Range;

use chrono::NaiveDate;

use super::resolve::Resolved;
use crate::file::date_of;

/// Counters of 11 bits fit into the first cache, beside what is being sorted.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;

/// All rows of a flush in the order of the files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// By place: the row.
    pub(crate) rows: Vec<u32>,
    /// Ascending (and by class, see [`Self::split`]); each file's places.
    pub(crate) dates: Vec<(NaiveDate, Range<usize>)>,
}

impl Order {
    /// By row: its place.
    pub(crate) fn places(&self) -> Vec<u32> {
        let mut places = vec![0; self.rows.len()];
        for (place, row) in (0u32..).zip(&self.rows) {
            places[*row as usize] = place;
        }
        places
    }

    /// Parts each date by the class of its rows, in which they keep their order; returns the class of each of `dates`,
    /// which then names a date once for each of its classes.
    pub(crate) fn split(&mut self, classes: &[u16]) -> Vec<u16> {
        let mut of_dates = Vec::new();
        for (date, places) in std::mem::take(&mut self.dates) {
            let rows = &mut self.rows[places.clone()];
            rows.sort_by_key(|row| classes[*row as usize]);
            let mut from = places.start;
            for same in rows.chunk_by(|a, b| classes[*a as usize] == classes[*b as usize]) {
                of_dates.push(classes[same[0] as usize]);
                self.dates.push((date, from..from + same.len()));
                from += same.len();
            }
        }
        of_dates
    }

    /// Of the rows at `places`, one of each distinct trace.
    pub(crate) fn first_rows(&self, places: Range<usize>, resolved: &Resolved) -> Vec<u32> {
        let mut seen = vec![false; resolved.traces()];
        let rows = self.rows[places].iter().copied();
        rows.filter(|row| {
            let trace = resolved.trace[*row as usize] as usize;
            !std::mem::replace(&mut seen[trace], true)
        })
        .collect()
    }
}

/// Sorts all rows, of which `services` and `names` are the places among the sorted texts.
pub(crate) fn sort(starts: &[i64], services: &[u32], names: &[u32]) -> Order {
    let first = starts.iter().copied().min().unwrap_or(0);
    let since_first = |row: usize| starts[row].wrapping_sub(first).cast_unsigned();
    let mut sorting = match Groups::of(services, names) {
        Some(groups) => Sorting::of(groups.sort(since_first)),
        None => {
            let mut sorting = Sorting::of((0u32..).take(starts.len()).collect());
            sorting.sort_by(since_first);
            sorting.sort_by(|row| u64::from(names[row]));
            sorting.sort_by(|row| u64::from(services[row]));
            sorting
        }
    };
    let mut days: Vec<NaiveDate> = Vec::new();
    let last = starts.iter().copied().max().unwrap_or(0);
    if date_of(first) == date_of(last) {
        days.push(date_of(first));
    } else {
        days.extend(starts.iter().map(|start| date_of(*start)));
        days.sort_unstable();
        days.dedup();
        sorting.sort_by(|row| days.partition_point(|day| *day < date_of(starts[row])) as u64);
    }
    let rows = sorting.rows;
    let mut from = 0;
    let dates = days.into_iter().map(|day| {
        let in_day = |row: &u32| date_of(starts[*row as usize]) <= day;
        let until = from + rows[from..].partition_point(in_day);
        (day, std::mem::replace(&mut from, until)..until)
    });
    let dates = dates.filter(|(_, places)| !places.is_empty()).collect();
    Order { rows, dates }
}

/// Rows by service and name, few of both.
struct Groups<'a> {
    services: &'a [u32],
    names: &'a [u32],
    /// More than the largest of `names`.
    stride: usize,
    count: usize,
}

impl<'a> Groups<'a> {
    /// `None` where counting them would cost more than it saves.
    fn of(services: &'a [u32], names: &'a [u32]) -> Option<Self> {
        let stride = names.iter().max().map_or(1, |name| *name as usize + 1);
        let of_services = services.iter().max().map_or(1, |service| *service as usize + 1);
        let count = of_services.checked_mul(stride)?;
        (count <= DIGITS.max(services.len())).then_some(Self { services, names, stride, count })
    }

    /// The rows sorted by service, name, and `start`; what is equal in these keeps its order.
    fn sort(&self, start: impl Fn(usize) -> u64) -> Vec<u32> {
        let group =
            |(service, name): (&u32, &u32)| *service as usize * self.stride + *name as usize;
        let groups = || self.services.iter().zip(self.names).map(group);
        let mut ends = vec![0usize; self.count];
        groups().for_each(|group| ends[group] += 1);
        let mut place = 0;
        for count in &mut ends {
            place += std::mem::replace(count, place);
        }
        // Start and row as one number: compared without a branch.
        let mut sorted = vec![0u128; self.services.len()];
        for (row, group) in groups().enumerate() {
            let end = &mut ends[group];
            sorted[*end] = u128::from(start(row)) << u32::BITS | row as u128;
            *end += 1;
        }
        let mut from = 0;
        for until in ends {
            sorted[from..until].sort_unstable();
            from = until;
        }
        sorted.into_iter().map(row_of).collect()
    }
}

/// The low bits.
fn row_of(sorted: u128) -> u32 {
    let [a, b, c, d, ..] = sorted.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Keys move with their rows, so that each is fetched from all over memory once and not in every pass.
struct Sorting {
    rows: Vec<u32>,
    keys: Vec<u64>,
    spare_rows: Vec<u32>,
    spare_keys: Vec<u64>,
}

impl Sorting {
    fn of(rows: Vec<u32>) -> Self {
        Self { rows, keys: Vec::new(), spare_rows: Vec::new(), spare_keys: Vec::new() }
    }

    /// Sorts by `key`; rows with equal keys stay in their order.
    fn sort_by(&mut self, key: impl Fn(usize) -> u64) {
        self.spare_rows.resize(self.rows.len(), 0);
        self.spare_keys.resize(self.rows.len(), 0);
        self.keys.clear();
        self.keys.extend(self.rows.iter().map(|row| key(*row as usize)));
        let largest = self.keys.iter().copied().max().unwrap_or(0);
        let mut shift = 0;
        while shift < u64::BITS && largest >> shift > 0 {
            self.pass(|key| {
                let [low, high, ..] = (key >> shift).to_le_bytes();
                usize::from(u16::from_le_bytes([low, high])) % DIGITS
            });
            shift += DIGIT_BITS;
        }
    }

    fn pass(&mut self, digit: impl Fn(u64) -> usize) {
        let mut next = [0usize; DIGITS];
        self.keys.iter().for_each(|key| next[digit(*key)] += 1);
        let mut place = 0;
        for count in &mut next {
            place += std::mem::replace(count, place);
        }
        for (key, row) in self.keys.iter().zip(&self.rows) {
            let place = &mut next[digit(*key)];
            self.spare_rows[*place] = *row;
            self.spare_keys[*place] = *key;
            *place += 1;
        }
        std::mem::swap(&mut self.rows, &mut self.spare_rows);
        std::mem::swap(&mut self.keys, &mut self.spare_keys);
    }
}

/// By row: the place of its text among the sorted ones; 0 for no text (`u32::MAX`).
pub(crate) fn ranks<T: Ord>(keys: &[u32], text: impl Fn(u32) -> T) -> Vec<u32> {
    let given = keys.iter().copied().filter(|key| *key != u32::MAX);
    let mut rank = vec![0; given.clone().max().map_or(0, |key| key as usize + 1)];
    let mut used = Vec::new();
    for key in given {
        if std::mem::replace(&mut rank[key as usize], 1) == 0 {
            used.push(key);
        }
    }
    used.sort_unstable_by_key(|key| text(*key));
    for (place, key) in (1u32..).zip(used) {
        rank[key as usize] = place;
    }
    keys.iter().map(|key| rank.get(*key as usize).copied().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests;
