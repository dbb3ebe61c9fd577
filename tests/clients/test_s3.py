"""The table on an S3 protocol server (moto, on loopback): same rows, conditional puts, restart."""

import json
import subprocess
import sys
import time

import boto3
import pytest
import requests
from conftest import BINARY, Server
from ports import free_ports
from test_table import live_span


@pytest.fixture
def s3(tmp_path):
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    with (tmp_path / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 30
    while True:
        try:
            requests.get(endpoint, timeout=1)
            break
        except requests.ConnectionError:
            assert time.monotonic() < deadline, "moto did not start"
            time.sleep(0.1)
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="traces")
    yield client, environment
    process.terminate()
    process.wait(timeout=30)


def send(server, numbers):
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [live_span(number) for number in numbers]}]}]}
    answer = requests.post(server.url("/v1/traces", "http"), json=body, timeout=60)
    assert answer.status_code == 200, answer.text


def test_a_table_in_a_bucket_survives_restart(tmp_path, s3):
    client, environment = s3
    extra = ["--wal", str(tmp_path / "wal")]
    server = Server("s3://traces/prefix", tmp_path / "server.log", extra, environment).start()
    send(server, range(100))
    assert server.sql("SELECT count(*) AS n FROM spans") == [{"n": 100}]
    server.flush()
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="traces")["Contents"]]
    assert any(key.startswith("prefix/default/spans/_delta_log/") for key in keys), keys
    assert any(key.endswith(".parquet") for key in keys), keys
    # Acknowledged, not yet in the bucket: the log brings it back.
    send(server, range(100, 150))
    import signal

    server.stop(signal.SIGKILL)
    server = Server("s3://traces/prefix", tmp_path / "server.log", extra, environment).start()
    assert server.sql("SELECT count(*) AS n, count(DISTINCT trace_id) AS t FROM spans") == [
        {"n": 150, "t": 150}
    ]
    assert server.stop() == 0
    done = subprocess.run(
        [str(BINARY), "query", "--data", "s3://traces/prefix", *extra, "--format", "json",
         "SELECT count(*) AS n FROM spans"],
        capture_output=True, text=True, timeout=120, env=server.env,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"n": 150}]


def reads_of_data(log) -> int:
    """Requests for data files, by the store's own log."""
    lines = log.read_text(errors="replace").splitlines()
    # Some of its words are coloured.
    return sum(1 for line in lines if "GET /" in line and ".parquet" in line)


@pytest.mark.parametrize("cache", ["0", "64MiB"])
def test_a_question_asked_again_reads_nothing_from_the_bucket(tmp_path, s3, cache):
    _, environment = s3
    extra = ["--wal", str(tmp_path / "wal"), "--set", f"storage.range_cache_bytes={cache}"]
    extra += ["--set", "storage.compact=false"]
    server = Server("s3://traces/cached", tmp_path / "server.log", extra, environment).start()
    question = "SELECT name, count(*) AS n, max(duration_nano) AS d FROM spans GROUP BY name ORDER BY name"
    log, counts, answers = tmp_path / "moto.log", [], []
    try:
        for first in (0, 100, 200):
            send(server, range(first, first + 100))
            server.flush()
        for _ in range(3):
            before = reads_of_data(log)
            answers.append(server.sql(question))
            counts.append(reads_of_data(log) - before)
        metrics = requests.get(server.url("/metrics"), timeout=10).text
        assert server.stop() == 0
    finally:
        server.stop()
    print(f"cache {cache}: requests for data files by question: {counts}")
    assert answers[0] == answers[1] == answers[2]
    # A footer is one request for each file; only without the cache pages are read again.
    assert counts[0] >= 3, counts
    if cache == "0":
        assert counts[1] > 0 and counts[2] > 0, counts
        assert "spanlake_range_cache" not in metrics
    else:
        # What reads ahead of questions may come between two of them.
        assert min(counts[1:]) == 0, counts
        hits = [line for line in metrics.splitlines() if line.startswith("spanlake_range_cache_hits_total")]
        assert float(hits[0].split()[-1]) > 0
