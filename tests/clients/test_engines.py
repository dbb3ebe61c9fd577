"""The examples of docs/engines.md, run: every engine reads what our own SQL reads, after a flush, a compaction and a drop,
from a local folder and from a bucket."""

import json
import signal
import time

import chdb
import polars
import pytest
import requests
from conftest import ROOT, Server
from deltalake import DeltaTable
from test_retention import admin, send, span
from test_s3 import s3  # noqa: F401 (a fixture)
from test_table import delta, duck

FAST = ["--set", "storage.compact_interval=200ms", "--set", "storage.delete_grace=0s"]

SUMMARY = """
    SELECT service, name, count(*) AS spans, sum(duration_nano) AS total
    FROM {table} GROUP BY service, name ORDER BY service, name
"""


@pytest.fixture(autouse=True)
def inside(monkeypatch, tmp_path):
    """chDB opens local files below the working directory only."""
    monkeypatch.chdir(tmp_path)


def ours(server) -> list[tuple]:
    return [tuple(row.values()) for row in server.sql(SUMMARY.format(table="spans"))]


def by_polars(table: str, options: dict | None = None) -> list[tuple]:
    spans = polars.scan_delta(table, storage_options=options)
    summary = spans.group_by("service", "name").agg(
        polars.len().alias("spans"), polars.col("duration_nano").sum().alias("total")
    )
    return summary.sort("service", "name").collect().rows()


def by_pandas(table: str, options: dict | None = None) -> list[tuple]:
    columns = ["service", "name", "duration_nano"]
    frame = DeltaTable(table, storage_options=options).to_pandas(columns=columns)
    summary = frame.groupby(["service", "name"])["duration_nano"].agg(["size", "sum"]).reset_index()
    return [(row[0], row[1], int(row[2]), int(row[3])) for row in summary.itertuples(index=False)]


def by_clickhouse(source: str) -> list[tuple]:
    rows = chdb.query(SUMMARY.format(table=source), "JSONCompact").bytes()
    return [(row[0], row[1], int(row[2]), int(row[3])) for row in json.loads(rows)["data"]]


def all_agree(server, spans: int):
    """All five engines on the local folder."""
    table = f"{server.data}/default/spans"
    expected = ours(server)
    assert sum(row[2] for row in expected) == spans
    assert by_polars(table) == expected
    assert by_pandas(table) == expected
    assert by_clickhouse(f"deltaLakeLocal('{table}')") == expected
    short = [(row[0], row[1], row[3], row[4]) for row in duck(server.data)]
    assert short == expected
    short = [(row[0], row[1], row[3], row[4]) for row in delta(server.data)]
    assert short == expected


def wait_for_files(table: str, count: int, options: dict | None = None):
    deadline = time.monotonic() + 30
    while (files := len(DeltaTable(table, storage_options=options).file_uris())) != count:
        assert time.monotonic() < deadline, f"{files} files, not {count}"
        time.sleep(0.1)


def test_every_engine_agrees_after_flush_compaction_and_drop(tmp_path):
    server = Server(str(tmp_path / "data"), tmp_path / "server.log", ["--set", "storage.compact=false"])
    server.start()
    for first in range(0, 48, 6):
        send(server, [span(number, 0, error=number % 7 == 0) for number in range(first + 1, first + 7)])
    send(server, [span(60, 2), span(61, 2)])
    token = server.admin_token()
    all_agree(server, 50)
    assert server.stop() == 0
    server.extra = FAST
    server.start()
    # Eight files of this hour become one; the day before yesterday has one.
    wait_for_files(f"{server.data}/default/spans", 2)
    all_agree(server, 50)
    bearer = {"Authorization": f"Bearer {token}"}
    oldest = requests.get(server.url("/api/v1/partitions"), headers=bearer, timeout=10).json()[0]["date"]
    body = {"dates": [oldest]}
    answer = requests.post(server.url("/api/v1/partitions/drop"), json=body, headers=bearer, timeout=30)
    assert answer.status_code == 200, answer.text
    all_agree(server, 48)
    assert server.stop() == 0


def test_engines_read_the_table_in_a_bucket(tmp_path, s3):  # noqa: F811
    _, environment = s3
    extra = ["--wal", str(tmp_path / "wal")]
    server = Server("s3://traces/prefix", tmp_path / "server.log", extra, environment).start()
    send(server, [span(number, 0) for number in range(1, 30)])
    send(server, [span(number, 0, error=True) for number in range(30, 50)])
    table = "s3://traces/prefix/default/spans"
    expected = ours(server)
    assert sum(row[2] for row in expected) == 49
    assert by_polars(table, environment) == expected
    assert by_pandas(table, environment) == expected
    url = f"{environment['AWS_ENDPOINT']}/traces/prefix/default/spans"
    assert by_clickhouse(f"deltaLake('{url}', 'test', 'test')") == expected
    server.stop(signal.SIGKILL)


def examples(language: str) -> list[str]:
    """The fenced blocks of docs/engines.md in `language`."""
    text = (ROOT / "docs" / "engines.md").read_text()
    return [block.split("```")[0] for block in text.split(f"```{language}\n")[1:]]


@pytest.mark.parametrize("index", range(3))
def test_the_python_examples_run_as_they_stand(server, index):
    send(server, [span(number, 0, error=number % 5 == 0) for number in range(1, 30)])
    example = examples("python")[index]
    assert "/var/lib/spanlake/default/spans" in example
    variables = {}
    exec(example.replace("/var/lib/spanlake", server.data), variables)  # noqa: S102 (our own page)
    assert variables["answer"] is not None and len(variables["answer"]) > 0


def test_the_page_has_all_its_python_examples():
    assert len(examples("python")) == 3
    assert (ROOT / "docs" / "engines.md").read_text().count("delta_scan(") >= 1
