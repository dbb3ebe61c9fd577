//! What tests of this crate share: a decoder whose requests say how many spans they are.
mod counting;
mod failing;
mod memory;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use bytes::Bytes;

use crate::batch::{RestCount, SpanBatch};
use crate::entry::{Codec, Compressed, Decode, DecodeSession, Entry};
use crate::schema::{AttributeColumns, AttributeScope, AttributeType, column, fixed_fields};
use crate::time::TimeRange;

pub(crate) use counting::CountingStore;
pub(crate) use failing::FailingStore;
pub(crate) use memory::{Fault, MemoryFolder};

/// 2026-11-21T00:00:00Z.
pub(crate) const DAY: i64 = 1_795_219_200 * crate::time::NANOS_PER_SECOND;

/// Reads bodies of the form `FIRST COUNT [KEY=VALUE]`: spans with the ids `FIRST..FIRST + COUNT`, each with that
/// attribute. `panic` makes it panic; any other text yields no spans.
#[derive(Debug, Default)]
pub(crate) struct CountDecode;

/// A request for [`CountDecode`].
pub(crate) fn entry(body: &str) -> Entry {
    Entry {
        format: 1,
        received_unix_nano: DAY,
        accept: TimeRange::ALL,
        body: Bytes::copy_from_slice(body.as_bytes()),
        deduplicate: true,
    }
}

/// The ids of the spans in `batch`.
pub(crate) fn ids(batch: &SpanBatch) -> Vec<u64> {
    let column = batch.records().column_by_name(column::SPAN_ID).unwrap();
    let ids = column.as_any().downcast_ref::<FixedSizeBinaryArray>().unwrap();
    ids.iter().map(|id| u64::from_be_bytes(id.unwrap().try_into().unwrap())).collect()
}

struct Request {
    first: u64,
    count: u64,
    attribute: Option<(String, String)>,
}

fn read(entry: &Entry) -> Option<Request> {
    let text = std::str::from_utf8(&entry.body).ok()?;
    assert_ne!(text, "panic", "as asked");
    let mut words = text.split(' ');
    let first = words.next()?.parse().ok()?;
    let count = words.next()?.parse().ok()?;
    let attribute = words.next().and_then(|word| word.split_once('='));
    let attribute = attribute.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Some(Request { first, count, attribute })
}

impl Decode for CountDecode {
    fn session(&self) -> Box<dyn DecodeSession> {
        Box::new(Self)
    }

    /// The "compression" of tests: 100 bytes of the body are one byte, in front of it.
    fn inflate(&self, compressed: &Compressed, bytes: usize) -> Option<Bytes> {
        let (hundreds, rest) = compressed.body.split_first()?;
        let body = [rest, &vec![b' '; usize::from(*hundreds) * 100]].concat();
        (body.len() == bytes).then(|| body.into())
    }
}

impl DecodeSession for CountDecode {
    fn bytes(&self) -> usize {
        0
    }

    fn decode(&mut self, entries: &[Entry], columns: &Arc<AttributeColumns>) -> SpanBatch {
        let spans: Vec<(u64, Option<(String, String)>)> = entries
            .iter()
            .filter_map(read)
            .flat_map(|request| {
                let attribute = request.attribute;
                (request.first..request.first + request.count)
                    .map(move |id| (id, attribute.clone()))
            })
            .collect();
        build(&spans, columns)
    }
}

/// `body` and `hundreds` times 100 blanks, a request for [`CountDecode`] that came compressed.
pub(crate) fn compressed(body: &str, hundreds: u8) -> (Entry, Compressed) {
    let sent = [&[hundreds], body.as_bytes()].concat();
    let sent = Compressed { codec: Codec::Zstd, body: sent.into() };
    let plain = CountDecode.inflate(&sent, body.len() + usize::from(hundreds) * 100).unwrap();
    (Entry { body: plain, ..entry("") }, sent)
}

fn build(spans: &[(u64, Option<(String, String)>)], columns: &AttributeColumns) -> SpanBatch {
    let mut fields = fixed_fields();
    let mut arrays: Vec<ArrayRef> = fields.iter().map(|field| fixed(field, spans)).collect();
    let mut rest: Vec<RestCount> = Vec::new();
    let mut keys: Vec<&str> =
        spans.iter().filter_map(|(_, a)| a.as_ref().map(|(key, _)| key.as_str())).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let value = |a: &Option<(String, String)>| a.clone().filter(|(k, _)| k == key);
        if let Some((_, column)) = columns.find(AttributeScope::Span, key) {
            assert_eq!(column.kind, AttributeType::String, "tests use text attributes");
            let values = spans.iter().map(|(_, a)| value(a).map(|(_, value)| value));
            fields.push(Arc::new(column.field()));
            arrays.push(text(values.collect()));
        } else {
            let count = spans.iter().filter(|(_, a)| value(a).is_some()).count() as u64;
            let (scope, kind) = (AttributeScope::Span, AttributeType::String);
            rest.push(RestCount { scope, key: key.to_owned(), kind, spans: count });
        }
    }
    for (field, array) in fields.iter().zip(&mut arrays) {
        if field.name() == column::ATTRIBUTES {
            *array = Arc::new(StringArray::from_iter(spans.iter().map(|(_, a)| json(a, columns))));
        }
    }
    let records = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    SpanBatch::new(records, rest)
}

fn json(attribute: &Option<(String, String)>, columns: &AttributeColumns) -> Option<String> {
    let (key, value) = attribute.as_ref()?;
    let in_column = columns.find(AttributeScope::Span, key).is_some();
    (!in_column).then(|| format!("{{\"{key}\":\"{value}\"}}"))
}

fn fixed(field: &Field, spans: &[(u64, Option<(String, String)>)]) -> ArrayRef {
    let ids = spans.iter().map(|(id, _)| *id);
    let rows = spans.len();
    match (field.name().as_str(), field.data_type()) {
        (column::TRACE_ID, _) => binary(ids.map(|id| u128::from(id).to_be_bytes().to_vec()), 16),
        (column::SPAN_ID, _) => binary(ids.map(|id| id.to_be_bytes().to_vec()), 8),
        (column::START, _) => {
            Arc::new(Int64Array::from_iter_values(ids.map(|id| DAY + i64::try_from(id).unwrap())))
        }
        (column::KIND, _) => text(vec![Some("SERVER".into()); rows]),
        (column::STATUS, _) => text(vec![Some("UNSET".into()); rows]),
        (column::RESOURCE, _) => text(vec![Some("{\"service.name\":\"shop\"}".into()); rows]),
        (column::SERVICE, _) => text(vec![Some("shop".into()); rows]),
        (column::NAME, _) => text(vec![Some("buy".into()); rows]),
        (_, kind) if field.is_nullable() => new_null_array(kind, rows),
        (_, DataType::Int64) => Arc::new(Int64Array::from(vec![1; rows])),
        (_, DataType::Int32) => Arc::new(Int32Array::from(vec![0; rows])),
        (_, DataType::Float64) => Arc::new(Float64Array::from(vec![1.0; rows])),
        (name, kind) => panic!("no test values for column {name} of type {kind}"),
    }
}

fn binary(values: impl Iterator<Item = Vec<u8>>, width: i32) -> ArrayRef {
    let values: Vec<Option<Vec<u8>>> = values.map(Some).collect();
    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), width);
    Arc::new(array.unwrap())
}

fn text(values: Vec<Option<String>>) -> ArrayRef {
    let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
    Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>())
}
