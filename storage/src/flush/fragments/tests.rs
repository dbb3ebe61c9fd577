//! What rollups of files add up to, with open traces taken away and added whole, is what all spans add up to.
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use arrow::array::{
    ArrayRef, FixedSizeBinaryArray, FixedSizeBinaryBuilder, Float64Array, Int32Array, Int32Builder,
    Int64Array, ListBuilder, StringArray, StringBuilder, StructBuilder, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::*;
use crate::flush::tests::DAY;
use crate::rollup::{Rollup, Sum, read_object};
use crate::schema::{AttributeScope, fixed_fields, link_fields};
use crate::time::{NANOS_PER_DAY, NANOS_PER_SECOND, TimeRange};

const SERVICES: [&str; 3] = ["cart", "shop", "stock"];
const NAMES: [&str; 2] = ["GET /", "put"];
/// What a peer's attributes make of its name.
const PEERS: [&str; 3] = ["postgresql/orders", "kafka", "mail.example"];

/// One span of a test; numbers are places in the lists above.
#[derive(Debug, Clone)]
struct Row {
    file: usize,
    trace: u8,
    id: u64,
    parent: Option<u64>,
    start: i64,
    duration: i64,
    service: u32,
    name: u32,
    kind: SpanKind,
    status: u8,
    weight: f64,
    request: Option<i64>,
    peer: Option<u32>,
    links: Vec<(u8, u64)>,
}

struct Texts;

impl Words for Texts {
    fn service(&self, key: u32) -> &str {
        SERVICES[key as usize]
    }

    fn name(&self, key: u32) -> &str {
        NAMES[key as usize]
    }

    fn peer(&self, key: u32) -> &str {
        PEERS[key as usize]
    }
}

impl Row {
    fn span(&self) -> Span {
        let peer = self.peer.filter(|_| self.kind.calls());
        let mut sizes = crate::rollup::Sizes::default();
        sizes.request = self.request.unwrap_or(sizes.request);
        Span {
            id: self.id,
            parent: self.parent.and_then(NonZeroU64::new),
            start: self.start,
            duration: self.duration,
            weight: self.weight,
            service: self.service,
            name: self.name,
            kind: self.kind,
            status: Status::of(self.status_word()),
            sizes,
            peer: peer.map(|name| crate::rollup::Peer { name, database: name == 0 }),
        }
    }

    fn status_word(&self) -> &'static str {
        ["UNSET", "OK", "ERROR"][usize::from(self.status)]
    }
}

fn trace_id(trace: u8) -> [u8; 16] {
    [trace + 1; 16]
}

fn text(values: impl Iterator<Item = Option<&'static str>>) -> ArrayRef {
    let plain: StringArray = values.collect();
    arrow::compute::cast(&plain, &crate::schema::dictionary_type()).unwrap()
}

fn id8(ids: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    let ids = ids.map(|id| id.map(u64::to_be_bytes));
    Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 8).unwrap())
}

fn links(rows: &[&Row]) -> ArrayRef {
    let element = Field::new("element", DataType::Struct(link_fields()), false);
    let mut lists =
        ListBuilder::new(StructBuilder::from_fields(link_fields(), 0)).with_field(element);
    for row in rows {
        for (trace, span) in &row.links {
            let link = lists.values();
            let ids: &mut FixedSizeBinaryBuilder = link.field_builder(0).unwrap();
            ids.append_value(trace_id(*trace)).unwrap();
            let ids: &mut FixedSizeBinaryBuilder = link.field_builder(1).unwrap();
            ids.append_value(span.to_be_bytes()).unwrap();
            link.field_builder::<StringBuilder>(2).unwrap().append_null();
            link.field_builder::<StringBuilder>(3).unwrap().append_null();
            link.field_builder::<Int32Builder>(4).unwrap().append_null();
            link.field_builder::<Int32Builder>(5).unwrap().append_null();
            link.append(true);
        }
        lists.append(!row.links.is_empty());
    }
    Arc::new(lists.finish())
}

fn batch(rows: &[&Row]) -> Arc<SpanBatch> {
    let mut fields = fixed_fields();
    let column = |field: &Field| -> ArrayRef {
        match field.name().as_str() {
            column::TRACE_ID => {
                let ids = rows.iter().map(|row| trace_id(row.trace));
                Arc::new(FixedSizeBinaryArray::try_from_iter(ids).unwrap())
            }
            column::SPAN_ID => id8(rows.iter().map(|row| Some(row.id))),
            column::PARENT_SPAN_ID => id8(rows.iter().map(|row| row.parent)),
            column::START => Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.start))),
            column::DURATION => {
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.duration)))
            }
            column::SERVICE => text(rows.iter().map(|row| Some(SERVICES[row.service as usize]))),
            column::NAME => text(rows.iter().map(|row| Some(NAMES[row.name as usize]))),
            column::KIND => text(rows.iter().map(|row| Some(row.kind.word()))),
            column::STATUS => text(rows.iter().map(|row| Some(row.status_word()))),
            column::RESOURCE => text(rows.iter().map(|_| Some("{}"))),
            column::WEIGHT => {
                Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.weight)))
            }
            column::FLAGS => Arc::new(Int32Array::from(vec![1; rows.len()])),
            column::RECEIVED => Arc::new(Int64Array::from(vec![1; rows.len()])),
            column::LINKS => links(rows),
            _ => new_null_array(field.data_type(), rows.len()),
        }
    };
    let mut arrays: Vec<ArrayRef> = fields.iter().map(|field| column(field)).collect();
    let of_peer = |peer: u32, word| move |row: &&Row| Some(word).filter(|_| row.peer == Some(peer));
    let requests: Int64Array = rows.iter().map(|row| row.request).collect();
    let further: [(&str, ArrayRef); 5] = [
        ("http.request.body.size", Arc::new(requests)),
        ("db.system.name", text(rows.iter().map(of_peer(0, "postgresql")))),
        ("db.namespace", text(rows.iter().map(of_peer(0, "orders")))),
        ("messaging.system", text(rows.iter().map(of_peer(1, "kafka")))),
        ("server.address", text(rows.iter().map(of_peer(2, "mail.example")))),
    ];
    let columns = AttributeColumns::from_start();
    for (key, array) in further {
        let (_, column) = columns.find(AttributeScope::Span, key).unwrap();
        fields.push(Arc::new(column.field()));
        arrays.push(array);
    }
    let records = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    Arc::new(SpanBatch::new(records, Vec::new()))
}

/// The rollups of one flush, by date.
fn flush(rows: &[&Row], elsewhere: Elsewhere<'_>) -> Vec<Rollup> {
    // Two batches: parents and children in different ones.
    let (first, second) = rows.split_at(rows.len() / 2);
    let halves = [first, second].into_iter().filter(|rows| !rows.is_empty());
    let batches: Vec<Arc<SpanBatch>> = halves.map(batch).collect();
    let heads = Heads::of(&batches);
    let resolved = heads.resolve();
    let fragments = Fragments::of(&batches, &AttributeColumns::from_start(), &heads, &resolved);
    let contents = fragments.contents(&heads.sort(), elsewhere);
    contents.into_iter().map(|content| read_object(&content.unwrap().to_bytes().unwrap())).collect()
}

/// The rows of a trace in some file, or in all.
fn rows_of(rows: &[Row], trace: u8, file: Option<usize>) -> Vec<&Row> {
    let wanted = |row: &&Row| row.trace == trace && file.is_none_or(|file| row.file == file);
    rows.iter().filter(wanted).collect()
}

/// What a trace contributes that only whole traces tell, as far as it lies in `file`.
fn contribution(rows: &[Row], trace: u8, file: Option<usize>, range: TimeRange) -> Sum {
    let members = rows_of(rows, trace, file);
    let spans: Vec<Span> = members.iter().map(|row| row.span()).collect();
    let mut callers = Vec::new();
    let of = Trace::resolve(&spans, &mut callers, &Texts);
    let mut found = Vec::new();
    for (place, row) in (0u32..).zip(&members) {
        for (linked, id) in row.links.iter().filter(|_| row.kind == SpanKind::Consumer) {
            if *linked == trace && row.parent == Some(*id) {
                continue;
            }
            let same = rows_of(rows, *linked, file).into_iter().filter(|row| row.id == *id);
            let spans: Vec<Span> = same.map(Row::span).collect();
            let best =
                spans.iter().min_by(|a, b| crate::rollup::compare_parents(a, b, None, &Texts));
            found.extend(best.map(|span| Link::new(place, span)));
        }
    }
    let mut builder = Builder::new(&Texts, range);
    builder.add_trace(&of, &found);
    builder.sum()
}

/// All spans, read.
fn raw(rows: &[Row], range: TimeRange) -> Sum {
    let mut sum = Sum::default();
    let traces: BTreeSet<u8> = rows.iter().map(|row| row.trace).collect();
    for trace in traces {
        let spans: Vec<Span> = rows_of(rows, trace, None).iter().map(|row| row.span()).collect();
        let mut callers = Vec::new();
        let mut builder = Builder::new(&Texts, range);
        builder.add_spans(&Trace::resolve(&spans, &mut callers, &Texts));
        sum.add(&builder.sum());
        sum.add(&contribution(rows, trace, None, range));
    }
    sum
}

/// As a reader does it.
fn by_rollups(rows: &[Row], files: &[(usize, Rollup)], range: TimeRange) -> Sum {
    let mut sum = Sum::default();
    for (_, rollup) in files {
        if range == TimeRange::ALL {
            rollup.add_to(&mut sum);
        } else {
            rollup.slots_of_object().add_to(&mut sum, range);
        }
    }
    let traces = |rollup: &Rollup| [rollup.open(), rollup.linked()].concat();
    let raw: BTreeSet<TraceId> = files.iter().flat_map(|(_, rollup)| traces(rollup)).collect();
    let numbers: BTreeSet<u8> = raw.iter().map(|trace| trace.0[0] - 1).collect();
    for trace in numbers {
        for (file, rollup) in files {
            if !rollup.is_open(&TraceId(trace_id(trace)))
                && !rows_of(rows, trace, Some(*file)).is_empty()
            {
                sum.subtract(&contribution(rows, trace, Some(*file), range));
            }
        }
        sum.add(&contribution(rows, trace, None, range));
    }
    sum
}

/// All figures as text by the texts of their keys, without bounds.
fn shown(sum: &Sum, roots_of_spans: bool) -> BTreeMap<String, String> {
    let text = |key| sum.names.text(key);
    let mut shown = BTreeMap::new();
    for (key, row) in &sum.figures.operations {
        let roots = if roots_of_spans { row.roots } else { 0 };
        let counts = (row.spans, row.errors, row.oks, roots, row.sized, row.request, row.response);
        shown.insert(
            format!("{} {} {:?}", text(key.service), text(key.name), key.kind),
            format!("{counts:?} {:?} {:?} {:?}", row.weight, row.failed, row.durations.buckets()),
        );
    }
    for (key, row) in &sum.figures.edges {
        let both = (row.caller.buckets(), row.callee.buckets());
        shown.insert(
            format!("{} -> {} {:?}", text(key.caller), text(key.callee), key.kind),
            format!("{:?} {} {:?} {:?} {both:?}", row.moved, row.errors, row.weight, row.failed),
        );
    }
    for (key, row) in &sum.figures.roots {
        let buckets = row.durations.buckets();
        let weights: Vec<_> =
            buckets.iter().map(|(bucket, count)| row.weight_in(*bucket, *count)).collect();
        let counts = (row.traces, row.errors, row.caused);
        shown.insert(
            format!("root {} {}", text(key.service), text(key.name)),
            format!("{counts:?} {:?} {:?} {buckets:?} {weights:?}", row.weight, row.failed),
        );
    }
    shown.insert("unnamed".into(), sum.figures.unnamed.to_string());
    shown
}

/// Bounds may be wide after a subtraction, never narrow.
fn assert_bounds(found: &Sum, truth: &Sum) {
    let mut found = found.clone();
    let keys = found.keys_of(&truth.names);
    for (key, row) in &truth.figures.edges {
        let own = &found.figures.edges[&key.with(|key| keys[key as usize])];
        assert!(own.first_nano <= row.first_nano && own.last_nano >= row.last_nano);
    }
    for (key, row) in &truth.figures.roots {
        let own = &found.figures.roots[&key.with(|key| keys[key as usize])];
        assert!(own.longest_nano >= row.longest_nano);
    }
}

fn any_row(files: usize) -> impl Strategy<Value = Row> {
    let ids = (0u8..4, 1u64..7, prop::option::weighted(0.75, 1u64..7));
    let times = (0i64..240, 0i64..3_000);
    let kinds = (0u32..3, 0u32..2, 0usize..6, 0u8..3, prop::option::weighted(0.1, 2u8..5));
    let extras = (
        prop::option::of(0i64..9),
        prop::option::of(0u32..3),
        prop::collection::vec((0u8..4, 1u64..7), 0..3),
    );
    (0..files, ids, times, kinds, extras).prop_map(|(file, ids, times, kinds, extras)| Row {
        file,
        trace: ids.0,
        id: ids.1,
        parent: ids.2,
        start: DAY + times.0 * NANOS_PER_SECOND,
        duration: times.1 * 1_000,
        service: kinds.0,
        name: kinds.1,
        kind: SpanKind::ALL[kinds.2],
        status: kinds.3,
        weight: kinds.4.map_or(1.0, f64::from),
        request: extras.0,
        peer: extras.1,
        links: extras.2,
    })
}

/// Every file of `rows` by a flush of its own, in order; each knows the traces of the ones before.
fn files_of(rows: &[Row]) -> Vec<(usize, Rollup)> {
    let mut seen: BTreeSet<TraceId> = BTreeSet::new();
    let mut files = Vec::new();
    for file in 0..4 {
        let own: Vec<&Row> = rows.iter().filter(|row| row.file == file).collect();
        if own.is_empty() {
            continue;
        }
        let rollup = flush(&own, &|trace| seen.contains(trace)).remove(0);
        files.push((file, rollup));
        seen.extend(own.iter().map(|row| TraceId(trace_id(row.trace))));
    }
    files
}

/// Without links to an id that spans in different files share: a rollup takes the one in its own file, where of all spans
/// it may be another.
fn with_clear_links(mut rows: Vec<Row>) -> Vec<Row> {
    let places: BTreeSet<(u8, u64, usize)> =
        rows.iter().map(|row| (row.trace, row.id, row.file)).collect();
    let is_clear = |link: &(u8, u64)| {
        places.iter().filter(|(trace, id, _)| (*trace, *id) == *link).count() < 2
    };
    rows.iter_mut().for_each(|row| row.links.retain(is_clear));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn rollups_and_open_traces_are_all_spans(
        rows in (1usize..5).prop_flat_map(|files| prop::collection::vec(any_row(files), 1..40)),
    ) {
        let rows = with_clear_links(rows);
        let files = files_of(&rows);
        let (found, truth) =
            (by_rollups(&rows, &files, TimeRange::ALL), raw(&rows, TimeRange::ALL));
        // A SERVER span that shares its id with a CLIENT span in another file is taken for a root there.
        prop_assert_eq!(shown(&found, false), shown(&truth, false));
        assert_bounds(&found, &truth);
    }

    #[test]
    fn slots_within_a_range_are_its_spans(
        rows in prop::collection::vec(any_row(2), 1..40),
        from in 0i64..5,
        minutes in 1i64..5,
    ) {
        let from = DAY + from * 60 * NANOS_PER_SECOND;
        let range = TimeRange { from, until: from + minutes * 60 * NANOS_PER_SECOND };
        let rows = with_clear_links(rows);
        let files = files_of(&rows);
        let (found, truth) = (by_rollups(&rows, &files, range), raw(&rows, range));
        prop_assert_eq!(shown(&found, false), shown(&truth, false));
    }
}

fn row(file: usize, trace: u8, id: u64, parent: Option<u64>) -> Row {
    Row {
        file,
        trace,
        id,
        parent,
        start: DAY + i64::try_from(id).unwrap(),
        duration: 1_000,
        service: u32::try_from(id % 3).unwrap(),
        name: 0,
        kind: SpanKind::Server,
        status: 0,
        weight: 1.0,
        request: None,
        peer: None,
        links: Vec::new(),
    }
}

#[test]
fn a_trace_of_two_roots_in_two_files_is_open_in_the_later_one() {
    let rows = [row(0, 0, 1, None), row(0, 1, 1, None), row(1, 0, 2, None), row(1, 2, 3, None)];
    let files = files_of(&rows);
    assert_eq!(files[0].1.open(), []);
    assert_eq!(files[1].1.open(), [TraceId(trace_id(0))]);
}

#[test]
fn a_trace_across_midnight_is_open_in_both_files() {
    let mut rows = [row(0, 0, 1, None), row(0, 0, 2, None), row(0, 1, 3, None)];
    rows[1].start += NANOS_PER_DAY;
    let rollups = flush(&rows.iter().collect::<Vec<_>>(), &|_| false);
    assert_eq!(rollups.iter().map(|rollup| rollup.open().len()).collect::<Vec<_>>(), [1, 1]);
    let mut sum = Sum::default();
    rollups.iter().for_each(|rollup| rollup.add_to(&mut sum));
    let spans: i64 = sum.figures.operations.values().map(|row| row.spans).sum();
    assert_eq!((spans, sum.figures.roots.values().map(|row| row.traces).sum::<i64>()), (3, 1));
}

#[test]
fn a_link_that_leaves_the_file_is_listed_and_one_that_does_not_is_an_edge() {
    let mut rows = [row(0, 0, 1, None), row(0, 1, 2, None), row(0, 2, 3, None)];
    for (row, target) in [(1, 1), (2, 9)] {
        rows[row].kind = SpanKind::Consumer;
        rows[row].links = vec![(0, target)];
    }
    let rollup = flush(&rows.iter().collect::<Vec<_>>(), &|_| false).remove(0);
    assert_eq!(rollup.linked(), [TraceId(trace_id(2))]);
    let mut sum = Sum::default();
    rollup.add_to(&mut sum);
    let edges: Vec<_> = sum.figures.edges.keys().map(|key| key.kind).collect();
    assert_eq!(edges, [crate::rollup::EdgeKind::Link]);
}

#[test]
fn spans_that_have_little_in_common_are_kept_in_longer_slots_or_none() {
    // Every span an operation and minute of its own: one row a span is not worth it...
    let sparse: Vec<Row> = (0..6_000u64)
        .map(|id| Row {
            start: DAY + i64::try_from(id).unwrap() * 14 * NANOS_PER_SECOND,
            ..row(0, u8::try_from(id % 250).unwrap(), id + 1, None)
        })
        .collect();
    let rollup = flush(&sparse.iter().collect::<Vec<_>>(), &|_| false).remove(0);
    assert!(rollup.slots_of_object().slot_nano() > 60 * NANOS_PER_SECOND);
}
