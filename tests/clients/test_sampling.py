"""Sampling at the source: an OpenTelemetry SDK asks the server at which rate to sample, and only sends what it keeps.

The client is `sampler/client.mjs`, with OpenTelemetry's own sampler for Jaeger's remote sampling."""

import collections
import json
import pathlib
import shutil
import subprocess
import time

import pytest
import requests
from conftest import Server

CLIENT = pathlib.Path(__file__).parent / "sampler"
SETTINGS = """
[sampling]
target_traces_per_second = 5
interval = "2s"

[[sampling.rule]]
name = "GET /health"
rate = 0
"""


@pytest.fixture
def client():
    """Starts the client beside a server; ends with the test."""
    if shutil.which("node") is None or not (CLIENT / "node_modules").is_dir():
        pytest.skip("the client is not installed: npm ci in tests/clients/sampler")
    started = []

    def start(server):
        command = ["node", "client.mjs", server.url("", "sampling"), server.url("/v1/traces", "http")]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=CLIENT, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def shares(server) -> dict:
    """What the service is told to keep of its operations."""
    told = requests.get(server.url("/sampling?service=shop", "sampling"), timeout=10).json()
    assert told["operationSampling"]["defaultSamplingProbability"] == 1.0
    strategies = told["operationSampling"]["perOperationStrategies"]
    return {strategy["operation"]: strategy["probabilisticSampling"]["samplingRate"] for strategy in strategies}


def test_an_sdk_samples_as_it_is_told_and_the_share_follows_the_traffic(tmp_path, client):
    settings = tmp_path / "spanlake.toml"
    settings.write_text(SETTINGS)
    server = Server(str(tmp_path / "data"), tmp_path / "server.log", ["--config", str(settings)]).start()
    assert shares(server) == {"GET /health": 0.0}
    process = client(server)
    begun, kept = time.monotonic(), collections.Counter()
    # What it did in the seconds since it was told another share: it asks four times a second.
    since, told = [], 1.0
    for line in process.stdout:
        counts = json.loads(line)
        for name, count in counts.items():
            kept[name] += count["kept"]
        now = shares(server).get("GET /cart", 1.0)
        since = since + [counts.get("GET /cart", {"started": 0, "kept": 0})] if now == told else []
        told = now
        if told < 1.0 and len(since) == 6:
            break
        assert time.monotonic() - begun < 60, f"still told {told}"
    assert told < 0.5, "about 300 a second began, and five are wanted"
    # The first of these seconds may have begun with the share before.
    started, of_these = (sum(count[key] for count in since[1:]) for key in ("started", "kept"))
    deviation = (started * told * (1 - told)) ** 0.5
    assert started > 100 and abs(of_these - started * told) < 5 * deviation, (told, since)
    # Another share for another operation: what is rare is kept whole.
    assert shares(server)["POST /order"] == 1.0
    process.stdin.close()
    for line in process.stdout:
        for name, count in json.loads(line).items():
            kept[name] += count["kept"]
    assert process.wait(timeout=30) == 0
    # Whole traces, a root and its child each, and no other than those that the SDK kept.
    text = "SELECT root_name, count(*) AS n, sum(spans) AS spans, bool_and(complete) AS whole FROM traces() GROUP BY 1"
    stored = {row["root_name"]: row for row in server.sql(text)}
    for name, row in stored.items():
        # It ended in the middle of a second, of which it printed nothing.
        assert 0 <= row["n"] - kept[name] < 300, (name, row, kept)
        assert row["spans"] == 2 * row["n"] and row["whole"], row
    # It asked first after a quarter of a second; since then it has kept none of these.
    assert stored.get("GET /health", {"n": 0})["n"] == kept["GET /health"] < 50
    assert server.stop() == 0
