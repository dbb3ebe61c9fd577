//! Views over spans that were dropped: from what was kept of them.
use std::time::Duration;

use storage::ManualClock;
use storage::retain::PolicyChange;

use super::estimates::Dice;
use super::rollups::{BEGIN, MINUTE, Made, equal, request, source, traces};
use super::*;

/// What can be kept.
const VIEWS: [View; 6] = [
    View::Operations,
    View::Network,
    View::Dependencies,
    View::Latency,
    View::LatencyHistogram,
    View::NetworkCaused,
];

/// Midnight after [`BEGIN`].
const MIDNIGHT: u64 = BEGIN + 16 * 60 * MINUTE;

async fn open(folder: &Path, clock: &Arc<ManualClock>) -> (Store, Engine) {
    let mut config = storage::Config::in_folder(folder);
    config.ttl = None;
    config.compact = false;
    let limits = ingest::Config { age_max: None, ..Default::default() };
    let decoder = Arc::new(ingest::decode::Decoder::new(limits));
    let store = Store::open(config, decoder, Arc::clone(clock) as _).await.unwrap();
    let of = store.clone();
    let clock = Arc::clone(clock) as _;
    let engine = Engine::over(move || of.snapshot(), patient(), clock).unwrap();
    (store, engine)
}

type Answers = Vec<(View, bool, Vec<Value>, String)>;

/// All views, over everything and over some ranges.
async fn ask(engine: &Engine) -> Answers {
    let mut answers = Vec::new();
    // Slots are an hour long at most, and a range that cuts one is without it.
    let borders = [MIDNIGHT - 60 * MINUTE, MIDNIGHT, MIDNIGHT + 60 * MINUTE];
    let ranges = borders.windows(2).map(|pair| (Some(pair[0]), Some(pair[1])));
    for (from, to) in ranges.chain([(None, None)]) {
        for view in VIEWS {
            let request = ViewRequest {
                from: from.map(|nanos| nanos.to_string()),
                to: to.map(|nanos| nanos.to_string()),
                ..ViewRequest::everything(view)
            };
            let answer = engine.view(request).await.unwrap();
            let source = source(&answer);
            answers.push((view, from.is_some(), without_gaps(json(answer).await), source));
        }
    }
    answers
}

/// What was missing in traces is not kept, and bounds are as wide as what was taken away from figures before.
fn without_gaps(mut rows: Vec<Value>) -> Vec<Value> {
    for row in &mut rows {
        for column in ["incomplete", "first_seen", "last_seen"] {
            row.as_object_mut().unwrap().remove(column);
        }
    }
    rows
}

#[track_caller]
fn same(after: &Answers, before: &Answers) {
    for ((view, is_cut, own, source), (_, _, expected, _)) in after.iter().zip(before) {
        assert!(source.starts_with("rollups"), "{source}");
        println!("{view:?}, of a range {is_cut}");
        equal(*view, *is_cut, own, expected);
    }
}

/// Traces cross midnight, link to each other, lack parents, share ids; one is pinned.
#[tokio::test]
async fn views_say_after_a_drop_what_they_said_before() {
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let folder = tempfile::tempdir().unwrap();
        let now = i64::try_from(MIDNIGHT + 60 * 24 * MINUTE).unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let (store, engine) = open(folder.path(), &clock).await;
        let rollups = Some(Some(Duration::from_secs(30 * 86_400)));
        store.set_policy(PolicyChange { rollups, ..PolicyChange::default() }).await.unwrap();
        let mut spans = traces(&mut dice, MIDNIGHT - 8 * MINUTE, 40);
        for at in 0..spans.len() {
            if dice.roll().is_multiple_of(5) {
                let other = usize::try_from(dice.roll()).unwrap() % spans.len();
                spans.swap(at, other);
            }
        }
        for piece in spans.chunks(spans.len() / 5 + 1) {
            store.append(request(piece)).await.unwrap();
            store.flush().await.unwrap();
        }
        store.pin(&storage::TraceId(3_u128.to_be_bytes()), "kept").await.unwrap();
        let dates = store.partitions();
        let dates: Vec<_> = dates.iter().map(|partition| partition.date).collect();
        assert_eq!(dates.len(), 2);
        let before = ask(&engine).await;
        println!("seed {seed}");

        let receipt = store.drop_partitions(&dates[..1]).await.unwrap();
        assert_eq!(receipt.rollups.len(), 1, "{receipt:?}");
        let after = ask(&engine).await;
        same(&after, &before);
        let (_, _, _, source) = after.last().unwrap();
        assert!(
            source.contains(
                "spans of 2026-11-22 to 2026-11-23 dropped, from rollups until 2026-12-22"
            ) || source.contains("spans of 2026-11-22 dropped, from rollups until 2026-12-22"),
            "{source}"
        );

        drop(engine);
        store.close().await.unwrap();
        let (store, engine) = open(folder.path(), &clock).await;
        same(&ask(&engine).await, &before);
        store.drop_partitions(&dates[1..]).await.unwrap();
        same(&ask(&engine).await, &before);

        clock.set(now + 40 * 24 * 60 * i64::try_from(MINUTE).unwrap());
        let rest = ask(&engine).await;
        let (_, _, operations, source) = &rest[rest.len() - VIEWS.len()];
        let spans: i64 = operations.iter().map(|row| row["spans"].as_i64().unwrap()).sum();
        assert_eq!(
            u64::try_from(spans).unwrap(),
            store.snapshot().rows(),
            "the pinned trace: {source}"
        );
        store.close().await.unwrap();
    }
}

/// A trace is one, also where its parts lie hours apart on both sides of what is dropped.
#[tokio::test]
async fn parts_of_a_trace_hours_apart_are_one_after_a_drop() {
    const HOUR: u64 = 60 * MINUTE;
    let part = |service, id: u64, parent: Option<u64>, kind: u64, start: u64| {
        let parent = parent.map(|id| format!(r#","parentSpanId":"{id:016x}""#)).unwrap_or_default();
        let end = start + 1_000;
        let json = format!(
            r#"{{"traceId":"{:032x}","spanId":"{id:016x}","name":"op","kind":{kind},"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}"{parent}}}"#,
            7
        );
        Made { service, json }
    };
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(i64::try_from(MIDNIGHT + 24 * HOUR).unwrap()));
    let (store, engine) = open(folder.path(), &clock).await;
    let rollups = Some(Some(Duration::from_secs(30 * 86_400)));
    store.set_policy(PolicyChange { rollups, ..PolicyChange::default() }).await.unwrap();
    // The caller on the day before, whom it called five hours later, a late call of that one: each in a file of its own.
    let begin = MIDNIGHT - 2 * HOUR;
    let parts = [
        part(0, 1, None, 3, begin),
        part(1, 2, Some(1), 2, begin + 5 * HOUR),
        part(2, 3, Some(2), 2, begin + 9 * HOUR),
    ];
    for part in &parts {
        store.append(request(std::slice::from_ref(part))).await.unwrap();
        store.flush().await.unwrap();
    }
    let before = ask(&engine).await;
    let dates: Vec<_> = store.partitions().iter().map(|partition| partition.date).collect();
    store.drop_partitions(&dates[..1]).await.unwrap();
    let after = ask(&engine).await;
    same(&after, &before);
    let edges = after.iter().find(|(view, is_cut, ..)| *view == View::Dependencies && !is_cut);
    assert!(edges.is_some_and(|(_, _, rows, _)| rows.len() == 2), "{edges:?}");
    store.drop_partitions(&dates[1..]).await.unwrap();
    same(&ask(&engine).await, &before);
}
