"""Commands from end to end: `check`, `doctor`, import of compressed files, the progress bar on a terminal."""

import json
import os
import pathlib
import pty
import subprocess

from conftest import BINARY

#: 2023-11-14, in nanoseconds.
BASE = 1_700_000_000 * 10**9


def run(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def span(trace: int, number: int, name: str, parent: int | None = None) -> dict:
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "startTimeUnixNano": str(BASE + number),
        "endTimeUnixNano": str(BASE + number + 1000),
    }


def line(spans: list[dict]) -> str:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}) + "\n"


def shop(folder: pathlib.Path) -> pathlib.Path:
    """Two checkouts; the second one charges twice."""
    once = [span(1, 1, "checkout"), span(1, 2, "charge", 1)]
    twice = [span(2, 11, "checkout"), span(2, 12, "charge", 11), span(2, 13, "charge", 11)]
    file = folder / "shop.jsonl"
    file.write_text(line(once) + line(twice))
    return file


def test_check_names_the_span_that_fails_and_says_so_in_its_exit_code(tmp_path):
    data = str(tmp_path / "data")
    run("import", "--data", data, str(shop(tmp_path)))
    checks = tmp_path / "checks.toml"
    template = '[[check]]\nname = "one charge"\nwhen = "name = \'checkout\'"\nbelow = "name = \'charge\'"\nat_most = {}\n'
    checks.write_text(template.format(2))
    rows = json.loads(run("check", str(checks), "--data", data, "--format", "json"))
    assert [(row["name"], row["passed"], row["tested"], row["failed"]) for row in rows] == [("one charge", True, 2, 0)]
    checks.write_text(template.format(1))
    words = run("check", str(checks), "--data", data, code=1)
    assert "FAILED" in words and f"{2:032x}/{11:016x}" in words and f"{1:032x}" not in words, words
    assert "passed" in run("check", str(checks), "--data", data, "--to", "2023-01-01T00:00:00Z"), "none is tested"
    checks.write_text("[[check]\n")
    run("check", str(checks), "--data", data, code=2)


def damage(file: pathlib.Path, at: int):
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)


def doctor(data: str, *flags: str) -> tuple[int, dict]:
    command = [str(BINARY), "doctor", "--format", "json", "--data", data, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout)


def test_doctor_finds_what_was_damaged_and_names_it(tmp_path):
    data = str(tmp_path / "data")
    run("import", "--data", data, str(shop(tmp_path)))
    code, findings = doctor(data, "--scrub")
    assert (code, findings["problems"]) == (0, []), findings
    assert findings["facts"]["table log"].endswith(" commits and 0 checkpoints read")
    assert "healthy" in run("doctor", "--data", data)
    spans = pathlib.Path(data) / "default" / "spans"
    for pattern, words in (
        ("date=*/*.parquet", "checksum"),
        ("_sidecars/*.sidecar", "sidecar"),
        ("_sidecars/*.rollup", "rollup"),
    ):
        (file,) = spans.glob(pattern)
        whole = file.read_bytes()
        damage(file, len(whole) // 2)
        assert doctor(data)[0] == 0, "without --scrub only sizes are compared"
        code, findings = doctor(data, "--scrub")
        (problem,) = findings["problems"]
        assert code == 1 and words in problem and file.stem.split("-")[-1] in problem, problem
        file.write_bytes(whole)
    (file,) = spans.glob("date=*/*.parquet")
    file.rename(tmp_path / "away")
    code, findings = doctor(data)
    assert code == 1 and "not there" in findings["problems"][0], findings
    (tmp_path / "away").rename(file)
    assert doctor(data, "--scrub")[0] == 0


def test_a_file_in_zstd_is_imported_once(tmp_path):
    file = shop(tmp_path)
    compressed = tmp_path / "shop.jsonl.zst"
    # pyarrow brings zstd along.
    import pyarrow

    with pyarrow.CompressedOutputStream(str(compressed), "zstd") as out:
        out.write(file.read_bytes())
    data = str(tmp_path / "data")
    for _ in range(2):
        run("import", "--data", data, str(compressed))
    rows = json.loads(run("query", "--data", data, "--format", "json", "SELECT count(*) AS n FROM spans"))
    assert rows == [{"n": 5}]


def test_an_import_shows_its_progress_on_a_terminal_and_only_there(tmp_path):
    file = tmp_path / "many.jsonl"
    file.write_text("".join(line([span(trace, trace, "x")]) for trace in range(1, 20_000)))
    command = [str(BINARY), "import", "--data", str(tmp_path / "data"), str(file)]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
    words = process.communicate(timeout=60)[0].decode()
    os.close(ours)
    assert process.returncode == 0 and "19,999 spans" in words, words
    assert b"\x1b[" in shown and b"19,999 spans" in shown and b"left" in shown, shown[-400:]
    quiet = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert quiet.returncode == 0 and "\x1b[" not in quiet.stderr + quiet.stdout, quiet.stderr
