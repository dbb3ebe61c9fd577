use super::*;
use crate::file::{date_of, start_of};
use crate::testing::DAY;
use crate::time::TimeRange;

const HOUR: i64 = 3_600 * NANOS_PER_SECOND;
const MINUTE: i64 = 60 * NANOS_PER_SECOND;

fn file(path: &str, rows: u64, from: i64) -> Arc<DataFile> {
    Arc::new(DataFile {
        path: path.into(),
        bytes: rows * 36,
        checksum: Some(1),
        rows,
        date: date_of(from),
        class: None,
        start: TimeRange { from, until: from + MINUTE },
        modified_unix_milli: (from + MINUTE) / 1_000_000,
        services: None,
        traces: None,
        rest: None,
        sidecar: None,
        rollup: None,
    })
}

/// A flush each minute of the hours `hours` of the day.
fn minutes(hours: std::ops::Range<i64>, rows: u64) -> Vec<Arc<DataFile>> {
    let minutes = hours.start * 60..hours.end * 60;
    minutes.map(|minute| file(&minute.to_string(), rows, DAY + minute * MINUTE)).collect()
}

fn paths(step: Option<Vec<Arc<DataFile>>>) -> Vec<String> {
    step.unwrap_or_default().iter().map(|file| file.path.clone()).collect()
}

/// Merges until nothing is left to do, as the compactor would; returns the files and the spans rewritten.
fn settle(mut files: Vec<Arc<DataFile>>, now: i64) -> (Vec<Arc<DataFile>>, u64) {
    let mut rewritten = 0;
    while let Some(step) = next(&files, &HashSet::new(), now) {
        assert!(step.len() > 1, "a step makes progress");
        files.retain(|file| !step.iter().any(|merged| merged.path == file.path));
        let rows = step.iter().map(|file| file.rows).sum();
        assert!(rows <= ROWS_MAX);
        rewritten += rows;
        let mut merged = (*step[0]).clone();
        merged.rows = rows;
        merged.bytes = step.iter().map(|file| file.bytes).sum();
        merged.path = format!("{}+", merged.path);
        files.push(Arc::new(merged));
    }
    (files, rewritten)
}

#[test]
fn a_day_of_minutes_becomes_one_file_an_hour() {
    let (files, rewritten) = settle(minutes(0..24, 60), DAY + 25 * HOUR);
    assert_eq!(files.len(), 24);
    assert_eq!(rewritten, 24 * 60 * 60, "each span once: all hours are closed");
}

#[test]
fn files_stay_bounded_at_any_rate() {
    for rows in [1, 100, 10_000, 100_000, 300_000, 600_000] {
        let (files, _) = settle(minutes(0..24, rows), DAY + 25 * HOUR);
        let total = rows * 1_440;
        let bound = 24 + 2 * total / ROWS_SMALL;
        assert!(files.len() as u64 <= bound, "{rows} a minute: {} files", files.len());
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
    let (files, _) = settle(minutes(0..1, 60)[..59].to_vec(), DAY + 59 * MINUTE);
    assert!(files.len() <= 7 + 7, "{}", files.len());
}

#[test]
fn large_parked_and_foreign_files_are_left_alone() {
    let now = DAY + 3 * HOUR;
    let mut foreign = (*file("foreign", 10, DAY)).clone();
    foreign.checksum = None;
    let files = [
        file("large", ROWS_SMALL, DAY),
        file("parked", 10, DAY),
        Arc::new(foreign),
        file("small", 10, DAY),
    ];
    let parked = HashSet::from(["parked".to_owned()]);
    assert!(next(&files, &parked, now).is_none());
    assert_eq!(paths(next(&files, &HashSet::new(), now)), ["parked", "small"]);
}

#[test]
fn hours_and_dates_are_never_mixed() {
    let midnight = start_of(date_of(DAY + 30 * HOUR));
    let files = [file("before", 10, midnight - MINUTE), file("after", 10, midnight)];
    assert!(next(&files, &HashSet::new(), midnight + 10 * HOUR).is_none());
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
