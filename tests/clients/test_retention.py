"""Rules, pins, drops and deletions: after each kind of commit DuckDB and `deltalake` read what our own SQL reads."""

import json
import time

import requests
from deltalake import DeltaTable
from test_table import SUMMARY, delta, duck

DAY = 86_400 * 10**9


def span(number: int, days_ago: int, error: bool = False) -> dict:
    start = time.time_ns() - days_ago * DAY
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "failing" if error else "working",
        "kind": 2,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + number),
        "attributes": [{"key": "user.id", "value": {"stringValue": f"user-{number}"}}],
        "status": {"code": 2 if error else 1},
    }


def send(server, spans: list[dict]):
    service = {"key": "service.name", "value": {"stringValue": "shop"}}
    body = {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]}
    answer = requests.post(server.url("/v1/traces", "http"), json=body, timeout=30)
    assert answer.status_code == 200 and not answer.json(), answer.text
    server.flush()


def admin(server, method: str, path: str, body: dict | None = None) -> dict | list:
    bearer = {"Authorization": f"Bearer {server.admin_token()}"}
    text = json.dumps(body) if body is not None else None
    answer = requests.request(method, server.url(path), data=text, headers=bearer, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def agree(server, spans: int):
    ours = [tuple(row.values()) for row in server.sql(SUMMARY.format(table="spans"))]
    assert sum(row[3] for row in ours) == spans
    assert duck(server.data) == ours
    assert delta(server.data) == ours


def files(server) -> int:
    return len(DeltaTable(f"{server.data}/default/spans").file_uris())


def test_other_engines_follow_every_kind_of_removal(server):
    rules = [{"class": "errors", "ttl": "30d", "error": True}]
    admin(server, "PUT", "/api/v1/retention", {"ttl": "30d", "rules": rules})
    send(server, [span(1, 3), span(2, 3), span(3, 3, error=True), span(4, 0), span(5, 0, error=True)])
    assert files(server) == 4, "two dates, two classes each"
    agree(server, 5)

    admin(server, "POST", "/api/v1/pins", {"trace_id": f"{1:032x}", "note": "keep"})
    plan = admin(server, "POST", "/api/v1/retention/plan", {"ttl": "1d"})
    assert (plan["rows"], plan["kept_rows"]) == (1, 1), plan
    admin(server, "PUT", "/api/v1/retention", {"ttl": "1d"})
    (receipt,) = admin(server, "POST", "/api/v1/retention/apply")
    assert (receipt["reason"], receipt["rows"], receipt["kept_rows"]) == ("ttl", 1, 1)
    agree(server, 4)
    assert [row["n"] for row in server.sql("SELECT count(*) AS n FROM spans WHERE name = 'working'")] == [2]

    attribute = {"key": "user.id", "value": "user-3"}
    deleted = admin(server, "POST", "/api/v1/delete", {"attribute": attribute, "now": True})
    assert (deleted["rows"], deleted["vacuumed"]) == (1, True)
    agree(server, 3)

    admin(server, "DELETE", f"/api/v1/pins/{1:032x}")
    (receipt,) = admin(server, "POST", "/api/v1/retention/apply")
    assert receipt["reason"] == "unpinned"
    agree(server, 2)

    size = admin(server, "PUT", "/api/v1/retention", {"max_bytes": 1})["max_bytes"]
    assert size == 1
    receipts = admin(server, "POST", "/api/v1/retention/apply")
    assert [receipt["reason"] for receipt in receipts] == ["max_bytes"]
    agree(server, 0)
    log = server.sql("SELECT reason, spans FROM retention_log ORDER BY table_version")
    expected = [("ttl", 1), ("deletion", 1), ("unpinned", 1), ("max_bytes", 2)]
    assert [(row["reason"], row["spans"]) for row in log] == expected


def test_a_restart_finds_rules_pins_and_receipts(server):
    rules = [{"class": "errors", "ttl": "never", "error": True, "attributes": {"user.id": "user-2"}}]
    admin(server, "PUT", "/api/v1/retention", {"rules": rules, "keep_latest": 3})
    send(server, [span(1, 0, error=True), span(2, 0, error=True)])
    admin(server, "POST", "/api/v1/pins", {"trace_id": f"{2:032x}"})
    token = server.admin_token()
    today = admin(server, "GET", "/api/v1/partitions")[0]["date"]
    admin(server, "POST", "/api/v1/partitions/drop", {"dates": [today]})
    agree(server, 2)
    assert server.stop() == 0
    server.start()
    bearer = {"Authorization": f"Bearer {token}"}
    policy = requests.get(server.url("/api/v1/retention"), headers=bearer, timeout=10).json()
    assert (policy["rules"], policy["keep_latest"]) == (rules, 3)
    pins = requests.get(server.url("/api/v1/pins"), headers=bearer, timeout=10).json()
    assert [pin["trace_id"] for pin in pins] == [f"{2:032x}"]
    receipts = requests.get(server.url("/api/v1/retention/receipts"), headers=bearer, timeout=10).json()
    assert [(one["reason"], one["kept_traces"]) for one in receipts] == [("command", 2)]
    agree(server, 2)
