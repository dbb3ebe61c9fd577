"""The table on Azure's and Google's object stores (emulators, on loopback): same rows, conditional puts, restart, removal."""

import json
import signal
import subprocess

import pytest
import requests
from clouds import Azure, Google
from conftest import BINARY, Server
from test_s3 import send


@pytest.fixture(params=[Azure, Google], ids=["azure", "google"])
def cloud(request, tmp_path):
    running = request.param(tmp_path)
    yield running
    running.stop()


def complaints(server) -> list[str]:
    lines = server.log.read_text(errors="replace").splitlines()
    return [line for line in lines if " WARN " in line or " ERROR " in line]


def test_a_table_in_a_cloud_survives_restart(tmp_path, cloud):
    extra = ["--wal", str(tmp_path / "wal")]
    server = Server(cloud.table, tmp_path / "server.log", extra, cloud.environment).start()
    send(server, range(100))
    assert server.sql("SELECT count(*) AS n FROM spans") == [{"n": 100}]
    server.flush()
    keys = cloud.keys()
    assert any(key.startswith("prefix/default/spans/_delta_log/") for key in keys), keys
    assert any(key.endswith(".parquet") for key in keys), keys
    # Acknowledged, not yet in the bucket: the log brings it back.
    send(server, range(100, 150))
    bearer = {"Authorization": f"Bearer {server.admin_token()}"}
    server.stop(signal.SIGKILL)
    server = Server(cloud.table, tmp_path / "server.log", extra, cloud.environment).start()
    both = "SELECT count(*) AS n, count(DISTINCT trace_id) AS t FROM spans"
    assert server.sql(both) == [{"n": 150, "t": 150}]
    server.flush()
    for path in ("compact?now=true", "flush"):
        done = requests.post(server.url(f"/api/v1/{path}"), headers=bearer, timeout=60)
        assert done.status_code < 300, done.text
    assert server.sql(both) == [{"n": 150, "t": 150}]
    assert server.stop() == 0
    question = ["--format", "json", "SELECT count(*) AS n FROM spans"]
    done = subprocess.run(
        [str(BINARY), "query", "--data", cloud.table, *extra, *question],
        capture_output=True, text=True, timeout=120, env=server.env,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"n": 150}]
    assert complaints(server) == []


def test_of_two_servers_on_one_cloud_table_no_commit_gets_lost(tmp_path, cloud):
    """Each commit is a conditional put: the slower of two reads the other's and goes on after it."""
    servers = []
    for name in ("one", "two"):
        log = tmp_path / f"{name}.log"
        servers.append(Server(cloud.table, log, ["--wal", str(tmp_path / name)], cloud.environment).start())
    for number in range(4):
        for place, server in enumerate(servers):
            first = (number * 2 + place) * 10
            send(server, range(first, first + 10))
            server.flush()
    for server in servers:
        assert server.stop() == 0
    last = Server(cloud.table, tmp_path / "last.log", ["--wal", str(tmp_path / "last")], cloud.environment).start()
    assert last.sql("SELECT count(*) AS n, count(DISTINCT trace_id) AS t FROM spans") == [{"n": 80, "t": 80}]
    versions = [key for key in cloud.keys() if key.endswith(".json") and "_delta_log/" in key]
    assert len(versions) == 9, versions
    assert last.stop() == 0
