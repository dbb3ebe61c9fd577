//! OTLP protobuf: our walk against prost.
#![no_main]
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int32Type, Int64Type};
use fuzz::read;
use ingest::Format;
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use storage::SpanBatch;

fuzz_target!(|body: &[u8]| {
    let batch = read(Format::OtlpProtobuf, body);
    // prost refuses text that is not UTF-8, which we mend: what it reads, we must read alike.
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return };
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let kept: Vec<&Span> = scopes.flat_map(|scope| &scope.spans).filter(is_kept).collect();
    assert_eq!(batch.rows(), kept.len(), "other spans than prost finds");
    for (row, span) in kept.into_iter().enumerate() {
        check(&batch, row, span);
    }
});

/// What the doors ask of a span.
fn is_kept(span: &&Span) -> bool {
    let is_id = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte != 0);
    let last = i64::MAX.unsigned_abs();
    is_id(&span.trace_id, 16)
        && is_id(&span.span_id, 8)
        && matches!(span.parent_span_id.len(), 0 | 8)
        && span.start_time_unix_nano < last
        && span.end_time_unix_nano <= last
}

fn check(batch: &SpanBatch, row: usize, span: &Span) {
    let column = |name: &str| batch.column(name).expect("a column of every batch");
    assert_eq!(column("trace_id").as_fixed_size_binary().value(row), span.trace_id);
    assert_eq!(column("span_id").as_fixed_size_binary().value(row), span.span_id);
    let starts = column("start_time_unix_nano");
    let start = starts.as_primitive::<Int64Type>().value(row);
    assert_eq!(start.unsigned_abs(), span.start_time_unix_nano);
    // Longer names are cut.
    if span.name.len() <= 4 << 10 {
        let names = column("name");
        let names = names.as_dictionary::<Int32Type>();
        let name = names.key(row).map(|key| names.values().as_string::<i32>().value(key).to_owned());
        assert_eq!(name.unwrap_or_default(), span.name);
    }
    assert_eq!(column("events").is_valid(row), !span.events.is_empty());
}
