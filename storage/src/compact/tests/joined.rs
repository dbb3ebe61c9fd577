//! Joining files must end where merging them ends.
use super::*;
use crate::TraceId;
use crate::rollup::{Figures, TraceRow};
use crate::testing::CountingStore;

/// Joins all files of the table.
async fn join(table: &Table) -> Merged {
    let inputs = table.state().files.to_vec();
    let merged = Compactor::default().join(table, &inputs).await.unwrap().unwrap();
    assert!(table.commit_merged(&merged).await.unwrap());
    assert_eq!((table.state().files.len(), merged.outputs.len()), (1, 1));
    merged
}

/// Small numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// A place in something of `length` places.
    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.throw(u64::try_from(length).unwrap())).unwrap()
    }
}

/// Traces of some spans each, which lie in one file or, one in three, in several.
fn traces(dice: &mut Dice, files: usize) -> Vec<Vec<TestSpan>> {
    const SERVICES: [&str; 4] = ["cart", "front", "pay", "stock"];
    const NAMES: [&str; 3] = ["GET /", "POST /", "SELECT"];
    let mut all: Vec<Vec<TestSpan>> = vec![Vec::new(); files];
    for trace in 1..=60u64 {
        let home = dice.place(files);
        let is_split = dice.throw(3) == 0;
        for number in 0..1 + dice.throw(8) {
            let parent = (number > 0).then(|| trace * 100 + dice.throw(number));
            // Some parents are nowhere, some traces have two roots.
            let parent = match dice.throw(20) {
                0 => Some(99),
                1 => None,
                _ => parent,
            };
            let start = DAY + i64::try_from(dice.throw(4_000)).unwrap() * NANOS_PER_SECOND;
            let mut span = span(u128::from(trace), trace * 100 + number, parent, start);
            span.service = SERVICES[dice.place(4)];
            span.name = NAMES[dice.place(3)];
            span.status = if dice.throw(5) == 0 { "ERROR" } else { "UNSET" };
            span.attributes =
                (dice.throw(4) == 0).then_some(r#"{"server.address":"db-1","odd":1}"#);
            let file = if is_split { dice.place(files) } else { home };
            all[file].push(span);
        }
    }
    all.retain(|file| !file.is_empty());
    all
}

fn counts() -> Vec<RestCount> {
    [("server.address", AttributeType::String), ("odd", AttributeType::Int)]
        .map(|(key, kind)| RestCount {
            scope: AttributeScope::Span,
            key: key.into(),
            kind,
            spans: 1,
        })
        .into()
}

async fn with(files: &[Vec<TestSpan>]) -> Rig {
    let (table, mut columns) = (table().await, AttributeColumns::from_start());
    for (number, spans) in (1..).zip(files) {
        let batches = [batch(spans, counts())];
        flush::flush(&table, &batches, &columns, WalSeq(number)).await.unwrap();
        if number == 2 {
            // The files from the third on have a column that the first two lack.
            columns.add(AttributeScope::Span, "odd", AttributeType::Int);
        }
    }
    table.clock.set(table.clock.now_unix_nano() + 3_600 * NANOS_PER_SECOND);
    table
}

/// All figures by texts, the open traces, and the rows of the others.
async fn figures(table: &Table) -> (BTreeMap<String, String>, Vec<TraceId>, Vec<String>) {
    let file = Arc::clone(&table.state().files[0]);
    let whole = table.rollups().whole(&file).await.unwrap();
    let slots = table.rollups().slots(&file).await.unwrap();
    let (mut sum, mut by_slot) = (Sum::default(), Sum::default());
    whole.add_to(&mut sum);
    slots.add_to(&mut by_slot, crate::TimeRange::ALL);
    assert_eq!(shown_figures(&sum), shown_figures(&by_slot));
    let traces = table.rollups().traces(&file).await.unwrap();
    let name = |key: u32| &traces.names()[key as usize];
    let rows = traces.rows().iter().map(|row| {
        let keyless = TraceRow { service: 0, name: 0, ..*row };
        format!("{} {} {keyless:?}", name(row.service), name(row.name))
    });
    (shown_figures(&sum), whole.open().to_vec(), rows.collect())
}

fn shown_figures(sum: &Sum) -> BTreeMap<String, String> {
    let Figures { operations, edges, roots, unnamed } = &sum.figures;
    let text = |key: u32| sum.names.text(key);
    let mut shown = BTreeMap::from([("unnamed".to_owned(), unnamed.to_string())]);
    for (key, row) in operations {
        let key = format!("{} {} {:?}", text(key.service), text(key.name), key.kind);
        shown.insert(key, format!("{:?}", (row.spans, row.errors, row.roots, row.weight)));
    }
    for (key, row) in edges {
        let key = format!("{} -> {} {:?}", text(key.caller), text(key.callee), key.kind);
        let figures = (row.moved.calls, row.errors, row.weight, row.callee.buckets());
        shown.insert(key, format!("{figures:?}"));
    }
    for (key, row) in roots {
        let key = format!("root {} {}", text(key.service), text(key.name));
        shown.insert(key, format!("{:?}", (row.traces, row.errors, row.caused.calls)));
    }
    shown
}

#[tokio::test]
async fn joining_is_merging_without_decoding() {
    for (seed, files) in (1..=6).zip(3..) {
        let files = traces(&mut Dice(seed), files);
        let (joined, merged) = (with(&files).await, with(&files).await);
        let spans: usize = files.iter().map(Vec::len).sum();
        join(&joined).await;
        assert_eq!(compact(&merged, &Compactor::default()).await, 1);
        let (one, other) = (rows(&joined).await, rows(&merged).await);
        assert_eq!(one.len(), spans);
        for (id, row) in &one {
            // What lies in the JSON is not moved into columns: readers look for it there.
            let rest = |row: &[(String, String)]| -> Vec<(String, String)> {
                let plain = |(name, _): &&(String, String)| {
                    ![column::ATTRIBUTES, "odd"].contains(&name.as_str())
                };
                row.iter().filter(plain).cloned().collect()
            };
            assert_eq!(rest(row), rest(&other[id]), "seed {seed}, span {id}");
        }
        assert_eq!(figures(&joined).await, figures(&merged).await, "seed {seed}");
        let (one, other) = (&joined.state().files[0], &merged.state().files[0]);
        assert_eq!(
            (one.rows, one.start, &one.services),
            (other.rows, other.start, &other.services)
        );
        assert!((1..=60u128).all(|trace| {
            let trace = TraceId(trace.to_be_bytes());
            one.may_hold_trace(&trace) == other.may_hold_trace(&trace)
        }));
        assert!(one.may_hold_rest(AttributeScope::Span, "odd"));
        one.read_checked(joined.object_store().as_ref()).await.unwrap();
    }
}

#[tokio::test]
async fn row_groups_are_copied_as_they_are_and_keep_their_bounds() {
    let (table, columns) = (table().await, AttributeColumns::from_start());
    for number in 1..=3u64 {
        let start = DAY + number as i64 * NANOS_PER_SECOND;
        flush_one(&table, number, &[span(number.into(), number, None, start)], &columns).await;
    }
    let sources = inputs(&table).await;
    join(&table).await;
    let joined = inputs(&table).await;
    assert_eq!(joined[0].groups(), 3);
    for (group, source) in sources.iter().enumerate() {
        for name in [column::TRACE_ID, column::START, column::RESOURCE] {
            let bytes = async |source: &Source, group: usize| {
                let fetched = source.fetch(group, &|column| column == name).await.unwrap();
                let leaf = source.leaves(name).start;
                let (start, length) = source.metadata.row_group(group).column(leaf).byte_range();
                use parquet::file::reader::ChunkReader;
                fetched.get_bytes(start, usize::try_from(length).unwrap()).unwrap()
            };
            assert_eq!(bytes(source, 0).await, bytes(&joined[0], group).await, "{name}");
        }
        let leaf = joined[0].leaves(column::START).start;
        let chunk = joined[0].metadata.row_group(group).column(leaf);
        assert!(chunk.statistics().is_some() && chunk.offset_index_offset().is_some());
        let ids = joined[0].metadata.row_group(group).column(0);
        assert!(ids.bloom_filter_offset().is_some());
    }
}

async fn inputs(table: &Table) -> Vec<Source> {
    let mut sources = Vec::new();
    for file in table.state().files.iter() {
        sources.push(Source::open(table.object_store(), file).await.unwrap());
    }
    sources
}

#[tokio::test]
async fn a_joined_file_is_joined_again() {
    let files = traces(&mut Dice(77), 4);
    let (joined, merged) = (with(&files).await, with(&files).await);
    let all = joined.state().files.to_vec();
    for half in [&all[..2], &all[2..]] {
        let merged = Compactor::default().join(&joined, half).await.unwrap().unwrap();
        assert!(joined.commit_merged(&merged).await.unwrap());
    }
    assert_eq!(joined.state().files.len(), 2);
    join(&joined).await;
    assert_eq!(compact(&merged, &Compactor::default()).await, 1);
    assert_eq!(figures(&joined).await, figures(&merged).await);
}

#[tokio::test]
async fn a_damaged_file_is_left_out_of_a_join() {
    let (table, columns) = (table().await, AttributeColumns::from_start());
    for number in 1..=3u64 {
        flush_one(&table, number, &[span(number.into(), number, None, DAY)], &columns).await;
    }
    let files = table.state().files.to_vec();
    let path = Path::from(files[1].path.as_str());
    table.object_store().put(&path, PutPayload::from_static(b"damaged")).await.unwrap();
    let compactor = Compactor::default();
    assert!(compactor.join(&table, &files).await.unwrap().is_none());
    assert_eq!(compactor.parked(), HashSet::from([files[1].path.clone()]));
}

#[tokio::test]
async fn without_one_of_the_rollups_a_joined_file_has_none_and_callers_are_mended() {
    let (table, columns) = (table().await, AttributeColumns::from_start());
    flush_one(&table, 1, &[span(1, 1, None, DAY)], &columns).await;
    flush_one(&table, 2, &[span(1, 2, Some(1), DAY + 1)], &columns).await;
    let rollup = table.state().files[0].rollup.clone().unwrap();
    table.object_store().delete(&Path::from(rollup)).await.unwrap();
    let table = open_again(&table).await;
    join(&table).await;
    assert_eq!(table.state().files[0].rollup, None);
    assert_eq!(value(&rows(&table).await[&id(2)], column::CALLER_SERVICE), Some("shop"));
}

#[tokio::test]
async fn a_join_that_fails_anywhere_leaves_each_span_once() {
    for (change, after) in (0..5).flat_map(|change| [(change, false), (change, true)]) {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (table, columns) = (open(Arc::clone(&inner)).await, AttributeColumns::from_start());
        for number in 1..=3u64 {
            flush_one(&table, number, &[span(1, number, None, DAY)], &columns).await;
        }
        let failing = FailingStore::over(&inner);
        let table = open(Arc::clone(&failing) as _).await;
        failing.fail_change(change, after);
        let files = table.state().files.to_vec();
        if let Ok(Some(merged)) = Compactor::default().join(&table, &files).await {
            // The answer may be lost: then nobody knows, until the log is read again.
            let _ = table.commit_merged(&merged).await;
        }
        assert_eq!(rows(&open(inner).await.table).await.len(), 3, "change {change}, after {after}");
    }
}

/// Joins so many files of one row group each: the bytes of the largest, those held at a time at most, and all that were read.
async fn bytes_of_a_join(files: u64) -> (u64, u64, u64) {
    const SPANS: u64 = 10_000;
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (table, columns) = (open(Arc::clone(&inner)).await, AttributeColumns::from_start());
    let mut dice = Dice(files);
    for file in 0..files {
        let spans = (0..SPANS).map(|number| {
            let id = file * SPANS + number + 1;
            // Ids that do not compress; one trace in a thousand goes on in the next file.
            let trace = if id.is_multiple_of(1_000) { id / SPANS / 2 } else { id };
            let trace = u128::from(trace) << 64 | u128::from(dice.throw(1 << 30));
            span(trace, id, None, DAY + i64::try_from(id).unwrap() * 1_000_003)
        });
        flush_one(&table, file + 1, &spans.collect::<Vec<_>>(), &columns).await;
    }
    let counting = CountingStore::over(&inner);
    let table = open(Arc::clone(&counting) as _).await;
    let before = counting.most_and_all().1;
    let largest = table.state().files.iter().map(|file| file.bytes).max().unwrap();
    assert!(largest > source::WHOLE_BYTES, "{largest}");
    join(&table).await;
    let (most, all) = counting.most_and_all();
    assert_eq!(table.state().files[0].rows, files * SPANS);
    (largest, most, all - before)
}

#[tokio::test]
async fn a_join_holds_one_row_group_whatever_the_number_of_files() {
    let (few, many) = (bytes_of_a_join(3).await, bytes_of_a_join(9).await);
    for (largest, most, _) in [few, many] {
        // What is compared, or the group that is copied, and one read beside it.
        assert!(most <= 2 * largest, "{most} bytes at a time of files of {largest}");
    }
    assert!(many.1 <= few.1 + few.1 / 10, "{} of nine files, {} of three", many.1, few.1);
    let (_, _, all) = many;
    assert!(all > 12 * many.0, "everything was read, and to be compared before that: {all}");
}
