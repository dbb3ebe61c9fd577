"""PostgreSQL's protocol, asked by the clients that people have: psql, psycopg, SQLAlchemy."""

import datetime
import os
import socket
import subprocess
import threading
import time

import psycopg
import pytest
import requests
import sqlalchemy
from conftest import Server
from test_table import live_span


def send(server, numbers):
    spans = [live_span(number) for number in numbers]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}]}
    body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}
    answer = requests.post(server.url("/v1/traces", "http"), json=body, timeout=60)
    assert answer.status_code == 200, answer.text


def psql(server, *commands, user="me", password=None):
    arguments = ["psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(server.ports["postgres"])]
    for command in commands:
        arguments += ["-c", command]
    env = {**server.env, "PGPASSWORD": password or "", "PGCONNECT_TIMEOUT": "10"}
    done = subprocess.run([*arguments, "-U", user, "spanlake"], capture_output=True, text=True, timeout=120, env=env)
    return done.stdout, done.stderr


def connect(server, **more):
    return psycopg.connect(
        host="127.0.0.1", port=server.ports["postgres"], user="me", dbname="spanlake", connect_timeout=10, **more
    )


def test_psql_lists_the_table_and_its_columns(server):
    send(server, range(3))
    out, err = psql(server, r"\dt", r"\d spans", r"\l", r"\dn", r"\di", r"\du", r"\df", r"\conninfo")
    assert err.replace("Did not find any relations.\n", "") == "", err
    lines = out.splitlines()
    assert "public|spans|table|spanlake" in lines
    assert "trace_id|text||not null|" in lines
    assert "start_time|timestamp with time zone||not null|" in lines
    assert "attributes|json||not null|" in lines
    assert any(line.startswith("spanlake|spanlake|UTF8|C|C|") for line in lines), out


def test_psql_asks_and_is_refused_with_words(server):
    send(server, range(3))
    out, err = psql(server, "SELECT service, count(*) FROM spans GROUP BY 1", "SELECT count(*) FROM traces('-1d')")
    assert (out.split(), err) == (["cart|3", "3"], "")
    out, err = psql(server, r"\set VERBOSITY verbose", "INSERT INTO spans VALUES (1)")
    assert "25006" in err and "SQL here only reads" in err, err


def test_psycopg_in_both_protocols_and_both_formats(server):
    send(server, range(10))
    with connect(server) as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            now = datetime.datetime.now(datetime.timezone.utc)
            cursor.execute(
                "SELECT trace_id, duration_nano, start_time, attributes, weight, start_time < %s FROM spans"
                " WHERE service = %s AND duration_nano >= %s AND name = ANY(%s) ORDER BY trace_id",
                (now + datetime.timedelta(days=1), "cart", 0, ["n", "live", "GET /cart", live_span(1)["name"]]),
            )
            rows = cursor.fetchall()
            assert len(rows) == 10
            trace_id, duration, start, attributes, weight, earlier = rows[1]
            assert (len(trace_id), type(duration), weight, earlier) == (32, int, 1.0, True)
            assert start.tzinfo is not None and abs(start - now) < datetime.timedelta(days=1)
            assert isinstance(attributes, dict)
            cursor.execute("SELECT %s, %s, %s, %s", ("text", 1.5, True, [1, 2]))
            assert cursor.fetchone() == ("text", 1.5, True, [1, 2])
        # The statement gets a name after some runs; its plan is then asked for once.
        for number in range(8):
            row = connection.execute("SELECT count(*) FROM spans WHERE duration_nano >= %s", (number,)).fetchone()
            assert row == (10,)
        connection.commit()
        with pytest.raises(psycopg.errors.UndefinedColumn):
            connection.execute("SELECT nothing FROM spans")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM spans")


def slow():
    """A statement that runs until something ends it."""
    values = ", ".join(f"({number})" for number in range(10))
    tables = ", ".join(f"(VALUES {values}) AS t{index}" for index in range(12))
    # A condition on all of it, so that no statistics answer it.
    return f"SELECT count(*) FROM {tables} WHERE " + " + ".join(f"t{index}.column1" for index in range(12)) + " > 1000"


def running(server) -> float:
    for line in requests.get(server.url("/metrics"), timeout=10).text.splitlines():
        if line.startswith("spanlake_queries_running "):
            return float(line.split()[1])
    raise AssertionError("no such metric")


def wait_for(what):
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_cancel_timeout_and_leaving_end_a_query(server):
    connection = connect(server, autocommit=True)
    canceller = threading.Thread(target=lambda: (wait_for(lambda: running(server) > 0), connection.cancel()))
    canceller.start()
    with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
        connection.execute(slow())
    canceller.join()
    connection.execute("SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
        connection.execute(slow())
    connection.execute("SET statement_timeout = 0")
    asking = threading.Thread(target=lambda: pytest.raises(psycopg.OperationalError, connection.execute, slow()))
    asking.start()
    wait_for(lambda: running(server) > 0)
    handle = socket.socket(fileno=os.dup(connection.fileno()))
    handle.shutdown(socket.SHUT_RDWR)
    asking.join()
    wait_for(lambda: running(server) == 0)


def test_sqlalchemy_finds_tables_and_columns_as_bi_tools_do(server):
    send(server, range(2))
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://me@127.0.0.1:{server.ports['postgres']}/spanlake")
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT count(*) FROM spans")).scalar() == 2
    inspector = sqlalchemy.inspect(engine)
    assert inspector.get_schema_names() == ["information_schema", "public"]
    assert sorted(inspector.get_table_names()) == ["retention_log", "spans", "spans_raw"]
    assert inspector.has_table("spans") and not inspector.has_table("other")
    columns = {column["name"]: str(column["type"]) for column in inspector.get_columns("spans")}
    assert columns["service"] == "TEXT" and columns["duration_nano"] == "BIGINT", columns
    assert inspector.get_view_names() == [] and inspector.get_foreign_keys("spans") == []


def test_where_others_can_come_in_a_token_is_the_password(tmp_path):
    server = Server(str(tmp_path / "data"), tmp_path / "server.log", ["--insecure"])
    server.host = "0.0.0.0"
    server.start()
    token = server.admin_token()
    assert psql(server, "SELECT 1", user="admin", password=token)[0].split() == ["1"]
    for user, password in [("admin", "trc_wrong"), ("me", token)]:
        out, err = psql(server, "SELECT 1", user=user, password=password)
        assert out == "" and "login failed" in err, (out, err)
    assert server.stop() == 0
