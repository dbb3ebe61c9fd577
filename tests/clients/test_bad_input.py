"""What is wrong is refused as the OTLP specification says, with words; what is good beside it is kept."""

import gzip
import json
import time

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def span(number: int, **changes) -> dict:
    now = time.time_ns()
    fields = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "n",
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 5),
    }
    return {**fields, **changes}


def body_of(*spans) -> dict:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def post(server, body, headers, door="http", path="/v1/traces"):
    return requests.post(server.url(path, door), data=body, headers=headers, timeout=30)


def count(server) -> int:
    return server.sql("SELECT count(*) AS n FROM spans")[0]["n"]


def metrics(server) -> str:
    return requests.get(server.url("/metrics"), timeout=10).text


def test_good_spans_beside_bad_ones_are_kept_and_the_bad_counted(server):
    year_2438 = str(14_780_000_000 * 10**9)
    bad = [
        span(1, traceId="abcd"),
        span(2, spanId="00" * 8),
        span(3, startTimeUnixNano="1000", endTimeUnixNano="2000"),
        span(4, startTimeUnixNano=year_2438, endTimeUnixNano=year_2438),
    ]
    answer = post(server, json.dumps(body_of(span(10), *bad, span(11))), JSON)
    assert answer.status_code == 200
    partial = answer.json()["partialSuccess"]
    assert int(partial["rejectedSpans"]) == len(bad)
    assert partial["errorMessage"]
    assert count(server) == 2
    assert "rejected" in metrics(server) or "refused" in metrics(server)


def test_good_spans_beside_bad_ones_in_protobuf(server):
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    now = time.time_ns()
    for number, trace_id in [(1, b"x" * 16), (2, b"short"), (3, b"y" * 16)]:
        one = spans.add()
        one.trace_id, one.span_id, one.name = trace_id, number.to_bytes(8, "big"), "n"
        one.start_time_unix_nano, one.end_time_unix_nano = now, now + 1
    answer = post(server, request.SerializeToString(), PROTOBUF)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-protobuf")
    back = ExportTraceServiceResponse.FromString(answer.content)
    assert back.partial_success.rejected_spans == 1
    assert count(server) == 2


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff\xff\xff", PROTOBUF, 400),
        (b"{", JSON, 400),
        (b'{"resourceSpans": 7}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 415),
        (b"not gzip", {**JSON, "content-encoding": "gzip"}, 400),
        (b"{}", {**JSON, "content-encoding": "br"}, (400, 415)),
        (gzip.compress(b" " * (65 << 20)), {**JSON, "content-encoding": "gzip"}, 413),
    ],
)
def test_malformed_requests_are_refused_with_words(server, body, headers, status):
    answer = post(server, body, headers)
    expected = status if isinstance(status, tuple) else (status,)
    assert answer.status_code in expected, (answer.status_code, answer.text)
    assert len(answer.content) > 10, "an error says what to do"
    # The server goes on.
    assert post(server, json.dumps(body_of(span(99))), JSON).status_code == 200
    assert count(server) == 1


def test_an_empty_request_is_fine(server):
    assert post(server, b"", PROTOBUF).status_code == 200
    assert post(server, b"{}", JSON).status_code == 200
    assert count(server) == 0


def test_a_retried_request_is_stored_once(server):
    body = json.dumps(body_of(span(1), span(2)))
    for _ in range(3):
        assert post(server, body, JSON).status_code == 200
    assert count(server) == 2


def test_zipkin_is_taken_and_bad_zipkin_refused(server):
    now = time.time_ns() // 1000
    good = [{"traceId": "1", "id": "2", "name": "zip", "kind": "SERVER", "timestamp": now,
             "duration": 12, "localEndpoint": {"serviceName": "zipped"}, "tags": {"error": "boom"}}]
    answer = post(server, json.dumps(good), JSON, "zipkin", "/api/v2/spans")
    assert answer.status_code == 202
    assert post(server, b"[{]", JSON, "zipkin", "/api/v2/spans").status_code == 400
    rows = server.sql("SELECT trace_id, service, kind, status, duration_nano FROM spans")
    assert rows == [{"trace_id": "1".zfill(32), "service": "zipped", "kind": "SERVER",
                     "status": "ERROR", "duration_nano": 12_000}]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO spans SELECT * FROM spans",
        "COPY (SELECT 1) TO '/tmp/spanlake-must-not-write.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT * FROM '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
        "DROP TABLE spans",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
        "SELECT nothing FROM spans",
        "SELECT",
        "",
    ],
)
def test_sql_reads_only_and_says_why(server, sql):
    answer = requests.post(server.url("/api/v1/sql"), data=sql, timeout=60)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"]["message"]
    assert server.sql("SELECT 1 AS one") == [{"one": 1}]


def test_foreign_hosts_and_missing_tokens_are_refused(server):
    url = server.url("/api/v1/status")
    assert requests.get(url, headers={"Host": "evil.example"}, timeout=10).status_code == 421
    assert requests.put(
        server.url("/api/v1/retention"), json={"ttl": "1d"}, timeout=10
    ).status_code == 401
    page = requests.get(server.url("/"), timeout=10)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


def test_the_data_folder_is_private(server):
    import os
    import stat

    mode = stat.S_IMODE(os.stat(server.data).st_mode)
    assert mode & 0o077 == 0, oct(mode)
