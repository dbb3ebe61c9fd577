use super::*;
use crate::file::{date_of, start_of};
use crate::snapshot::TraceFilter;
use crate::testing::DAY;
use crate::time::TimeRange;

const HOUR: i64 = 3_600 * NANOS_PER_SECOND;
const MINUTE: i64 = 60 * NANOS_PER_SECOND;

fn file(path: &str, rows: u64, from: i64) -> Arc<DataFile> {
    Arc::new(DataFile {
        path: path.into(),
        bytes: rows * 36,
        checksum: Some(1),
        footer: None,
        rows,
        date: date_of(from),
        class: None,
        start: TimeRange { from, until: from + MINUTE },
        modified_unix_milli: (from + MINUTE) / 1_000_000,
        services: None,
        traces: None,
        rest: Some(Arc::new([])),
        sidecar: None,
        rollup: None,
    })
}

/// A flush each minute of the hours `hours` of the day.
fn minutes(hours: std::ops::Range<i64>, rows: u64) -> Vec<Arc<DataFile>> {
    let minutes = hours.start * 60..hours.end * 60;
    minutes.map(|minute| file(&minute.to_string(), rows, DAY + minute * MINUTE)).collect()
}

fn files_of(step: Option<Step>) -> Vec<Arc<DataFile>> {
    match step {
        Some(Step::Merge(files) | Step::Join(files)) => files,
        None => Vec::new(),
    }
}

fn paths(step: Option<Step>) -> Vec<String> {
    files_of(step).iter().map(|file| file.path.clone()).collect()
}

/// What was rewritten: spans decoded, spans copied, and most often of all spans of one file.
#[derive(Default)]
struct Work {
    merged: u64,
    joined: u64,
    times: usize,
}

/// Rewrites until nothing is left to do, as the compactor would.
fn settle(mut files: Vec<Arc<DataFile>>, now: i64) -> (Vec<Arc<DataFile>>, Work) {
    let mut work = Work::default();
    while let Some(step) = next(&files, &HashSet::new(), now) {
        let (rows, bytes) = step_of(&step, &mut work);
        let step = files_of(Some(step));
        assert!(step.len() > 1, "a step makes progress");
        let is_same =
            |file: &Arc<DataFile>| file.date == step[0].date && file.class == step[0].class;
        assert!(step.iter().all(is_same), "dates and classes are never mixed");
        files.retain(|file| !step.iter().any(|merged| merged.path == file.path));
        let mut merged = (*step[0]).clone();
        (merged.rows, merged.bytes) = (rows, bytes);
        merged.start = step.iter().map(|file| file.start).reduce(|a, b| a.union(&b)).unwrap();
        // As often as that of its files that was rewritten most often, and once more.
        let often = step.iter().max_by_key(|file| file.path.matches('+').count()).unwrap();
        merged.path = format!("{}+", often.path);
        work.times = work.times.max(merged.path.matches('+').count());
        files.push(Arc::new(merged));
    }
    (files, work)
}

fn step_of(step: &Step, work: &mut Work) -> (u64, u64) {
    let files = files_of(Some(step.clone()));
    let rows = files.iter().map(|file| file.rows).sum();
    let bytes = files.iter().map(|file| file.bytes).sum();
    match step {
        Step::Merge(_) => {
            assert!(rows <= ROWS_MAX && bytes <= BYTES_MAX);
            work.merged += rows;
        }
        Step::Join(_) => {
            assert!(rows <= 2 * FULL_ROWS && bytes <= 2 * FULL_BYTES);
            work.joined += rows;
        }
    }
    (rows, bytes)
}

/// What docs/operating.md promises of one date that is over.
fn bound(files: &[Arc<DataFile>]) -> u64 {
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    rows / FULL_ROWS + bytes / FULL_BYTES + 2
}

#[test]
fn a_day_of_minutes_becomes_one_file_an_hour_and_one_when_it_is_over() {
    let (files, work) = settle(minutes(0..24, 60), DAY + 25 * HOUR);
    assert_eq!(files.len(), 24);
    assert_eq!(work.merged, 24 * 60 * 60, "each span once: all hours are closed");
    let (files, work) = settle(files, DAY + 31 * HOUR);
    assert_eq!((files.len(), work.merged), (1, 24 * 60 * 60), "and once more");
}

#[test]
fn files_stay_bounded_at_any_rate_and_each_span_is_rewritten_a_few_times() {
    for rows in [1, 100, 1_000, 10_000, 100_000, 200_000, 300_000, 600_000, 1_000_000] {
        let all = minutes(0..24, rows);
        let (bound, total) = (bound(&all), rows * 1_440);
        let (files, work) = settle(all.clone(), DAY + 31 * HOUR);
        assert!(files.len() as u64 <= bound, "{rows} a minute: {} > {bound}", files.len());
        assert!(work.times <= 2 && work.merged <= total && work.joined <= total);
        // In the open hour: seven of each of at most seven sizes, and the full ones.
        let (files, work) = settle(all[..60].to_vec(), DAY + HOUR);
        assert!(files.len() <= 7 + 7 + usize::try_from(rows / 30_000).unwrap(), "{}", files.len());
        assert!(work.times <= 4, "{rows}: {}", work.times);
    }
}

#[test]
fn a_table_that_is_compacted_all_the_time_ends_as_well() {
    // Every minute a file, compacted every minute; then two days of quiet.
    for rows in [100, 20_000, 200_000] {
        let mut files = Vec::new();
        let all = minutes(0..24, rows);
        let (bound, mut most) = (bound(&all), 0);
        for (minute, file) in (1..).zip(all) {
            files.push(file);
            let (settled, work) = settle(files, DAY + minute * MINUTE);
            most = most.max(work.times);
            files = settled;
        }
        let (files, work) = settle(files, DAY + 72 * HOUR);
        assert!(files.len() as u64 <= bound, "{rows} a minute: {} > {bound}", files.len());
        assert!(most.max(work.times) <= 6, "{rows} a minute: {most}, {}", work.times);
    }
}

#[test]
fn a_straggler_does_not_make_a_large_file_be_copied() {
    let large = file("large", 3 << 20, DAY);
    let one = file("one", ROWS_SMALL, DAY + MINUTE);
    let two = file("two", ROWS_SMALL, DAY + 2 * MINUTE);
    let now = DAY + 40 * HOUR;
    let files = [Arc::clone(&large), Arc::clone(&one)];
    assert!(next(&files, &HashSet::new(), now).is_none());
    let files = [Arc::clone(&large), one, two];
    assert_eq!(paths(next(&files, &HashSet::new(), now)), ["one", "two"]);
    let files = [large, file("half", FULL_ROWS / 2, DAY)];
    assert_eq!(paths(next(&files, &HashSet::new(), now)).len(), 2);
}

#[test]
fn neighbours_in_time_are_joined() {
    let hours = (0..24).map(|hour| file(&hour.to_string(), 1 << 20, DAY + hour * HOUR));
    let files: Vec<Arc<DataFile>> = hours.collect();
    let (files, _) = settle(files, DAY + 31 * HOUR);
    assert_eq!(files.len(), 4, "of seven hours: 256 MiB");
    for (file, other) in files.iter().zip(files.iter().skip(1)) {
        assert!(!file.start.overlaps(&other.start));
    }
}

#[test]
fn an_open_hour_merges_by_eights_of_a_size() {
    let now = DAY + 7 * MINUTE;
    assert!(next(&minutes(0..1, 60)[..7], &HashSet::new(), now).is_none());
    let now = DAY + 8 * MINUTE;
    let eight = &minutes(0..1, 60)[..8];
    assert_eq!(paths(next(eight, &HashSet::new(), now)).len(), 8);
    let mut unlike = eight.to_vec();
    unlike[3] = file("large", 60_000, DAY + 3 * MINUTE);
    assert!(next(&unlike, &HashSet::new(), now).is_none(), "another size does not count");
}

#[test]
fn full_parked_and_foreign_files_are_left_alone() {
    let now = DAY + 3 * HOUR;
    let mut foreign = (*file("foreign", 10, DAY)).clone();
    foreign.checksum = None;
    let files = [
        file("full", FULL_ROWS, DAY),
        file("parked", 10, DAY),
        Arc::new(foreign),
        file("small", 10, DAY),
    ];
    let parked = HashSet::from(["parked".to_owned()]);
    assert!(next(&files, &parked, now).is_none());
    assert_eq!(paths(next(&files, &HashSet::new(), now)), ["parked", "small"]);
}

#[test]
fn dates_are_never_mixed_and_hours_only_when_the_date_is_over() {
    let midnight = start_of(date_of(DAY + 30 * HOUR));
    let files = [file("before", 10, midnight - MINUTE), file("after", 10, midnight)];
    assert!(next(&files, &HashSet::new(), midnight + 40 * HOUR).is_none());
    let files = [file("first", 10, midnight), file("second", 10, midnight + HOUR)];
    assert!(next(&files, &HashSet::new(), midnight + 29 * HOUR).is_none());
    assert!(next(&files, &HashSet::new(), midnight + 31 * HOUR).is_some());
}

#[test]
fn late_files_wait_until_the_hour_is_quiet_again() {
    let files = [file("one", 10, DAY), file("two", 10, DAY)];
    let quiet = DAY + HOUR + SETTLED_NANO;
    assert!(next(&files, &HashSet::new(), quiet - 1).is_none());
    assert!(next(&files, &HashSet::new(), quiet).is_some());
    let mut late = (*file("late", 10, DAY)).clone();
    late.modified_unix_milli = quiet / 1_000_000;
    let files = [file("one", 10, DAY), Arc::new(late)];
    assert!(next(&files, &HashSet::new(), quiet + 1).is_none());
    assert!(next(&files, &HashSet::new(), quiet + SETTLED_NANO).is_some());
}

#[test]
fn a_file_is_full_of_traces_too() {
    let with = |traces: u64| {
        let mut file = (*file("traces", ROWS_SMALL, DAY)).clone();
        let filter = TraceFilter::with_capacity(usize::try_from(traces).unwrap());
        file.traces = Some(Arc::new(filter));
        Arc::new(file)
    };
    let now = DAY + 40 * HOUR;
    assert!(next(&[with(FULL_TRACES), with(FULL_TRACES)], &HashSet::new(), now).is_none());
    let halves = [with(FULL_TRACES / 2), with(FULL_TRACES / 2)];
    assert_eq!(files_of(next(&halves, &HashSet::new(), now)).len(), 2);
}

/// A file for each of `dates` in each flush: `flushes` of them, one right after the other, whose spans all start within
/// these dates, hour after hour.
fn flood(dates: i64, flushes: i64, rows: u64) -> impl Iterator<Item = (i64, Vec<Arc<DataFile>>)> {
    let hour_of = move |flush: i64| flush * 24 / flushes;
    (0..flushes).map(move |flush| {
        let now = DAY + 10 * 24 * HOUR + flush * NANOS_PER_SECOND;
        let one = |date: i64| {
            let from = DAY + (date * 24 + hour_of(flush)) * HOUR + flush % 60 * MINUTE;
            let mut file = (*file(&format!("{date} {flush}"), rows, from)).clone();
            file.modified_unix_milli = now / 1_000_000;
            Arc::new(file)
        };
        (now, (0..dates).map(one).collect())
    })
}

#[test]
fn a_flood_of_flushes_never_crowds_a_date() {
    // Nothing ever grows quiet here: only its number of files makes a date due.
    for (dates, rows) in [(1, 1), (1, 3_000), (1, 60_000), (1, 232_000), (1, 900_000), (3, 60_000)]
    {
        let (mut files, mut most, mut all) = (Vec::new(), 0, 0);
        for (now, flush) in flood(dates, 1_500, rows) {
            all += rows;
            files.extend(flush);
            let (settled, work) = settle(files, now);
            files = settled;
            most = most.max(work.times);
            let full = 2 + all / FULL_ROWS + all * 36 / FULL_BYTES;
            let bound = dates as u64 * (CROWD as u64 + full);
            assert!(files.len() as u64 <= bound, "{rows} a flush: {} > {bound}", files.len());
        }
        assert!(most <= 6, "{rows} a flush: rewritten {most} times");
    }
}

#[test]
fn a_crowded_date_is_rewritten_in_the_order_of_time() {
    let flushes: Vec<_> = flood(1, 108, 232_000).collect();
    let now = flushes[107].0;
    let files = flushes.into_iter().flat_map(|(_, files)| files).collect();
    let (files, work) = settle(files, now);
    assert!(files.len() <= CROWD && work.merged == 0, "{}", files.len());
    let full: Vec<_> = files.iter().filter(|file| is_full(size(file))).collect();
    assert!(full.len() > 2);
    for file in full {
        let hours = (file.start.until - file.start.from) / HOUR;
        assert!(hours <= 6, "of a quarter of the date, not of all of it: {hours}");
    }
}

#[test]
fn a_crowd_of_small_files_with_many_bytes_is_joined() {
    let fat = |number: i64| {
        let mut file = (*file(&number.to_string(), 1_000, DAY + number * MINUTE * 10)).clone();
        file.bytes = 20 << 20;
        Arc::new(file)
    };
    let files: Vec<_> = (0..70).map(fat).collect();
    let step = next(&files, &HashSet::new(), DAY + HOUR);
    assert!(matches!(&step, Some(Step::Join(files)) if files.len() == 7), "{step:?}");
}
