"""Flight SQL, asked by the ADBC driver."""

import subprocess
import sys

import adbc_driver_flightsql.dbapi as flightsql
import adbc_driver_manager
import pyarrow
import pytest
import requests
from adbc_driver_flightsql import DatabaseOptions
from conftest import Server
from test_postgres import running, send, slow, wait_for


def connect(server, **options):
    return flightsql.connect(f"grpc://127.0.0.1:{server.ports['flight']}", db_kwargs=options, autocommit=True)


def test_statements_give_arrow(server):
    send(server, range(10))
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT service, count(*) AS spans, max(start_time) AS latest FROM spans GROUP BY 1")
        table = cursor.fetch_arrow_table()
        assert table.column("service").to_pylist() == ["cart"] and table.column("spans").to_pylist() == [10]
        assert table.schema.field("latest").type == pyarrow.timestamp("ns", "UTC")
        cursor.execute("SELECT * FROM spans")
        rows = cursor.fetch_arrow_table()
        assert rows.num_rows == 10 and rows.schema.field("trace_id").type == pyarrow.string()
        cursor.execute("SELECT count(*) FROM dependencies('-1h')")
        assert cursor.fetchone() == (0,)


def test_prepared_statements_take_values(server):
    send(server, range(10))
    with connect(server) as connection, connection.cursor() as cursor:
        sql = "SELECT span_id FROM spans WHERE service = $1 AND duration_nano >= $2 ORDER BY span_id LIMIT 2"
        for _ in range(2):
            cursor.execute(sql, ("cart", 0))
            assert [row[0] for row in cursor.fetchall()] == [f"{number:016x}" for number in (1, 2)]
        cursor.execute(sql, ("other", 0))
        assert cursor.fetchall() == []
    with connect(server) as connection, connection.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.Error, match="2 parameters"):
            cursor.execute(sql)
            cursor.fetchall()


def test_tables_and_their_columns_are_found(server):
    with connect(server) as connection:
        assert connection.adbc_get_table_types() == ["TABLE", "TABLE FUNCTION"]
        schema = connection.adbc_get_table_schema("spans")
        assert schema.field("duration_nano").type == pyarrow.int64()
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Spanlake"
        found = connection.adbc_get_objects(depth="tables", table_types_filter=["TABLE"]).read_all().to_pylist()
        (catalog,) = found
        (public,) = catalog["catalog_db_schemas"]
        names = [table["table_name"] for table in public["db_schema_tables"]]
        assert (catalog["catalog_name"], public["db_schema_name"]) == ("spanlake", "public")
        assert "spans" in names and "dependencies" not in names, "functions are no tables"


def test_what_writes_is_refused_with_words(server):
    with connect(server) as connection, connection.cursor() as cursor:
        for sql in ["DELETE FROM spans", "SET x = 1", "COPY spans TO '/tmp/x'", "SELECT 1; SELECT 2"]:
            with pytest.raises(adbc_driver_manager.Error) as refused:
                cursor.execute(sql)
                cursor.fetchall()
            words = str(refused.value)
            assert "INVALID_ARGUMENT" in words and ("only reads" in words or "one statement" in words), words
        with pytest.raises(adbc_driver_manager.Error, match="no column"):
            cursor.execute("SELECT nothing FROM spans")


def test_cancelling_and_leaving_end_a_query(server):
    import threading

    with connect(server) as connection, connection.cursor() as cursor:
        errors = []

        def ask():
            try:
                cursor.execute(slow())
                cursor.fetchall()
            except adbc_driver_manager.Error as error:
                errors.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        wait_for(lambda: running(server) > 0)
        cursor.adbc_cancel()
        asking.join()
        assert errors, "it was cancelled"
        wait_for(lambda: running(server) == 0)
    # A process that is killed says goodbye to nobody.
    program = (
        "import sys, adbc_driver_flightsql.dbapi as flightsql\n"
        "with flightsql.connect(sys.argv[1], autocommit=True) as connection, connection.cursor() as cursor:\n"
        "    cursor.execute(sys.argv[2])\n"
        "    cursor.fetchall()\n"
    )
    address = f"grpc://127.0.0.1:{server.ports['flight']}"
    leaving = subprocess.Popen([sys.executable, "-c", program, address, slow()])
    wait_for(lambda: running(server) > 0)
    leaving.kill()
    leaving.wait()
    wait_for(lambda: running(server) == 0)


def test_where_others_can_come_in_a_token_is_needed(tmp_path):
    server = Server(str(tmp_path / "data"), tmp_path / "server.log", ["--insecure"])
    server.host = "0.0.0.0"
    server.start()
    token = server.admin_token()
    header = DatabaseOptions.AUTHORIZATION_HEADER.value
    for options in [{header: f"Bearer {token}"}, {"username": "me", "password": token}]:
        with connect(server, **options) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM spans")
            assert cursor.fetchone() == (0,)
    for options in [{}, {header: "Bearer trc_wrong"}, {"username": "me", "password": "trc_wrong"}]:
        with pytest.raises(adbc_driver_manager.Error, match="(?i)unauthenticated"):
            with connect(server, **options) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
    answer = requests.get(f"http://127.0.0.1:{server.ports['flight']}/", timeout=10)
    assert answer.headers["grpc-status"] == "12"
    assert server.stop() == 0
