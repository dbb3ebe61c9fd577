"""SQL over HTTP by clients that leave, wait too long, or are too many."""

import http.client
import threading

import requests
from conftest import Server
from test_postgres import running, send, slow, wait_for


def ask(server, sql: str) -> http.client.HTTPConnection:
    """Sends a statement and does not wait for its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.ports["ui"], timeout=60)
    connection.request("POST", "/api/v1/sql?format=ndjson", body=sql.encode())
    return connection


def test_a_client_that_leaves_takes_its_query_with_it(server):
    send(server, range(300))
    for _ in range(5):
        connection = ask(server, slow())
        wait_for(lambda: running(server) == 1)
        connection.close()
        wait_for(lambda: running(server) == 0)
    # Also one that has begun to read.
    connection = ask(server, "SELECT a.span_id, b.span_id FROM spans a, spans b, spans c")
    answer = connection.getresponse()
    assert answer.status == 200 and len(answer.read(10)) == 10
    connection.close()
    wait_for(lambda: running(server) == 0)
    assert server.sql("SELECT count(*) AS n FROM spans") == [{"n": 300}]


def test_one_too_many_is_told_when_to_come_back(tmp_path):
    limits = ["query.running_max=1", "query.waiting_max=1", "query.time_max=20s"]
    extra = [part for limit in limits for part in ("--set", limit)]
    server = Server(str(tmp_path / "data"), tmp_path / "server.log", extra).start()
    send(server, range(300))
    first = ask(server, slow())
    wait_for(lambda: running(server) == 1)
    outcomes = []

    def second():
        outcomes.append(requests.post(server.url("/api/v1/sql"), data="SELECT 1 AS one", timeout=60))

    waiting = threading.Thread(target=second)
    waiting.start()
    metrics = server.url("/metrics")
    wait_for(lambda: "spanlake_queries_waiting 1" in requests.get(metrics, timeout=10).text)
    refused = requests.post(server.url("/api/v1/sql"), data="SELECT 1", timeout=60)
    assert refused.status_code == 429, refused.text
    assert refused.json()["error"]["kind"] == "busy"
    assert int(refused.headers["retry-after"]) >= 1
    # The one that waits has its turn as soon as the first is gone.
    first.close()
    waiting.join()
    assert outcomes[0].json() == [{"one": 1}]
    assert server.stop() == 0
