"""R-9, R-10: bits of data files flip, the log of commits is damaged."""

import collections
import json
import pathlib
import re
import shutil
import subprocess
import time

import pytest
from rig import BINARY, BUSY, SPANS_PER_REQUEST, Journal, Load, Server, check, doctor, must_be_healthy

EVERYTHING = "SELECT * FROM spans ORDER BY trace_id, span_id"


def table(folder: pathlib.Path, commits: int) -> tuple[pathlib.Path, Journal]:
    """A table of so many commits and a log that holds more, as a kill leaves it."""
    data, journal = folder / "data", Journal()
    server = Server(data, folder / "server.log", {"storage.compact": "false", "storage.flush_interval": "1h"})
    try:
        server.wait_until_ready()
        for _ in range(commits):
            with Load(server, journal):
                time.sleep(0.05)
            server.flush()
        with Load(server, journal):
            time.sleep(0.2)
        server.kill()
    finally:
        server.kill()
    return data, journal


def footer_bytes(content: bytes) -> int:
    return int.from_bytes(content[-8:-4], "little") + 8


def damaged(content: bytes, what: str, seeded) -> bytes:
    """`content` with a bit flipped in its pages, its footer or its beginning, or 4 KiB of it zeroed."""
    out, footer = bytearray(content), footer_bytes(content)
    if what == "zeroed page":
        at = seeded.randrange(4, max(5, len(content) - footer))
        out[at : min(at + 4096, len(content) - footer)] = bytes(min(4096, len(content) - footer - at))
        return bytes(out)
    first, last = {"footer": (len(content) - footer, len(content)), "magic": (0, 4)}.get(
        what, (4, len(content) - footer)
    )
    out[seeded.randrange(first, last)] ^= 1 << seeded.randrange(8)
    return bytes(out)


def test_a_data_file_that_changed(tmp_path, cycles, seeded, record):
    """*Scenario*: one bit of a data file flips (in its pages, its footer, its first bytes), or a page of it is zeros; then
    everything is read. *Guarantees*: the server lives and its memory stays bounded; once the file is whole again, so is the
    answer; no answer is wrong before: pages, their headers, page index and footer have checksums, and whoever reads them compares; the
    scrub finds every change and names the file."""
    rounds, outcomes = cycles(12), collections.Counter()
    data, _ = table(tmp_path, 2)
    settings = {"storage.compact": "false", "storage.flush_interval": "1h"}
    server = Server(data, tmp_path / "server.log", settings)
    try:
        server.wait_until_ready()
        server.flush()
        files = sorted((data / "default" / "spans").glob("date=*/*.parquet"))
        truth = server.sql(EVERYTHING)
        memory = resident(server)
        for round_number in range(rounds):
            file = seeded.choice(files)
            what = ("page", "page", "zeroed page", "footer")[round_number % 4]
            if what == "footer":
                # Footers are kept in memory: a new process reads them.
                server.stop()
            whole = file.read_bytes()
            file.write_bytes(damaged(whole, what, seeded))
            if what == "footer":
                server = Server(data, tmp_path / "server.log", settings)
                server.wait_until_ready()
            outcomes[f"{what}: {ask(server, file, truth)}"] += 1
            last = (file, file.read_bytes())
            file.write_bytes(whole)
            others(server, files, file)
        wrong = {outcome for outcome in outcomes if "wrong answer" in outcome}
        assert not wrong, outcomes
        assert resident(server) - memory < 512 << 20
        assert server.sql(EVERYTHING) == truth
        assert server.metric("spanlake_panics_total") == 0, server.words()[-3000:]
    finally:
        server.kill()
    must_be_healthy(data)
    scrub_finds(data, *last)
    record(cycles=rounds, outcomes=outcomes)


def scrub_finds(data: pathlib.Path, file: pathlib.Path, content: bytes):
    whole = file.read_bytes()
    file.write_bytes(content)
    code, findings = doctor(data)
    assert code == 1 and any(file.name in problem for problem in findings["problems"]), findings
    file.write_bytes(whole)


def ask(server, file: pathlib.Path, truth: list) -> str:
    said = len(server.words())
    for _ in range(3):
        status, body = server.post("/api/v1/sql", EVERYTHING.encode())
        # A machine that was paused in between has overstepped the time limit.
        if status not in (503, 504):
            break
    assert status != 0, f"the server is gone: {body}\n{server.words()[-3000:]}"
    if status == 200:
        return "harmless" if json.loads(body) == truth else "wrong answer"
    assert status == 500, f"{status}: {body}"
    return "error, file named" if file.name in server.words()[said:] else "error, file not named"


def others(server, files: list[pathlib.Path], damaged_file: pathlib.Path):
    """The file is whole again: nothing of the damage stuck."""
    assert server.sql("SELECT count(*) AS n FROM spans")[0]["n"] > 0, (files, damaged_file)


def resident(server) -> int:
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def test_compaction_parks_a_damaged_file_and_goes_on(tmp_path, seeded, record):
    """*Scenario*: one of ten small files is damaged, then compaction runs. *Guarantees*: it is parked and named, the others
    are merged."""
    data, journal = table(tmp_path, 10)
    file = seeded.choice(sorted((data / "default" / "spans").glob("date=*/*.parquet")))
    whole = file.read_bytes()
    file.write_bytes(damaged(whole, "page", seeded))
    server = Server(data, tmp_path / "server.log")
    try:
        server.wait_until_ready()
        end = time.monotonic() + 60
        while server.metric("spanlake_compactions_total") == 0 or server.metric("spanlake_compaction_parked_files") == 0:
            assert time.monotonic() < end, server.words()[-3000:]
            time.sleep(0.1)
        assert file.name in server.words()
        file.write_bytes(whole)
        check(server, journal)
        assert server.stop() == 0
    finally:
        server.kill()
    record(cycles=1)


def newest(log: pathlib.Path, suffix: str) -> pathlib.Path:
    return sorted(log.glob(f"*{suffix}"))[-1]


def truncate(file: pathlib.Path, seeded):
    file.write_bytes(file.read_bytes()[: seeded.randrange(file.stat().st_size)])


def zero(file: pathlib.Path, _):
    file.write_bytes(bytes(file.stat().st_size))


def flip(file: pathlib.Path, seeded):
    content = bytearray(file.read_bytes())
    content[seeded.randrange(len(content))] ^= 1 << seeded.randrange(8)
    file.write_bytes(content)


def remove(file: pathlib.Path, _):
    file.unlink()


def copy_beside(file: pathlib.Path, _):
    """A second checkpoint of the same version under the name that several writers use."""
    version = file.name.split(".")[0]
    shutil.copy(file, file.with_name(f"{version}.checkpoint.0000000001.0000000001.parquet"))


#: What is damaged, and how.
LOG_DAMAGES = [
    (target, how)
    for target in ("newest commit", "some commit", "checkpoint", "_last_checkpoint")
    for how in (truncate, zero, flip, remove)
] + [("checkpoint", copy_beside)]


def victim(log: pathlib.Path, target: str, seeded) -> pathlib.Path:
    if target == "newest commit":
        return newest(log, ".json")
    if target == "some commit":
        return seeded.choice(sorted(log.glob("*.json"))[:-1])
    return log / "_last_checkpoint" if target == "_last_checkpoint" else newest(log, ".checkpoint.parquet")


@pytest.fixture(scope="module")
def checkpointed(tmp_path_factory):
    """A table with a checkpoint and commits after it, and what a whole one answers."""
    folder = tmp_path_factory.mktemp("log")
    data, journal = folder / "data", Journal()
    server = Server(data, folder / "server.log", {"storage.compact": "false", "storage.flush_interval": "1h"})
    try:
        server.wait_until_ready()
        log = data / "default" / "spans" / "_delta_log"
        end = time.monotonic() + 120
        while not (log / "_last_checkpoint").exists() or len(list(log.glob("*.json"))) % 5 != 4:
            assert time.monotonic() < end, "no checkpoint"
            with Load(server, journal, clients=1):
                time.sleep(0.01)
            server.flush()
        with Load(server, journal):
            time.sleep(0.2)
    finally:
        server.kill()
    return data, journal


def test_a_damaged_log_of_commits(checkpointed, tmp_path, cycles, seeded, record):
    """*Scenario*: a commit, a checkpoint or the pointer to it is cut, zeroed, flipped, removed or doubled. *Guarantees*: the
    table opens with everything acknowledged, or it is refused with the reason, or what is missing is counted and said:
    never silently less."""
    data, journal = checkpointed
    expected = journal.count() * SPANS_PER_REQUEST
    rounds, outcomes = cycles(len(LOG_DAMAGES)), collections.Counter()
    for round_number in range(rounds):
        target, how = LOG_DAMAGES[round_number % len(LOG_DAMAGES)]
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)
        file = victim(copy / "default" / "spans" / "_delta_log", target, seeded)
        how(file, seeded)
        outcomes[f"{target}, {how.__name__}: {what_happens(copy, expected)}"] += 1
    silent = {outcome for outcome in outcomes if "SILENT" in outcome}
    record(cycles=rounds, outcomes=outcomes)
    assert not silent, outcomes


def what_happens(copy: pathlib.Path, expected: int) -> str:
    sql = "SELECT count(*) AS n, count(DISTINCT span_id) AS d FROM spans"
    settings = [word for key in ("ttl", "storage.compact") for word in ("--set", f"{key}={BUSY.get(key, 'false')}")]
    command = [str(BINARY), "query", "--data", str(copy), "--format", "json", *settings, sql]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        assert done.stderr.strip() and "panicked" not in done.stderr, done.stderr
        assert done.returncode in (1, 2), done.returncode
        return "refused"
    rows = json.loads(done.stdout)[0]
    if rows["n"] >= expected:
        assert rows["n"] == rows["d"], f"doubled: {rows}"
        return "complete"
    # The log knows which positions it has given out: what neither it nor the table holds any more is counted and said.
    return "less, and said so" if "acknowledged once" in done.stderr else f"SILENT loss: {done.stderr}"
