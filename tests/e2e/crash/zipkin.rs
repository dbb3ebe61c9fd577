//! Zipkin's protobuf, as far as the client sends it:
//! <https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto>.
use prost::Message;

use super::client::trace;
use super::{Request, SPANS_PER_REQUEST};

#[derive(Clone, PartialEq, Message)]
struct ListOfSpans {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "6")]
    timestamp_micros: u64,
    #[prost(uint64, tag = "7")]
    duration_micros: u64,
    #[prost(message, optional, tag = "8")]
    local_endpoint: Option<Endpoint>,
    #[prost(btree_map = "string, string", tag = "11")]
    tags: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "1")]
    service_name: String,
}

/// The spans of a request; always the same bytes for the same request.
pub(super) fn protobuf(request: &Request, base: u64) -> Vec<u8> {
    let tag = |key: &str, value: u64| (key.to_owned(), value.to_string());
    let span = |index: u64| Span {
        trace_id: u128::from(trace(request)).to_be_bytes().to_vec(),
        id: (1 + index).to_be_bytes().to_vec(),
        name: "zipkin".to_owned(),
        timestamp_micros: (base + request.number * 1_000 + index) / 1_000,
        duration_micros: 5,
        local_endpoint: Some(Endpoint { service_name: "crash".to_owned() }),
        tags: [tag("client", request.client), tag("number", request.number), tag("index", index)]
            .into(),
    };
    ListOfSpans { spans: (0..SPANS_PER_REQUEST).map(span).collect() }.encode_to_vec()
}
