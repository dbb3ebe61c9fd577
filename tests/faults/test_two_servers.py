"""R-14: two servers on one folder, and one that comes back from the dead."""

import signal
import time

import pytest
from rig import Ended, Journal, Load, Server, check, must_be_healthy


def test_a_second_server_is_refused_while_the_first_sleeps(tmp_path, cycles, record):
    """*Scenario*: the first server is stopped (SIGSTOP) under load, a second one is started on the same folder, the first goes
    on. *Guarantees*: the second refuses and says why; the first loses and doubles nothing."""
    rounds, journal, data = cycles(1), Journal(), tmp_path / "data"
    server = Server(data, tmp_path / "server.log")
    try:
        server.wait_until_ready()
        for _ in range(rounds):
            with Load(server, journal):
                time.sleep(0.3)
                server.signal(signal.SIGSTOP)
                second = Server(data, tmp_path / "second.log")
                with pytest.raises(Ended, match="in use by another Spanlake process"):
                    second.wait_until_ready()
                second.kill()
                server.signal(signal.SIGCONT)
                time.sleep(0.3)
            check(server, journal)
        assert server.stop() == 0
    finally:
        server.kill()
    must_be_healthy(data)
    record(cycles=rounds, acknowledged_requests=journal.count(), lost=0)


def test_a_server_that_wakes_up_on_a_table_that_went_on(bucket, tmp_path, cycles, seeded, record):
    """*Scenario*: two servers with logs of their own write one table in a bucket; one is stopped at a random moment, often in
    the middle of a flush, while the other commits, and wakes up. *Guarantees*: each commit is decided on the version before
    it, so no span of either is lost or doubled."""
    rounds, journal = cycles(2), Journal()

    def start(name: str) -> Server:
        flags = ("--wal", str(tmp_path / name))
        return Server(bucket.table, tmp_path / f"{name}.log", bucket.settings, env=bucket.environment, flags=flags)

    first, second = start("first"), start("second")
    try:
        first.wait_until_ready()
        second.wait_until_ready()
        for _ in range(rounds):
            with Load(first, journal, clients=2), Load(second, journal, clients=2):
                time.sleep(seeded.uniform(0.3, 0.8))
                first.signal(signal.SIGSTOP)
                time.sleep(0.8)
                first.signal(signal.SIGCONT)
                time.sleep(0.4)
            first.flush()
            second.flush()
        assert first.stop() == 0 and second.stop() == 0
        second = start("second")
        second.wait_until_ready()
        check(second, journal)
        assert second.stop() == 0
    finally:
        first.kill()
        second.kill()
    record(cycles=rounds, acknowledged_requests=journal.count(), lost=0)
