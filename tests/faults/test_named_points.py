"""R-2 once more, by name: the process ends at each point between two steps of what changes a table."""

import json
import pathlib
import re
import threading
import time

import pytest
from rig import BASE, Ended, Journal, Load, Server, must_be_healthy, wait_for
from test_soak import DAY, body, check_without, put_policy, send

#: The points, as the sources have them.
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "storage" / "src" / "fault.rs"
POINTS = re.findall(r'^    "([^"]+)",$', SOURCE.read_text(), re.M)
#: Reached with files of more than 128,000 spans only; the tests of `storage` fail them at every step (`compact::tests`).
LARGE = [point for point in POINTS if point.startswith("join: ")]
#: Points that are passed at each request or flush: let some go by.
OFTEN = ("log: group", "flush:", "commit:")


def admin(server: Server, path: str, content: dict | None = None):
    status, text = server.post(path, json.dumps(content or {}).encode(), token=server.token())
    # 0: the server is gone, as it should be; 429 and 503: it has enough to do.
    assert status < 300 or status in (429, 503), f"{path}: {status} {text}"


def patch_and_delete(server: Server, round_number: int):
    """Old spans come, one of them is pinned, one is deleted, the rest is dropped, with figures kept of it."""
    first = 1_000_000 + 100 * round_number
    send(server, body("old", first, 20, BASE - (10 + round_number % 5) * DAY))
    admin(server, "/api/v1/flush")
    trace = f"{(77 << 64) + first:032x}"
    admin(server, "/api/v1/patches", {"kind": "note", "trace_id": trace, "text": "seen"})
    admin(server, "/api/v1/pins", {"trace_id": trace})
    admin(server, "/api/v1/delete", {"traces": [f"{(77 << 64) + first + 1:032x}"], "now": True})
    put_policy(server, {"ttl": "5d", "rollups": "90d"})
    admin(server, "/api/v1/retention/apply")
    put_policy(server, {"ttl": "60d"})


def work(server: Server, ended: threading.Event, failures: list):
    """Whatever people and clocks do to a table, until the server is gone."""
    round_number = 0
    while not ended.is_set() and server.process.poll() is None:
        try:
            patch_and_delete(server, round_number)
        except (AssertionError, OSError) as failure:
            time.sleep(0.2)
            if server.process.poll() is None and not ended.is_set():
                failures.append(failure)
        round_number += 1


def ends_at(data, log, point: str, journal: Journal, seconds: float = 90):
    """One life that ends at `point`."""
    times = 5 if point.startswith(OFTEN) else 0
    server = Server(data, log, env={"SPANLAKE_KILL_AT": f"{point}*{times}"})
    ended, failures = threading.Event(), []
    worker = threading.Thread(target=work, args=(server, ended, failures), daemon=True)
    try:
        try:
            server.wait_until_ready()
        except Ended:
            return
        with Load(server, journal, clients=2):
            worker.start()
            # A pause of the whole machine does not count.
            wait_for(server, lambda: server.process.poll() is not None, f"{point} (failures: {failures[:3]})", seconds)
            assert server.process.returncode < 0, f"{point}: ended {server.process.returncode}\n{server.words()[-3000:]}"
    finally:
        ended.set()
        server.kill()
        if worker.ident:
            worker.join(timeout=60)


def is_whole(data, log, journal: Journal):
    server = Server(data, log)
    try:
        server.wait_until_ready()
        put_policy(server, {"ttl": "60d"})
        count = server.sql("SELECT count(*) AS n FROM spans WHERE service NOT IN ('closed', 'old')")[0]["n"]
        check_without(server, journal, count)
        # What was dropped is gone from the spans and is in the figures, or neither.
        rows = server.sql("SELECT count(*) AS n, count(DISTINCT span_id) AS d FROM spans WHERE service = 'old'")[0]
        assert rows["n"] == rows["d"], f"doubled: {rows}"
        # What leaves by age stays in figures: those of a date that was dropped count each span once, deleted ones apart.
        told = server.sql("SELECT coalesce(sum(spans), 0) AS n FROM operations() WHERE service = 'old'")[0]["n"]
        gone = server.sql("SELECT coalesce(sum(spans), 0) AS n FROM retention_log WHERE reason = 'ttl'")[0]["n"]
        assert told == rows["n"] + gone, (told, rows, gone)
        assert server.metric("spanlake_panics_total") == 0, server.words()
        assert server.stop() == 0
    finally:
        server.kill()


def test_kill_at_named_points(tmp_path, cycles, seeded, record):
    """*Scenario*: the process ends at a named point, while clients send, and partitions, pins, patches and deletions come
    and go; then it starts again. *Guarantees*: everything acknowledged is there once, what was dropped is nowhere twice, nothing
    needs a hand. The long form (`--cycles 40`) visits every point."""
    points = [point for point in POINTS if point not in LARGE]
    assert len(POINTS) == 40 and len(set(POINTS)) == 40
    rounds, journal, data = min(cycles(4), len(points)), Journal(), tmp_path / "data"
    probe = Server(tmp_path / "probe", tmp_path / "probe.log", env={"SPANLAKE_KILL_AT": "no such point"})
    refused = probe.process.wait(timeout=60)
    if "debug builds only" in probe.words():
        pytest.skip("a release build has no points")
    assert refused != 0 and "no point" in probe.words(), probe.words()
    visited = points if rounds == len(points) else seeded.sample(points, rounds)
    for point in visited:
        ends_at(data, tmp_path / "server.log", point, journal)
        is_whole(data, tmp_path / "server.log", journal)
    must_be_healthy(data)
    record(cycles=rounds, points=visited, acknowledged_requests=journal.count(), lost=0)
