"""Tests of the tests: a server that lies is caught. What a bug in it would do, strace does to a good one."""

import pytest
from test_power_cut import live_through_cuts



def is_caught(folder, seeded, settings=None, before=lambda: ()):
    """A few power cuts must show it."""
    for attempt in range(3):
        part = folder / str(attempt)
        part.mkdir()
        try:
            live_through_cuts(part, 1, seeded, settings, before)
        except Exception as caught:  # noqa: BLE001 (a start that fails is a find too)
            return str(caught)[:300]
    return None


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_sync_that_is_left_out(own_mounts, strace, tmp_path, seeded, record, call):
    """*Scenario*: `fdatasync` (the log) or `fsync` (files, commits, folders) says yes and does nothing. *Guarantees*: the
    power-cut harness finds something lost or damaged."""
    caught = is_caught(tmp_path, seeded, None, lambda: strace(tmp_path / "strace", f"{call}:retval=0"))
    record(caught=caught)
    assert caught, f"a server without {call} passed"


def test_acknowledgements_before_the_sync(own_mounts, tmp_path, seeded, record):
    """*Scenario*: `durability = "os"` acknowledges what only memory holds. *Guarantees*: the power-cut harness finds it."""
    caught = is_caught(tmp_path, seeded, {"storage.durability": "os"})
    record(caught=caught)
    assert caught, "acknowledgements before the sync passed"


