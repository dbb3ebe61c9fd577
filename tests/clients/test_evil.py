"""Statements that want to write, read what is not theirs, or never end: refused or limited, with words, through every door.

The server runs with small limits, so that the worst of them ends within seconds. Ingest goes on meanwhile, in the same
process.
"""

import threading

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import psycopg
import pytest
import requests
from conftest import Server
from test_postgres import running, slow, wait_for
from test_table import live_span

NOT_READING = [
    "INSERT INTO spans SELECT * FROM spans",
    "INSERT INTO spans VALUES (1)",
    "UPDATE spans SET name = 'x'",
    "DELETE FROM spans",
    "TRUNCATE TABLE spans",
    "DROP TABLE spans",
    "DROP VIEW spans",
    "DROP SCHEMA public CASCADE",
    "ALTER TABLE spans ADD COLUMN x INT",
    "CREATE TABLE x (a INT)",
    "CREATE TABLE x AS SELECT * FROM spans",
    "CREATE OR REPLACE VIEW v AS SELECT 1",
    "CREATE TEMPORARY TABLE x (a INT)",
    "CREATE SCHEMA s",
    "CREATE DATABASE d",
    "CREATE INDEX i ON spans (name)",
    "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "CREATE EXTENSION plpython3u",
    "CREATE ROLE x SUPERUSER",
    "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION 's3://bucket/x'",
    "COPY spans TO '/tmp/spanlake-evil.csv'",
    "COPY (SELECT 1) TO '/tmp/spanlake-evil.parquet' STORED AS PARQUET",
    "COPY spans FROM '/etc/passwd'",
    "COPY spans FROM PROGRAM 'id'",
    "COPY pg_class TO STDOUT",
    "SET datafusion.execution.batch_size = 1",
    "SET datafusion.catalog.information_schema = true",
    "SET session_replication_role = replica",
    "RESET datafusion.execution.batch_size",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "GRANT ALL ON spans TO public",
    "REVOKE ALL ON spans FROM public",
    "USE other",
    "KILL 1",
    "VACUUM",
    "ANALYZE spans",
    "LISTEN x",
    "DO $$ BEGIN END $$",
    "CALL f()",
    "LOCK TABLE spans",
    "DECLARE c CURSOR FOR SELECT 1",
    "EXPLAIN INSERT INTO spans SELECT * FROM spans",
    "EXPLAIN ANALYZE INSERT INTO spans SELECT * FROM spans",
    "EXPLAIN ANALYZE COPY spans TO '/tmp/spanlake-evil.csv'",
    "EXPLAIN CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
    "EXPLAIN EXPLAIN SELECT 1",
    "WITH x AS (SELECT 1) INSERT INTO spans SELECT * FROM x",
    "SELECT * INTO x FROM spans",
    "SELECT * FROM spans FOR UPDATE",
    "SELECT 1; DROP TABLE spans",
    "SELECT 1; SELECT 2",
    "/* SELECT */ DELETE FROM spans",
    "--\nDROP TABLE spans",
    "MERGE INTO spans USING spans s ON spans.name = s.name WHEN MATCHED THEN DELETE",
]

NOT_THEIRS = [
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 's3://bucket/key.parquet'",
    "SELECT * FROM 'http://169.254.169.254/latest/meta-data'",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_authid",
    "SELECT * FROM other.public.spans",
    "SELECT * FROM information_schema.df_settings",
    "SELECT input_file_name() FROM spans",
    "SELECT dblink('host=169.254.169.254', 'SELECT 1')",
    "DESCRIBE '/etc/passwd'",
    "SHOW COLUMNS FROM '/etc/passwd'",
    "SELECT * FROM 'file:///etc/passwd'",
    "SELECT * FROM arrow_cast('/etc/passwd', 'Utf8')",
    "SELECT * FROM csv_scan('/etc/passwd')",
    "SELECT load_file('/etc/passwd')",
    "SELECT * FROM (SELECT * FROM '/etc/passwd')",
    "WITH f AS (SELECT * FROM 's3://bucket/key.parquet') SELECT * FROM f",
]

TOO_MUCH = [
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "SELECT * FROM generate_series(1, 1000000000000)",
    "SELECT generate_series(1, 1000000000000)",
    "SELECT count(*) FROM range(1000000000000)",
    "SELECT pg_sleep(100)",
    "SELECT sleep(100)",
    "SELECT benchmark(1000000000, md5('x'))",
    "SELECT repeat('x', 2000000000) FROM spans",
    "SELECT lpad('x', 2000000000, 'y') FROM spans",
    "SELECT array_repeat('x', 2000000000)",
    "SELECT " + "1+" * 5_000 + "1",
    "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "SELECT " + "NOT " * 10_000 + "true",
    "SELECT " + "-" + " -" * 10_000 + "1",
    "SELECT * FROM spans WHERE " + " OR ".join(f"name = '{n}'" for n in range(3_000)),
    "SELECT * FROM spans WHERE weight IN (" + ",".join(map(str, range(10_000))) + ")",
    "SELECT " + ",".join("1" for _ in range(5_000)),
    " UNION ALL ".join("SELECT 1" for _ in range(500)),
    "SELECT * FROM " + ", ".join(f"spans s{n}" for n in range(50)),
    "SELECT " + "abs(" * 200 + "1" + ")" * 200,
    "SELECT * FROM " + "(SELECT * FROM " * 60 + "spans" + ")" * 60,
    "SELECT '" + "x" * 70_000 + "'",
    "SELECT regexp_like(name, '" + "(a{1000}){1000}" + "') FROM spans",
    slow(),
    "SELECT count(*) FROM spans a, spans b, spans c WHERE a.name || b.name || c.name || a.span_id = 'x'",
    "SELECT array_agg(a.attributes || b.attributes || c.span_id) FROM spans a, spans b, spans c",
    "SELECT a.span_id || b.span_id || c.span_id AS x FROM spans a, spans b, spans c ORDER BY x DESC LIMIT 90000",
    "SELECT count(DISTINCT a.span_id || b.span_id || c.span_id) FROM spans a, spans b, spans c",
    "SELECT sum(x) FROM (SELECT row_number() OVER (ORDER BY a.span_id || b.span_id || c.span_id) AS x"
    " FROM spans a, spans b, spans c)",
]

# Few: a nested loop that was stopped still ends the batch at hand, and each batch meets all rows of the other side.
SPANS = 300


@pytest.fixture
def server(tmp_path):
    folder = tmp_path
    limits = ["query.time_max=2s", "query.memory_bytes_max=64MiB", "query.spill_bytes_max=16MiB", "query.threads=2"]
    extra = [part for limit in limits for part in ("--set", limit)]
    running = Server(str(folder / "data"), folder / "server.log", extra).start()
    send(running, range(SPANS))
    yield running
    assert running.stop() == 0, running.log.read_text()
    assert "panicked" not in running.log.read_text()


def send(server, numbers):
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [live_span(number) for number in numbers]}]}]}
    answer = requests.post(server.url("/v1/traces", "http"), json=body, timeout=30)
    assert answer.status_code == 200, answer.text


def by_http(server, sql):
    answer = requests.post(server.url("/api/v1/sql?format=ndjson"), data=sql.encode(), timeout=60)
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.json()['error']['kind']} {answer.json()['error']['message']}"
    last = answer.text.splitlines()[-1] if answer.text else ""
    return last if last.startswith('{"error"') else None


def by_postgres(server, sql):
    address = {"host": "127.0.0.1", "port": server.ports["postgres"], "user": "me", "dbname": "spanlake"}
    with psycopg.connect(**address, autocommit=True) as connection:
        try:
            connection.execute(sql.encode()).fetchall()
        except psycopg.Error as error:
            return f"{error.sqlstate} {error}"
    return None


def by_flight(server, sql):
    address = f"grpc://127.0.0.1:{server.ports['flight']}"
    with flightsql.connect(address, autocommit=True) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(sql)
            cursor.fetchall()
        except adbc_driver_manager.Error as error:
            return str(error)
    return None


DOORS = {"http": by_http, "postgres": by_postgres, "flight": by_flight}


@pytest.mark.parametrize("door", DOORS)
def test_what_does_not_read_is_refused(server, door):
    for sql in NOT_READING:
        words = DOORS[door](server, sql)
        assert words, f"{door} let in: {sql}"
        assert "mistake in Spanlake" not in words and "XX000" not in words, f"{sql}: {words}"
    assert server.sql("SELECT count(*) AS n FROM spans") == [{"n": SPANS}]


@pytest.mark.parametrize("door", DOORS)
def test_what_is_not_theirs_is_not_there(server, door):
    for sql in NOT_THEIRS:
        words = DOORS[door](server, sql)
        assert words, f"{door} let in: {sql}"
        assert "root:" not in words and "mistake in Spanlake" not in words, f"{sql}: {words}"


@pytest.mark.parametrize("door", DOORS)
def test_what_is_too_much_ends_with_a_named_limit_while_ingest_goes_on(server, door):
    over = threading.Event()
    acknowledged = []

    def ingest():
        number = 10**6 + 10**6 * list(DOORS).index(door)
        while not over.is_set():
            send(server, [number])
            acknowledged.append(number)
            number += 1

    sending = threading.Thread(target=ingest)
    sending.start()
    try:
        for sql in TOO_MUCH:
            before = len(acknowledged)
            words = DOORS[door](server, sql)
            assert words, f"{door} answered: {sql[:100]}"
            assert "mistake in Spanlake" not in words and "XX000" not in words, f"{sql[:100]}: {words}"
            wait_for(lambda: len(acknowledged) > before)
    finally:
        over.set()
        sending.join()
    # The process is the same, nothing runs on, and what was acknowledged meanwhile is there.
    assert server.process.poll() is None
    wait_for(lambda: running(server) == 0)
    first = acknowledged[0] + 1
    found = server.sql(f"SELECT count(*) AS n FROM spans WHERE trace_id >= '{first:032x}' AND trace_id < '{first + 10**6:032x}'")
    assert found == [{"n": len(acknowledged)}]


def test_many_at_once_are_limited_too(server):
    outcomes = []

    def ask(door):
        outcomes.append(DOORS[door](server, slow()))

    threads = [threading.Thread(target=ask, args=(door,)) for door in DOORS for _ in range(10)]
    for thread in threads:
        thread.start()
    wait_for(lambda: running(server) > 0)
    send(server, [5 * 10**6])
    for thread in threads:
        thread.join()
    assert len(outcomes) == len(threads) and all(outcomes), outcomes
    wait_for(lambda: running(server) == 0)
    assert server.sql("SELECT 1 AS one") == [{"one": 1}]
