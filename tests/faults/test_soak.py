"""R-13: everything at once: ingest, flush, compaction, drops, deletion of files, retention changed, questions."""

import json
import threading
import time
import urllib.request

from rig import BASE, SPANS_PER_REQUEST, STORED, Journal, Load, Server, must_be_healthy

DAY = 86_400 * 10**9
CLOSED = 200


def body(service: str, first: int, count: int, start: int) -> bytes:
    spans = [
        {
            "traceId": f"{(77 << 64) + number:032x}", "spanId": f"{number:016x}", "name": service,
            "startTimeUnixNano": str(start + number), "endTimeUnixNano": str(start + number + 5),
        }
        for number in range(first, first + count)
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).encode()


def send(server: Server, content: bytes):
    url = f"http://127.0.0.1:{server.ports['http']}/v1/traces"
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200 and json.loads(answer.read() or b"{}") == {}


class Readers:
    """Ask about what cannot change, over and over, by spans and by rollups."""

    QUESTIONS = (
        "SELECT count(*) AS n FROM spans WHERE service = 'closed'",
        "SELECT sum(spans) AS n FROM operations() WHERE service = 'closed'",
        "SELECT count(DISTINCT trace_id) AS n FROM spans WHERE name = 'closed'",
    )

    def __init__(self, server: Server, count: int):
        self.ended, self.asked, self.wrong = threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.run, args=(server, at), daemon=True) for at in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, server, at):
        while not self.ended.is_set():
            question = self.QUESTIONS[at % len(self.QUESTIONS)]
            at += 1
            status, text = server.post("/api/v1/sql", question.encode())
            # Too many at once is an answer; anything else has to be the truth.
            if status in (429, 503):
                continue
            self.asked += 1
            if status != 200 or json.loads(text)[0]["n"] != CLOSED:
                self.wrong.append((question, status, text[:300]))

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=60)


def put_policy(server: Server, policy: dict):
    headers = {"Authorization": f"Bearer {server.token()}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url("/api/v1/retention"), json.dumps(policy).encode(), headers, method="PUT")
    status, text = server.call(request, 60)
    assert status == 200, text


def test_everything_at_once(tmp_path, cycles, record):
    """*Scenario*: clients send, flushes and compactions run all the time, old partitions come and are dropped by a ttl that
    is lowered and raised, files are deleted, readers ask. *Guarantees*: no reader sees an error or a wrong number, nothing
    young is dropped, nothing old stays, what was acknowledged is there at the end."""
    rounds, journal, data = cycles(3), Journal(), tmp_path / "data"
    server = Server(data, tmp_path / "server.log", {"storage.delete_grace": "5s"})
    dropped, readers = 0, None
    try:
        server.wait_until_ready()
        put_policy(server, {"ttl": "60d"})
        send(server, body("closed", 1, CLOSED, BASE + 3_600 * 10**9))
        readers = Readers(server, 3)
        with Load(server, journal):
            for number in range(rounds):
                send(server, body("old", 1_000_000 + 100 * number, 100, BASE - (10 + number % 20) * DAY))
                server.flush()
                put_policy(server, {"ttl": "5d"})
                status, text = server.post("/api/v1/retention/apply", token=server.token())
                assert status == 200, text
                dropped += sum(receipt["rows"] for receipt in json.loads(text))
                assert server.sql("SELECT count(*) AS n FROM spans WHERE service = 'old'")[0]["n"] == 0
                put_policy(server, {"ttl": "60d"})
                time.sleep(0.5)
        readers.stop()
        assert not readers.wrong, readers.wrong[:5]
        assert readers.asked > rounds and dropped >= 100 * rounds - 100, (readers.asked, dropped)
        compactions = server.metric("spanlake_compactions_total")
        assert server.metric("spanlake_task_panics_total") == 0
        server.flush()
        count = server.sql("SELECT count(*) AS n FROM spans WHERE service NOT IN ('closed', 'old')")[0]["n"]
        check_without(server, journal, count)
        assert server.stop() == 0
    finally:
        if readers:
            readers.stop()
        server.kill()
    must_be_healthy(data)
    record(
        cycles=rounds, questions=readers.asked, wrong=0, dropped_spans=dropped, compactions=compactions,
        acknowledged_requests=journal.count(), lost=0,
    )


def check_without(server: Server, journal: Journal, count: int):
    """The comparison, with the spans that are not the journal's left out."""
    stored = server.sql(STORED.replace("FROM spans", "FROM spans WHERE service NOT IN ('closed', 'old')"))
    assert count == len(stored) * SPANS_PER_REQUEST, "spans outside of whole requests"
    requests = {(int(row["client"]), int(row["number"])) for row in stored}
    lost = [one for one, state in journal.states.items() if state == "acknowledged" and one not in requests]
    assert not lost, f"{len(lost)} lost"


