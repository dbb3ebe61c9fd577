"""A refusal that passes is waited for as the server says, by the OpenTelemetry SDK's own exporters; nothing is lost."""

import logging
import re
import threading
import time

import pytest
import requests
from conftest import Server
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

DOORS = ["grpc", "http"]


def exporter_of(server, door: str):
    # Patient, so that a slow machine does not decide what is told here.
    if door == "grpc":
        return GrpcExporter(endpoint=f"127.0.0.1:{server.ports['grpc']}", insecure=True, timeout=60)
    return HttpExporter(endpoint=server.url("/v1/traces", "http"), timeout=60)


def spans(count: int, name: str = "n") -> list:
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "pressed"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    for _ in range(count):
        provider.get_tracer("t").start_span(name).end()
    return list(memory.get_finished_spans())


def waits(caplog) -> list[float]:
    """Seconds that the exporter says it waits before it sends again."""
    messages = (record.getMessage() for record in caplog.records)
    return [float(found[1]) for found in (re.search(r"retrying in ([\d.]+)s", m) for m in messages) if found]


@pytest.fixture(autouse=True)
def every_word():
    """The exporter leaves out what it said last, for up to 20 seconds: also what it said in the test before."""
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")
    filters, logger.filters = logger.filters, []
    yield
    logger.filters = filters


@pytest.fixture
def start(tmp_path):
    """Starts a server with settings; it ends with the test, well or not."""
    started = []

    def start(*settings) -> Server:
        extra = [part for setting in settings for part in ("--set", setting)]
        started.append(Server(str(tmp_path / "data"), tmp_path / "server.log", extra))
        return started[-1].start()

    yield start
    assert [server.stop() for server in started] == [0] * len(started)


def metric(server, name: str, **labels) -> float:
    for line in requests.get(server.url("/metrics"), timeout=10).text.splitlines():
        if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no {name} with {labels}")


@pytest.mark.parametrize("door", DOORS)
def test_over_its_rate_the_sdk_waits_as_told_and_loses_nothing(start, door, caplog):
    server = start("ingest.spans_per_second_max=20", "ingest.rate_burst=1s")
    exporter = exporter_of(server, door)
    # Let in whole, and then three seconds in debt.
    assert exporter.export(spans(80)) == SpanExportResult.SUCCESS
    begun = time.monotonic()
    assert exporter.export(spans(1, "late")) == SpanExportResult.SUCCESS
    took = time.monotonic() - begun
    exporter.shutdown()
    # Without a word from the server an SDK tries again after a second (0.8 to 1.2).
    [first, *_] = waits(caplog)
    assert 2.0 < first <= 3.0, caplog.text
    assert first <= took < 30.0
    names = "SELECT name, count(*) AS n FROM spans GROUP BY 1 ORDER BY 1"
    assert server.sql(names) == [{"name": "late", "n": 1}, {"name": "n", "n": 80}]
    label = {"grpc": "otlp_grpc", "http": "otlp_http"}[door]
    refused = metric(
        server, "spanlake_ingest_refused_requests_total", door=label, reason="spans_rate", tenant="default"
    )
    assert refused >= 1


@pytest.mark.parametrize("door", DOORS)
def test_a_full_table_is_waited_for_until_there_is_room(start, door, caplog):
    server = start("ingest.table_bytes_max=1")
    exporter = exporter_of(server, door)
    assert exporter.export(spans(10)) == SpanExportResult.SUCCESS
    server.flush()
    answers = []
    sender = threading.Thread(target=lambda: answers.append(exporter.export(spans(1, "late"))))
    sender.start()
    deadline = time.monotonic() + 30
    while not waits(caplog) and time.monotonic() < deadline:
        time.sleep(0.05)
    # One to five whole seconds, at random, so that senders do not come back together.
    assert waits(caplog) and waits(caplog)[0] in (1.0, 2.0, 3.0, 4.0, 5.0), caplog.text
    dates = [row["date"] for row in requests.get(server.url("/api/v1/partitions"), timeout=30).json()]
    bearer = {"Authorization": f"Bearer {server.admin_token()}"}
    dropped = requests.post(
        server.url("/api/v1/partitions/drop"), json={"dates": dates}, headers=bearer, timeout=30
    )
    assert dropped.status_code == 200, dropped.text
    sender.join(timeout=60)
    exporter.shutdown()
    assert answers == [SpanExportResult.SUCCESS], caplog.text
    assert server.sql("SELECT name, count(*) AS n FROM spans GROUP BY 1") == [{"name": "late", "n": 1}]


def test_what_will_never_be_taken_is_not_sent_again(start, caplog):
    server = start("ingest.otlp_body_bytes_max=64KiB")
    exporter = exporter_of(server, "http")
    begun = time.monotonic()
    assert exporter.export(spans(2_000)) == SpanExportResult.FAILURE
    assert time.monotonic() - begun < 5 and not waits(caplog)
    assert exporter.export(spans(3)) == SpanExportResult.SUCCESS
    assert metric(server, "spanlake_ingest_refused_requests_total", reason="too_large", door="otlp_http") == 1
