use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::*;
use crate::corpus::Corpus;

fn spans(body: &[u8]) -> Vec<opentelemetry_proto::tonic::trace::v1::Span> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

#[test]
fn a_round_changes_every_id_and_time_and_nothing_else() {
    let corpus = Corpus::generate(7, 5_000, 2_000_000_000_000_000_000);
    let request = &corpus.requests[0];
    let before = spans(&request.body);
    let after = spans(&request.of_round(Round { number: 3, shift_nano: -1_000 }));
    assert_eq!(before.len() as u64, request.spans);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.trace_id, after.trace_id);
        assert_ne!(before.span_id, after.span_id);
        assert_eq!(before.start_time_unix_nano - 1_000, after.start_time_unix_nano);
        assert_eq!(before.end_time_unix_nano - 1_000, after.end_time_unix_nano);
        assert_eq!(before.attributes, after.attributes);
    }
    let parents = |spans: &[opentelemetry_proto::tonic::trace::v1::Span]| {
        let parent = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
            let id = &span.parent_span_id;
            spans.iter().position(|other| !id.is_empty() && other.span_id == *id)
        };
        spans.iter().map(parent).collect::<Vec<_>>()
    };
    assert_eq!(parents(&before), parents(&after), "parents stay with their children");
}

#[test]
fn the_first_round_is_the_corpus_itself() {
    let corpus = Corpus::generate(7, 1_000, 2_000_000_000_000_000_000);
    for request in &corpus.requests {
        assert_eq!(request.of_round(Round::default()), request.body);
    }
}

#[test]
fn bytes_that_are_no_request_are_refused() {
    assert!(Request::new(vec![0x0a, 0xff]).is_err());
    assert!(Request::new(vec![0x0f]).is_err());
    assert_eq!(Request::new(Vec::new()).unwrap().spans, 0);
}
