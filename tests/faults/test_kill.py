"""R-2, R-12: `kill -9` at a chosen system call: between any two steps of log, flush, commit, compaction, checkpoint, deletion."""

import collections
import re
import subprocess
import time

from rig import Ended, Journal, Load, Server, comes_back_whole, must_be_healthy

#: What changes the disk. A kill at the next one is a kill after the last one.
CALLS = ("fdatasync", "fsync", "pwrite64", "pwritev", "linkat", "rename", "unlink", "fallocate", "mkdir")
#: Calls are counted by thread, and each thread makes a few only.
CALLS_EACH = {"fallocate": 2, "mkdir": 2, "pwritev": 4, "unlink": 4, "linkat": 5, "rename": 6, "fsync": 15}

#: Which step a file belongs to.
STEPS = (
    ("checkpoint", re.compile(r"\.checkpoint\.|_last_checkpoint")),
    ("commit", re.compile(r"_delta_log/[^>\"]*\.json")),
    ("folder of commits", re.compile(r"_delta_log[>\"]")),
    ("sidecar", re.compile(r"\.sidecar")),
    ("rollup", re.compile(r"\.rollup")),
    ("data file", re.compile(r"\.parquet")),
    ("spare segment", re.compile(r"\.spare")),
    ("recent requests", re.compile(r"\.recent")),
    ("log's id", re.compile(r"/ID")),
    ("log segment", re.compile(r"\.log")),
    ("log folder", re.compile(r"/wal[/>\"]")),
    ("folder", re.compile(r"/(spans|date=[^/>\"]*|_sidecars|default|data)[>\"]")),
)


def point(log) -> str | None:
    """The call at which the process was killed, by its kind and file, as strace saw it; `None` where none was reached."""
    last = None
    for line in log.read_text(errors="replace").splitlines():
        if "resumed>" in line:
            continue
        if "INJECTED" in line or line.rstrip().endswith("= ?") or "<unfinished ...>" in line:
            last = line
    if last is None:
        return None
    call = re.sub(r"^\d+ +[\d.]+ (\w+)\(.*", r"\1", last)
    step = next((name for name, pattern in STEPS if pattern.search(last)), "other")
    return f"{call} of {step}"


def live(data, folder, strace, fault, journal, pause: float) -> tuple[str | None, bool]:
    """One life under load; returns where it was killed, and whether by the injection."""
    calls = folder / "strace"
    calls.unlink(missing_ok=True)
    server = Server(data, folder / "server.log", before=strace(calls, fault))
    by_itself = False
    try:
        server.wait_until_ready()
        with Load(server, journal):
            begin = time.monotonic()
            while time.monotonic() - begin < pause and server.process.poll() is None:
                time.sleep(0.02)
            by_itself = server.process.poll() is not None
            server.kill()
    except Ended:
        by_itself = True
    finally:
        server.kill()
    # The tracer writes its last lines a moment after the process is gone.
    end = time.monotonic() + 5
    while time.monotonic() < end and not (where := point(calls)) and by_itself:
        time.sleep(0.02)
    return (where if by_itself else None), by_itself


def test_kill_at_each_step(strace, tmp_path, cycles, seeded, record):
    """*Scenario*: the process is killed by the kernel at the n-th call of a kind, under load, with flushes, compactions,
    checkpoints and deletions several times a second; then it starts again. *Guarantees*: everything acknowledged is there
    once, nothing needs a hand, files that no version names are a twentieth of the bytes at most once they were swept."""
    rounds, journal, points = cycles(6), Journal(), collections.Counter()
    data = tmp_path / "data"
    for round_number in range(rounds):
        call = seeded.choice(CALLS)
        fault = f"{call}:signal=SIGKILL:when={seeded.randint(1, CALLS_EACH.get(call, 40))}"
        where, _ = live(data, tmp_path, strace, fault, journal, 2.5)
        if where:
            points[where] += 1
        if round_number % 5 == 4:
            look(data, tmp_path, journal)
    server = look(data, tmp_path, journal)
    must_be_healthy(data)
    assert points, "no life ended at a chosen call"
    record(
        cycles=rounds, at_a_chosen_call=sum(points.values()), points=len(points),
        acknowledged_requests=journal.count(), lost=0, compactions=server, where=dict(points.most_common()),
    )


def look(data, folder, journal) -> int:
    """Starts, compares, ends in peace; returns how often files were merged so far, by the log of commits."""
    comes_back_whole(data, folder / "server.log", journal)
    commits = data / "default" / "spans" / "_delta_log"
    return int(subprocess.run(
        ["grep", "-l", "-r", "--include=*.json", "OPTIMIZE", str(commits)], capture_output=True, text=True
    ).stdout.count("\n"))
