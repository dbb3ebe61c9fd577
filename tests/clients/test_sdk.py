"""Spans sent by the OpenTelemetry SDK's own exporters come back unchanged, over gRPC and over HTTP."""

import json

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState


def exporters(server):
    return {
        "grpc": lambda: GrpcExporter(endpoint=f"127.0.0.1:{server.ports['grpc']}", insecure=True),
        "http": lambda: HttpExporter(endpoint=server.url("/v1/traces", "http")),
        "http-gzip": lambda: HttpExporter(
            endpoint=server.url("/v1/traces", "http"), compression=Compression.Gzip
        ),
    }


def as_object(value):
    """JSON columns arrive as objects in JSON answers; text is accepted too."""
    return json.loads(value) if isinstance(value, str) else value


ATTRIBUTES = {
    "http.route": "/orders/{id}",
    "http.response.status_code": 503,
    "test.text": "grüße 東京 \u2028 \"quoted\" \\ \n end",
    "test.empty": "",
    "test.int": 9_007_199_254_740_993,
    "test.negative": -(2**63),
    "test.double": 0.1,
    "test.whole_double": 5.0,
    "test.true": True,
    "test.false": False,
    "test.texts": ["a", "b"],
    "test.ints": [1, 2, 3],
    "test.doubles": [1.0, 2.5],
    "test.bools": [True, False],
}


@pytest.mark.parametrize("door", ["grpc", "http", "http-gzip"])
def test_every_field_of_a_span_survives(server, door):
    resource = Resource.create({"service.name": "sdk-test", "service.version": "1.2.3", "test.shard": 7})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(exporters(server)[door]()))
    tracer = provider.get_tracer("scope.name", "4.5.6", attributes={"scope.key": "scope value"})

    parent_context = SpanContext(
        trace_id=0x0123456789ABCDEF0123456789ABCDEF,
        span_id=0xFEDCBA9876543210,
        is_remote=True,
        trace_flags=TraceFlags(1),
        trace_state=TraceState([("vendor", "value"), ("other", "1")]),
    )
    link_context = SpanContext(0xAA << 100, 0xBB << 40, is_remote=True, trace_flags=TraceFlags(1))
    # Recent, with digits down to the nanosecond.
    import time

    start = time.time_ns() // 1_000_000_000 * 1_000_000_000 + 123_456_789
    span = tracer.start_span(
        "GET /orders/{id}",
        context=trace.set_span_in_context(trace.NonRecordingSpan(parent_context)),
        kind=SpanKind.SERVER,
        attributes=ATTRIBUTES,
        links=[Link(link_context, {"link.key": 42})],
        start_time=start,
    )
    span.add_event("retry", {"attempt": 2, "why": "timeout"}, timestamp=start + 1)
    span.set_status(Status(StatusCode.ERROR, "upstream failed"))
    span.end(end_time=start + 987_654_321)
    provider.shutdown()

    rows = server.sql("SELECT * FROM spans")
    assert len(rows) == 1
    row = rows[0]
    assert row["trace_id"] == "0123456789abcdef0123456789abcdef"
    assert row["span_id"] == format(span.get_span_context().span_id, "016x")
    assert row["parent_span_id"] == "fedcba9876543210"
    assert row["trace_state"] == "vendor=value,other=1"
    assert row["service"] == "sdk-test"
    assert row["name"] == "GET /orders/{id}"
    assert row["kind"] == "SERVER"
    assert row["start_time_unix_nano"] == start
    assert row["start_time"].rstrip("Z").endswith(".123456789")
    assert row["duration_nano"] == 987_654_321
    assert (row["status"], row["status_message"]) == ("ERROR", "upstream failed")

    attributes = as_object(row["attributes"])
    assert attributes == ATTRIBUTES
    for key, value in ATTRIBUTES.items():
        assert type(attributes[key]) is type(value), key
    resource_back = as_object(row["resource"])
    assert resource_back["service.name"] == "sdk-test"
    assert resource_back["service.version"] == "1.2.3"
    assert resource_back["test.shard"] == 7
    assert resource_back["telemetry.sdk.language"] == "python"
    scope = as_object(row["scope"])
    assert (scope["name"], scope["version"]) == ("scope.name", "4.5.6")
    assert as_object(scope["attributes"]) == {"scope.key": "scope value"}

    [event] = row["events"]
    assert (event["name"], event["time_unix_nano"]) == ("retry", start + 1)
    assert as_object(event["attributes"]) == {"attempt": 2, "why": "timeout"}
    [link] = row["links"]
    assert link["trace_id"] == format(0xAA << 100, "032x")
    assert link["span_id"] == format(0xBB << 40, "016x")
    assert as_object(link["attributes"]) == {"link.key": 42}

    # The same from a file, after a flush.
    server.flush()
    assert server.sql("SELECT * FROM spans") == rows


def test_attributes_are_typed_in_sql(server):
    provider = TracerProvider(resource=Resource({"service.name": "typed"}))
    provider.add_span_processor(SimpleSpanProcessor(exporters(server)["http"]()))
    tracer = provider.get_tracer("t")
    for number in range(20):
        tracer.start_span(
            "work", attributes={"http.response.status_code": 200 + number, "my.number": number}
        ).end()
    provider.shutdown()
    by_column = "SELECT count(*) AS n FROM spans WHERE attributes['http.response.status_code'] >= 210"
    by_rest = "SELECT count(*) AS n FROM spans WHERE attributes['my.number'] >= 10"
    assert server.sql(by_column) == [{"n": 10}]
    assert server.sql(by_rest) == [{"n": 10}]
    assert server.sql("SELECT count(*) AS n FROM spans WHERE resource['service.name'] = 'typed'") == [
        {"n": 20}
    ]
