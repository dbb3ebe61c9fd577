//! Which files to rewrite next, and how.
//!
//! Files of one date and retention class (which are never mixed) are **merged** while they are small: decoded, sorted and
//! encoded anew into one row group. Larger ones are **joined**: their row groups are copied as they are. Files belong to the
//! hour in which their first span starts.
//!
//! - While an hour is open, files of about the same size are rewritten eight at a time, or as soon as they make a full
//!   file: each span once per factor of eight.
//! - When it has been closed for a while, what is small in it becomes one file, and what is not full is joined.
//! - When the date has been over for some hours, the same happens across its hours, in the order of time.
//! - Where spans of a date come faster than its hours close (an import of old ones, a rate beyond all bounds), the date is
//!   crowded: as soon as it has more than [`CROWD`] files that are not full, the neighbours that lie closest together are
//!   rewritten, as many as make a full file.
//!
//! A file is full from [`FULL_ROWS`] spans, [`FULL_BYTES`] or [`FULL_TRACES`] on, and then left alone. So a date that is over
//! has no more than one file for each of those, and one more, and a few stragglers, all together smaller than a quarter of
//! the file beside them.
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;

use crate::file::start_of;
use crate::snapshot::DataFile;
use crate::time::{NANOS_PER_DAY, NANOS_PER_SECOND};

/// Files with fewer spans are merged.
pub(crate) const ROWS_SMALL: u64 = 128 << 10;
/// Spans of one merge at most: what is decoded at a time. Two small files always fit.
const ROWS_MAX: u64 = 2 * ROWS_SMALL;
/// Bytes of the files of one merge at most; decoded they take some ten times as much.
const BYTES_MAX: u64 = 32 << 20;
/// Files with as many spans are left alone.
pub(crate) const FULL_ROWS: u64 = 4 << 20;
/// So are files of this size.
pub(crate) const FULL_BYTES: u64 = 128 << 20;
/// So are files of as many traces: their rollup has a row for each.
pub(crate) const FULL_TRACES: u64 = 1 << 20;
/// Files of about the same size that are rewritten together while their hour is open.
const FAN_IN: usize = 8;
/// Files of a date and class that wait for their hour to close, at most: one for each hour, some of the hour that is open,
/// and as many of those before it that are not quiet yet.
pub(crate) const CROWD: usize = 64;
/// How many times larger than all others together the largest file of a join may be.
const LARGEST_MAX: u64 = 4;
/// Length of a window.
const WINDOW_NANO: i64 = 3_600 * NANOS_PER_SECOND;
/// An hour is closed when no file has come into it for this long after its end.
const SETTLED_NANO: i64 = 600 * NANOS_PER_SECOND;
/// The same of a date.
const DATE_SETTLED_NANO: i64 = 6 * 3_600 * NANOS_PER_SECOND;

/// What to do with some files of one date and class, oldest first.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Decode and sort them, and encode one file.
    Merge(Vec<Arc<DataFile>>),
    /// Copy their row groups into one file.
    Join(Vec<Arc<DataFile>>),
}

/// Files of a date and class.
type Day<'a> = Vec<&'a Arc<DataFile>>;

/// The next step; `None` where nothing is worth it. Files whose paths are in `parked` are left alone.
pub(crate) fn next(
    files: &[Arc<DataFile>],
    parked: &HashSet<String>,
    now_unix_nano: i64,
) -> Option<Step> {
    let ours = |file: &&Arc<DataFile>| {
        // Without a checksum it is another engine's: its owner may have reasons for its shape.
        file.checksum.is_some() && !parked.contains(&file.path) && !is_full(size(file))
    };
    let mut days: BTreeMap<(NaiveDate, &str), Day<'_>> = BTreeMap::new();
    for file in files.iter().filter(ours) {
        days.entry((file.date, file.class())).or_default().push(file);
    }
    for files in days.values_mut() {
        files.sort_by_key(|file| (file.start.from, file.modified_unix_milli));
    }
    let merge = days.iter().find_map(|((date, _), files)| merge(*date, files, now_unix_nano));
    let join = || days.iter().find_map(|((date, _), files)| join(*date, files, now_unix_nano));
    let disperse = || days.values().find_map(disperse);
    merge.map(Step::Merge).or_else(|| join().map(Step::Join)).or_else(disperse)
}

/// Spans, bytes, and traces as far as their filter tells.
type Size = [u64; 3];

/// What makes a file full.
const FULL: Size = [FULL_ROWS, FULL_BYTES, FULL_TRACES];

fn size(file: &DataFile) -> Size {
    [file.rows, file.bytes, file.traces.as_ref().map_or(0, |filter| filter.traces_about())]
}

fn is_full(size: Size) -> bool {
    size.iter().zip(FULL).any(|(size, full)| *size >= full)
}

fn is_small(file: &&Arc<DataFile>) -> bool {
    file.rows < ROWS_SMALL
}

fn merge(date: NaiveDate, files: &Day<'_>, now_unix_nano: i64) -> Option<Vec<Arc<DataFile>>> {
    let small: Day<'_> = files.iter().copied().filter(is_small).collect();
    if is_over(date, files, now_unix_nano) {
        return some(limited(small));
    }
    hours(&small).find_map(|(hour, small)| {
        if is_closed(hour, &small, now_unix_nano) {
            return some(smallest(small));
        }
        let enough = sizes(small).into_values().find(|files| files.len() >= FAN_IN);
        enough.and_then(|files| some(smallest(files)))
    })
}

fn join(date: NaiveDate, files: &Day<'_>, now_unix_nano: i64) -> Option<Vec<Arc<DataFile>>> {
    // Only where the sidecar was readable can the new one say which attributes lie in the JSON.
    let files: Day<'_> = files.iter().copied().filter(|file| file.rest.is_some()).collect();
    if is_over(date, &files, now_unix_nano) {
        return runs(&files);
    }
    hours(&files).find_map(|(hour, files)| {
        if is_closed(hour, &files, now_unix_nano) {
            return runs(&files);
        }
        let large = files.into_iter().filter(|file| !is_small(file)).collect();
        sizes(large).into_values().find_map(|files| {
            let is_worth_it = files.len() >= FAN_IN || is_full(total(&files));
            if is_worth_it { some(joinable(files)) } else { None }
        })
    })
}

/// Of a crowded date, neighbours of about the same size. More than [`CROWD`] files of so few sizes leave no doubt that
/// there are some.
fn disperse(files: &Day<'_>) -> Option<Step> {
    if files.len() <= CROWD {
        return None;
    }
    let crowd = sizes(files.clone()).into_values().max_by_key(Vec::len)?;
    let merged = closest(&crowd, |file| is_small(&file), is_mergeable).filter(|run| run.len() > 1);
    merged.map(Step::Merge).or_else(|| {
        // Small ones, too, where two of them are more than one merge may hold.
        let joined = closest(&crowd, |file| file.rest.is_some(), fits);
        joined.filter(|run| run.len() > 1).map(Step::Join)
    })
}

/// Of `files` in the order of time, the neighbours among those that are `wanted` that make a full file, or as many as fit, in
/// the shortest stretch of time.
fn closest(
    files: &Day<'_>,
    wanted: impl Fn(&Arc<DataFile>) -> bool,
    fits: impl Fn(Size) -> bool,
) -> Option<Vec<Arc<DataFile>>> {
    let files: Day<'_> = files.iter().copied().filter(|file| wanted(file)).collect();
    let runs = (0..files.len()).map(|first| {
        let run = until_full(&files[first..]);
        &run[..fitting(run, &fits)]
    });
    let worth = |run: &&[&Arc<DataFile>]| {
        let time = run.iter().map(|file| file.start).reduce(|a, b| a.union(&b));
        let nanos = time.map_or(0, |time| time.until.saturating_sub(time.from));
        (is_full(total(run)), run.len().min(FAN_IN), Reverse(nanos))
    };
    let best = runs.max_by_key(worth)?;
    Some(best.iter().copied().map(Arc::clone).collect())
}

/// The first files, up to the one that makes them a full file.
fn until_full<'a, 'b>(files: &'b [&'a Arc<DataFile>]) -> &'b [&'a Arc<DataFile>] {
    let mut all = Size::default();
    let before = files.iter().take(CROWD).take_while(|file| {
        let is_before = !is_full(all);
        all = add(all, size(file));
        is_before
    });
    &files[..before.count()]
}

/// Files in the order of time, by the hour in which they start.
fn hours<'a>(files: &Day<'a>) -> impl Iterator<Item = (i64, Day<'a>)> {
    let hour = |file: &&Arc<DataFile>| file.start.from.div_euclid(WINDOW_NANO);
    let hours = files.chunk_by(move |a, b| hour(a) == hour(b));
    hours.map(move |files| (hour(&files[0]), files.to_vec())).collect::<Vec<_>>().into_iter()
}

/// By the power of [`FAN_IN`] in their number of spans.
fn sizes(files: Day<'_>) -> BTreeMap<u32, Day<'_>> {
    let mut sizes: BTreeMap<u32, Day<'_>> = BTreeMap::new();
    for file in files {
        sizes.entry(file.rows.max(1).ilog2() / FAN_IN.ilog2()).or_default().push(file);
    }
    sizes
}

fn is_closed(hour: i64, files: &Day<'_>, now_unix_nano: i64) -> bool {
    let end = hour.saturating_add(1).saturating_mul(WINDOW_NANO);
    is_quiet_since(end, files, now_unix_nano, SETTLED_NANO)
}

fn is_over(date: NaiveDate, files: &Day<'_>, now_unix_nano: i64) -> bool {
    let end = start_of(date).saturating_add(NANOS_PER_DAY);
    is_quiet_since(end, files, now_unix_nano, DATE_SETTLED_NANO)
}

fn is_quiet_since(end: i64, files: &Day<'_>, now_unix_nano: i64, settled_nano: i64) -> bool {
    let newest = files.iter().map(|file| file.modified_unix_milli).max().unwrap_or(0);
    let newest = newest.saturating_mul(1_000_000);
    // What came long after the end of the window has to settle only as long as anything in an hour does.
    now_unix_nano.saturating_sub(end) >= settled_nano
        && now_unix_nano.saturating_sub(newest) >= SETTLED_NANO
}

/// The smallest first, as many as one merge may hold; in the order of time.
fn smallest(mut files: Day<'_>) -> Vec<Arc<DataFile>> {
    files.sort_by_key(|file| (file.rows, file.start.from));
    limited(files)
}

/// The first, as many as one merge may hold; in the order of time.
fn limited(files: Day<'_>) -> Vec<Arc<DataFile>> {
    first(files, is_mergeable)
}

/// What one merge may hold.
fn is_mergeable([rows, bytes, _]: Size) -> bool {
    rows <= ROWS_MAX && bytes <= BYTES_MAX
}

/// The smallest first, until they are a full file; in the order of time.
fn joinable(mut files: Day<'_>) -> Vec<Arc<DataFile>> {
    files.sort_by_key(|file| (file.rows, file.start.from));
    first(files, fits)
}

/// Two files that are not full always fit into one.
fn fits(size: Size) -> bool {
    size.iter().zip(FULL).all(|(size, full)| *size <= 2 * full)
}

fn first(files: Day<'_>, fits: impl Fn(Size) -> bool) -> Vec<Arc<DataFile>> {
    let count = fitting(&files, fits);
    let mut step: Vec<Arc<DataFile>> = files[..count].iter().copied().map(Arc::clone).collect();
    step.sort_by_key(|file| (file.start.from, file.modified_unix_milli));
    step
}

/// How many of the first files fit together.
fn fitting(files: &[&Arc<DataFile>], fits: impl Fn(Size) -> bool) -> usize {
    let mut all = Size::default();
    let fitting = files.iter().take_while(|file| {
        all = add(all, size(file));
        fits(all)
    });
    fitting.count()
}

fn add(one: Size, other: Size) -> Size {
    std::array::from_fn(|place| one[place] + other[place])
}

/// Of files in the order of time, the first neighbours that are worth joining.
fn runs(files: &Day<'_>) -> Option<Vec<Arc<DataFile>>> {
    let mut rest = files.as_slice();
    while !rest.is_empty() {
        let (run, after) = rest.split_at(fitting(rest, fits).max(1));
        rest = after;
        if let Some(worth) = worth_it(run.to_vec()) {
            return Some(worth.into_iter().map(Arc::clone).collect());
        }
    }
    None
}

/// The files without the largest ones, as long as those are too large to be copied for the sake of the others.
fn worth_it(mut run: Day<'_>) -> Option<Day<'_>> {
    while run.len() > 1 {
        let (place, largest) = run.iter().enumerate().max_by_key(|(_, file)| file.rows)?;
        let [rows, ..] = total(&run);
        if largest.rows <= LARGEST_MAX * (rows - largest.rows) {
            return Some(run);
        }
        run.remove(place);
    }
    None
}

fn total(files: &[&Arc<DataFile>]) -> Size {
    files.iter().map(|file| size(file)).fold(Size::default(), add)
}

fn some(step: Vec<Arc<DataFile>>) -> Option<Vec<Arc<DataFile>>> {
    (step.len() > 1).then_some(step)
}

#[cfg(test)]
mod tests;
