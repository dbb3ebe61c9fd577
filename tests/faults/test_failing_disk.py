"""R-5, R-6, R-7: calls to the disk fail, the disk fills up, the disk becomes read-only."""

import collections
import re
import time

import pytest
from disks import Ext4, Memory
from rig import Ended, Journal, Load, Server, check, comes_back_whole, must_be_healthy, wait_for

#: Calls that change the disk, and nothing else in this program (`write` would also hit sockets and wake-ups).
CALLS = ("fdatasync", "fsync", "pwrite64", "linkat", "link", "rename", "openat", "fallocate", "ftruncate", "mkdir")

#: A call that failed, and the file it was about: `fdatasync(9</x/wal/0.log>) = -1 EIO (Input/output error) (INJECTED)`.
SYNCED = re.compile(r"(fsync|fdatasync)\(\d+<([^>]*)>\)\s*=\s*(-1|0)")


def no_file_was_synced_again(log) -> collections.Counter:
    """A sync that failed says that bytes are gone; one that succeeds afterwards on the same file would hide it."""
    failed, calls = set(), collections.Counter()
    for line in log.read_text(errors="replace").splitlines():
        if "INJECTED" in line:
            calls[re.sub(r"^\d+ +[\d.]+ (\w+)\(.*", r"\1", line)] += 1
        found = SYNCED.search(line)
        # Segments only: other files are written anew under the same name, and folders have no bytes of ours.
        if not found or not found[2].endswith(".log"):
            continue
        assert found[2] not in failed, f"{found[2]} was synced again after an error"
        if found[3] == "-1":
            failed.add(found[2])
    return calls


def faults(seeded, rounds: int) -> list[str]:
    """What fails in each round: every call in turn, once or for good, at a random place."""
    chosen = []
    for round_number in range(rounds):
        call = CALLS[round_number % len(CALLS)]
        first = seeded.randint(1, 12 if round_number < 40 else 200)
        if call == "openat":
            # Also libraries are opened.
            first += 60
        chosen.append(f"{call}:error=EIO:when={first}{seeded.choice(['', '+'])}")
    return chosen


def test_calls_that_fail(own_mounts, strace, tmp_path, cycles, seeded, record):
    """*Scenario*: from a random call on, or once, the disk answers EIO (the call is then not made at all); after a while
    the power goes, so that only what was really synced is left. *Guarantees*: no acknowledgement followed a failed sync, no
    file is synced again after an error, queries go on or the process ends, a restart has everything."""
    rounds, journal, injected = cycles(5), Journal(), collections.Counter()
    states = collections.Counter()
    with Ext4(tmp_path) as disk:
        data, log = disk.path / "data", tmp_path / "server.log"
        for round_number, fault in enumerate(faults(seeded, rounds)):
            calls = tmp_path / f"strace.{round_number}"
            server = Server(data, log, before=strace(calls, fault, *others(fault)))
            try:
                server.wait_until_ready()
                check(server, journal)
                with Load(server, journal):
                    time.sleep(1.0)
                    states[how_it_is(server)] += 1
                    disk.cut()
                    server.kill()
            except Ended:
                # The log or the table could not be opened: said so, and left.
                assert "Input/output error" in server.words(), server.words()
                states["did not start"] += 1
            finally:
                server.kill()
            injected += no_file_was_synced_again(calls)
            disk.replug()
        comes_back_whole(data, log, journal)
        must_be_healthy(data)
    assert sum(injected.values()) > 0, "nothing was injected"
    record(cycles=rounds, acknowledged_requests=journal.count(), lost=0, injected=injected, then=states)


def others(fault: str) -> list[str]:
    """Injections that do nothing: syncs are traced in every round."""
    call = fault.split(":")[0]
    return [f"{name}:delay_enter=1:when=65535" for name in ("fsync", "fdatasync") if name != call]


def how_it_is(server) -> str:
    """Ready, not ready, or gone; where it lives, it answers questions."""
    if server.process.poll() is not None:
        assert server.process.returncode != 0
        return "ended"
    status, _ = server.get("/readyz")
    server.sql("SELECT count(*) AS n FROM spans")
    return "ready" if status == 200 else "not ready, answers queries"


@pytest.mark.parametrize("volume", ["wal", "spans"])
@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_full_disk(own_mounts, tmp_path, cycles, record, volume, what):
    """*Scenario*: log and files lie on two disks; one has not a byte (or not a file) left, then it has again. *Guarantees*:
    requests are refused with a time to try again, questions are answered, ingest goes on within five seconds of the room,
    nothing acknowledged is lost."""
    rounds, journal, slowest = cycles(1), Journal(), 0.0
    data, tenant = tmp_path / "data", tmp_path / "data" / "default"
    tenant.mkdir(parents=True, mode=0o700)
    limits = {"inodes": 600} if what == "inodes" else {}
    # Little room, so that even a busy machine fills it in a moment.
    settings = {"storage.hot_bytes_max": "512KiB", "storage.flush_bytes": "128KiB", "storage.wal_bytes_max": "4MiB"}
    with Memory(tenant / "wal", 64, **limits) as wal, Memory(tenant / "spans", 96, **limits) as spans:
        full = {"wal": wal, "spans": spans}[volume]
        server = Server(data, tmp_path / "server.log", settings)
        try:
            server.wait_until_ready()
            for _ in range(rounds):
                with Load(server, journal, clients=6) as load:
                    wait_for(server, lambda: load.statuses[200] + load.statuses[202] > 20, "the start", 20)
                    full.fill() if what == "bytes" else full.fill_inodes()
                    refused_or_idle(server, load, volume, what)
                    full.free()
                    before = journal.count()
                    slowest = max(slowest, wait_for(server, lambda: journal.count() > before, "ingest", 5))
                    assert load.impolite == 0, "refusals without Retry-After"
                server.flush()
                check(server, journal)
            server.kill()
            server = Server(data, tmp_path / "server.log", settings)
            server.wait_until_ready()
            check(server, journal)
            assert server.stop() == 0
        finally:
            server.kill()
        must_be_healthy(data)
    record(cycles=rounds, acknowledged_requests=journal.count(), lost=0, slowest_resume_s=round(slowest, 2))


def refused_or_idle(server, load, volume: str, what: str):
    """Waits for refusals where they must come; what a log without new files can do, it may go on doing."""
    must_refuse = volume == "wal" and what == "bytes" or volume == "spans"
    begin = time.monotonic()
    refused = lambda: load.statuses[429] + load.statuses[503] > 0  # noqa: E731
    enough = lambda: not must_refuse and time.monotonic() - begin > 1.5  # noqa: E731
    wait_for(server, lambda: refused() or enough(), "a refusal", 40)
    # 0: a client lost patience with a machine that was paused.
    assert set(load.statuses) <= {0, 200, 202, 429, 503}, load.statuses
    rows = server.sql("SELECT count(*) AS n FROM spans")
    assert rows[0]["n"] > 0


def test_a_disk_that_becomes_read_only(own_mounts, tmp_path, cycles, record):
    """*Scenario*: ext4 finds an error in itself and remounts read-only under load; later the disk is repaired and the
    server started again. *Guarantees*: refusals with a time to try again and a red `/readyz`, questions are answered,
    nothing acknowledged is lost."""
    rounds, journal = cycles(1), Journal()
    with Ext4(tmp_path, 256) as disk:
        data, log = disk.path / "data", tmp_path / "server.log"
        for _ in range(rounds):
            server = Server(data, log)
            try:
                server.wait_until_ready()
                check(server, journal)
                with Load(server, journal) as load:
                    time.sleep(0.6)
                    if not disk.break_down():
                        pytest.skip("this kernel has no trigger_fs_error")
                    wait_for(server, lambda: load.statuses[503] > 0, "the refusal", 20)
                    wait_for(server, lambda: server.get("/readyz")[0] == 503, "/readyz", 20)
                    assert server.sql("SELECT count(*) AS n FROM spans")[0]["n"] > 0
                    acknowledged = journal.count()
                    time.sleep(0.3)
                    assert journal.count() == acknowledged, "something was acknowledged on a read-only disk"
                check(server, journal)
                server.kill()
            finally:
                server.kill()
            disk.repair()
        comes_back_whole(data, log, journal)
        must_be_healthy(data)
    record(cycles=rounds, acknowledged_requests=journal.count(), lost=0)
