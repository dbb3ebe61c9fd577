"""R-3: the power goes while spans arrive."""

import shutil
import time

import pytest
from disks import Ext4
from rig import Journal, Load, Server, check, comes_back_whole, must_be_healthy


def live_through_cuts(folder, rounds, seeded, settings=None, before=lambda: ()):
    """So many lives of one table, each ended by a power cut under load; returns the journal and the slowest start."""
    journal, slowest = Journal(), 0.0
    with Ext4(folder) as disk:
        data, log = disk.path / "data", folder / "server.log"
        for _ in range(rounds):
            server = Server(data, log, settings, before())
            try:
                slowest = max(slowest, server.wait_until_ready())
                check(server, journal)
                with Load(server, journal):
                    time.sleep(seeded.uniform(0.1, 1.2))
                    disk.cut()
                    server.kill()
            finally:
                server.kill()
            disk.replug()
        comes_back_whole(data, log, journal)
        must_be_healthy(data)
    return journal, slowest


def test_power_cut(own_mounts, tmp_path, cycles, seeded, record):
    """*Scenario*: ext4 is shut down without its journal under load, the server killed, the disk mounted again.
    *Guarantees*: everything acknowledged is there once, each start succeeds by itself, `doctor --scrub` finds nothing."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    rounds = cycles(4)
    journal, slowest = live_through_cuts(tmp_path, rounds, seeded)
    assert journal.count() > rounds, "hardly anything was sent"
    record(cycles=rounds, acknowledged_requests=journal.count(), lost=0, slowest_start_s=round(slowest, 2))
