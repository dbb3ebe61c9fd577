"""The table is open: DuckDB and the `deltalake` package read the rows that our own SQL reads."""

import pathlib
import subprocess

import duckdb
import duckdb_ext
import pytest
from conftest import BINARY
from deltalake import DeltaTable, QueryBuilder

SUMMARY = """
    SELECT service, name, kind, count(*) AS spans, sum(duration_nano) AS total,
           min(start_time_unix_nano) AS first, count(http_route) AS routes
    FROM {table} GROUP BY service, name, kind ORDER BY service, name, kind
"""


def run(*arguments: str) -> str:
    done = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def ours(folder: str) -> list[tuple]:
    import json

    lines = run("query", "--data", folder, "--format", "ndjson", SUMMARY.format(table="spans"))
    return [tuple(json.loads(line).values()) for line in lines.splitlines()]


def duck(folder: str) -> list[tuple]:
    extension = next(pathlib.Path(next(iter(duckdb_ext.__path__))).rglob("delta.duckdb_extension"))
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    table = f"delta_scan('{folder}/default/spans')"
    return connection.execute(SUMMARY.format(table=table)).fetchall()


def delta(folder: str) -> list[tuple]:
    builder = QueryBuilder().register("spans", DeltaTable(f"{folder}/default/spans"))
    rows = builder.execute(SUMMARY.format(table="spans"))
    import pyarrow

    return [tuple(row.values()) for row in pyarrow.table(rows.read_all()).to_pylist()]


@pytest.mark.parametrize("data_set", ["opensearch_otel_demo", "opensearch_jaeger_hotrod", "zipkin_small"])
def test_other_engines_read_the_same_rows(tmp_path, data_sets, data_set):
    folder = str(tmp_path / "data")
    run("import", "--data", folder, str(data_sets / "converted" / f"{data_set}.otlp.pb.gz"))
    expected = ours(folder)
    assert sum(row[3] for row in expected) > 0
    assert duck(folder) == expected
    assert delta(folder) == expected


def test_other_engines_read_the_table_of_a_live_server(server):
    import requests

    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "live"}}]},
                "scopeSpans": [{"spans": [live_span(number) for number in range(50)]}],
            }
        ]
    }
    answer = requests.post(server.url("/v1/traces", "http"), json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    server.flush()
    rows = duck(server.data)
    assert [row[:4] for row in rows] == [("live", "operation", "SERVER", 50)]
    assert rows[0][6] == 25
    assert delta(server.data) == rows


def live_span(number: int) -> dict:
    import time

    now = time.time_ns()
    route = [{"key": "http.route", "value": {"stringValue": "/x"}}] if number % 2 else []
    return {
        "traceId": f"{number + 1:032x}",
        "spanId": f"{number + 1:016x}",
        "name": "operation",
        "kind": 2,
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1000),
        "attributes": route,
    }
