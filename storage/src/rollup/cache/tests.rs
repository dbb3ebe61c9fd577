use object_store::memory::InMemory;

use super::*;
use crate::rollup::{Builder, Content, Slots, Span, SpanKind, Status, Sum, Trace, TraceRow, Words};

struct Texts;

impl Words for Texts {
    fn service(&self, _key: u32) -> &str {
        "shop"
    }

    fn name(&self, key: u32) -> &str {
        ["GET /", "POST /", "PUT /"][key as usize % 3]
    }

    fn peer(&self, _key: u32) -> &str {
        "mail"
    }
}

/// Spans of many minutes and durations.
fn slots() -> Slots {
    let mut builder = Builder::with_slots(&Texts, 60_000_000_000);
    for number in 0..3_000u32 {
        let spans = [Span {
            id: 1,
            parent: None,
            start: i64::from(number) * 1_000_000_000,
            duration: i64::from(number % 977) * 7_919,
            weight: 1.0 + f64::from(number % 2),
            service: 0,
            name: number,
            kind: SpanKind::Client,
            status: Status::Error,
            sizes: crate::rollup::Sizes { request: 5, response: i64::MAX, message: -1 },
            peer: Some(crate::rollup::Peer { name: 0, database: false }),
        }];
        let mut callers = Vec::new();
        let trace = Trace::resolve(&spans, &mut callers, &Texts);
        builder.add_spans(&trace);
        builder.add_trace(&trace, &[]);
    }
    builder.slots()
}

fn object() -> Bytes {
    let open = vec![crate::TraceId([1; 16]), crate::TraceId([2; 16])];
    let mut slots = slots();
    let mut traces: Vec<TraceRow> = (0..100).map(row).collect();
    crate::rollup::settle(&mut traces, &Texts, &mut slots.names);
    Content { spans: 3_000, slots, open, sampled: true, traces, ..Content::default() }
        .to_bytes()
        .unwrap()
}

/// A trace; those that come later are older.
fn row(number: u8) -> TraceRow {
    TraceRow {
        id: crate::TraceId([number; 16]),
        service: 0,
        name: u32::from(number),
        start: -i64::from(number),
        duration: 5,
        first_start: -200,
        extent: 300,
        spans: 4,
        errors: 1,
        services: 2,
        depth: 3,
        is_error: number.is_multiple_of(2),
        weight: 1.0 + f64::from(number % 3),
        bytes: 77,
    }
}

/// The same object as version 1 wrote it.
fn version_1() -> Bytes {
    let object = object();
    let u64_at = |at: usize| u64::from_le_bytes(object[at..at + 8].try_into().unwrap());
    let blocks = usize::try_from(u64_at(40) + u64_at(64)).unwrap();
    let mut old = object[..88].to_vec();
    old[8] = 1;
    let checksum = xxhash_rust::xxh3::xxh3_64(&old);
    old.extend_from_slice(&checksum.to_le_bytes());
    old.extend_from_slice(&object[120..120 + blocks]);
    old.into()
}

#[tokio::test]
async fn traces_are_read_oldest_first_with_their_names() {
    let rollups = with(&[("a.rollup", object())], usize::MAX).await;
    let traces = rollups.traces(&file("a.rollup")).await.unwrap();
    assert_eq!(traces.rows().len(), 100);
    for (read, number) in traces.rows().iter().zip((0..100).rev()) {
        let keys = (read.service, read.name);
        assert_eq!(TraceRow { service: 0, name: u32::from(number), ..*read }, row(number));
        assert_eq!(&*traces.names()[keys.0 as usize], "shop");
        assert_eq!(&*traces.names()[keys.1 as usize], Texts.name(u32::from(number)));
    }
}

#[tokio::test]
async fn a_rollup_of_version_1_has_everything_but_traces() {
    let rollups = with(&[("a.rollup", version_1())], usize::MAX).await;
    let file = file("a.rollup");
    let whole = rollups.whole(&file).await.unwrap();
    assert!(!whole.has_traces() && whole.is_open(&crate::TraceId([2; 16])));
    assert!(rollups.slots(&file).await.is_some());
    assert!(rollups.traces(&file).await.is_none());
    check(rollups.object_store.as_ref(), &file).await.unwrap();
    // That it has none is no damage.
    assert!(rollups.whole(&file).await.is_some());
}

fn file(path: &str) -> DataFile {
    DataFile {
        path: "date=2026-11-21/x.parquet".into(),
        class: None,
        bytes: 1,
        checksum: None,
        footer: None,
        rows: 3_000,
        date: chrono::NaiveDate::MIN,
        start: crate::TimeRange::ALL,
        modified_unix_milli: 0,
        services: None,
        traces: None,
        rest: None,
        sidecar: None,
        rollup: Some(path.into()),
    }
}

async fn with(objects: &[(&str, Bytes)], bytes_max: usize) -> Rollups {
    let store = Arc::new(InMemory::new());
    for (path, object) in objects {
        store.put(&Path::from(*path), object.clone().into()).await.unwrap();
    }
    Rollups::new(store, bytes_max)
}

fn spans(sum: &Sum) -> i64 {
    sum.figures.operations.values().map(|row| row.spans).sum()
}

#[tokio::test]
async fn what_was_written_is_read_whole_and_by_slots() {
    let rollups = with(&[("a.rollup", object())], usize::MAX).await;
    let whole = rollups.whole(&file("a.rollup")).await.unwrap();
    assert!(whole.is_sampled() && whole.is_open(&crate::TraceId([2; 16])));
    let (mut found, truth) = (Sum::default(), slots());
    whole.add_to(&mut found);
    let mut of_slots = Sum { names: truth.names.clone(), ..Sum::default() };
    truth.slots.values().for_each(|figures| of_slots.figures.merge(figures));
    let keys = found.keys_of(&truth.names);
    for (key, row) in &of_slots.figures.operations {
        let key = key.with(|key| keys[key as usize]);
        assert_eq!(&found.figures.operations[&key], row);
    }
    assert_eq!(found.figures.rows(), of_slots.figures.rows());
    let slots = rollups.slots(&file("a.rollup")).await.unwrap();
    let minute = 60_000_000_000;
    let range = crate::TimeRange { from: minute - 5, until: 3 * minute + 5 };
    let mut some = Sum::default();
    slots.add_to(&mut some, range);
    let covered = crate::TimeRange { from: minute, until: 3 * minute };
    assert_eq!((slots.covered(range), spans(&some)), (covered, 120));
}

#[tokio::test]
async fn a_damaged_object_is_reported_by_a_check_and_treated_as_absent() {
    let object = object();
    for place in (0..object.len()).step_by(41) {
        let mut damaged = object.to_vec();
        damaged[place] ^= 0x10;
        let damaged = Bytes::from(damaged);
        let rollups = with(&[("a.rollup", damaged.clone())], usize::MAX).await;
        let file = file("a.rollup");
        // The slots are not read with the whole.
        let unusable = rollups.whole(&file).await.is_none()
            || rollups.slots(&file).await.is_none()
            || rollups.traces(&file).await.is_none();
        assert!(unusable, "byte {place}");
        let checked = check(rollups.object_store.as_ref(), &file).await;
        assert!(matches!(checked, Err(Error::Corrupt { .. })), "byte {place}: {checked:?}");
    }
    for length in [0, 8, 95, 96, 119, 120, object.len() - 1] {
        let rollups = with(&[("a.rollup", object.slice(..length))], usize::MAX).await;
        assert!(check(rollups.object_store.as_ref(), &file("a.rollup")).await.is_err());
    }
    let rollups = with(&[("a.rollup", object)], usize::MAX).await;
    assert!(check(rollups.object_store.as_ref(), &file("a.rollup")).await.is_ok());
    assert!(rollups.whole(&file("b.rollup")).await.is_none(), "not there");
    assert!(rollups.whole(&DataFile { rows: 7, ..file("a.rollup") }).await.is_none(), "another's");
}

#[tokio::test]
async fn slots_go_before_whole_parts_where_memory_is_short() {
    let object = object();
    let names = ["a.rollup", "b.rollup", "c.rollup"];
    let objects = names.map(|name| (name, object.clone()));
    let plenty = with(&objects, usize::MAX).await;
    let whole = plenty.whole(&file("a.rollup")).await.unwrap().memory_bytes();
    let slots = plenty.slots(&file("a.rollup")).await.unwrap().memory_bytes();
    let rollups = with(&objects, 3 * whole + slots).await;
    for name in names {
        rollups.slots(&file(name)).await.unwrap();
    }
    let held = rollups.lock();
    let has_slots: Vec<bool> =
        names.iter().map(|name| held.entries[*name].slots.is_some()).collect();
    assert_eq!(has_slots, [false, false, true]);
    assert_eq!(held.bytes, 3 * whole + slots);
}
