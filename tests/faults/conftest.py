"""How long the harnesses run, and what the machine must have for them.

    python -m pytest tests/faults                                   the short forms, as the gate runs them
    python -m pytest tests/faults -s -k power_cut --cycles 100      one harness in its long form

A harness whose facility is absent (root, loop devices, strace) says so and is skipped."""

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from rig import Random  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--cycles", type=int, default=None, help="rounds of each harness; default: a few")
    parser.addoption("--seed", type=int, default=None, help="seed of what is random; default: by the clock")
    parser.addoption("--record", default=None, help="file to which each harness adds its figures, a line of JSON each")


@pytest.fixture
def cycles(request):
    """`cycles(short)`: rounds to run."""
    return lambda short: request.config.getoption("--cycles") or short


@pytest.fixture
def seeded(request):
    seed = request.config.getoption("--seed")
    return Random(time.time_ns() % 1_000_000 if seed is None else seed)


@pytest.fixture
def record(request):
    """Prints the figures of a harness, and keeps them where asked."""

    def note(**figures):
        line = json.dumps({"fault": request.node.name, "day": time.strftime("%Y-%m-%d"), **figures})
        print(line)
        if path := request.config.getoption("--record"):
            with open(path, "a") as file:
                file.write(line + "\n")

    return note


def need(condition: bool, what: str):
    if not condition:
        pytest.skip(what)


@pytest.fixture(scope="session")
def own_mounts():
    """Mounts of this process are seen by it and its children only."""
    need(os.geteuid() == 0, "mounting file systems needs root")
    libc = ctypes.CDLL(None, use_errno=True)
    need(libc.unshare(0x00020000) == 0, "this machine gives no mount namespace")
    done = subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True, text=True)
    need(done.returncode == 0, f"mounts cannot be made private: {done.stderr}")


@pytest.fixture(scope="session")
def strace():
    """The words in front of a command that inject a fault: `strace(log, "fsync:error=EIO:when=3")`."""
    need(shutil.which("strace") is not None, "strace is not installed")
    probe = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-e", "inject=fsync:error=EIO", "true"], capture_output=True, text=True
    )
    need(probe.returncode == 0, f"strace cannot trace here: {probe.stderr.strip()[-200:]}")

    def words(log: pathlib.Path, *injections: str) -> list[str]:
        calls = sorted({injection.split(":")[0] for injection in injections})
        command = ["strace", "-D", "-f", "-qq", "-y", "-ttt", "-o", str(log)]
        # Stops at the traced calls only; strace sends no signals then.
        command += ["--seccomp-bpf"] if not any("signal=" in injection for injection in injections) else []
        command += ["-e", f"trace={','.join(calls)}", "-e", "signal=none"]
        for injection in injections:
            command += ["-e", f"inject={injection}"]
        return command

    return words


class Bucket:
    """A table in an object store behind a proxy that fails where it is told to."""

    table = "s3://traces/prefix"
    #: A local disk behind a network: flushes take a while.
    settings = {
        "storage.flush_interval": "300ms",
        "storage.compact_interval": "300ms",
        "storage.delete_grace": "2s",
    }

    def __init__(self, proxy):
        self.proxy = proxy
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT": f"http://127.0.0.1:{proxy.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
        }


@pytest.fixture
def bucket(tmp_path, seeded):
    pytest.importorskip("moto", reason="moto is not installed (tests/clients/requirements.txt)")
    import urllib.request

    from bucket import Proxy
    from rig import free_ports

    (port,) = free_ports(1)
    with (tmp_path / "moto.log").open("wb") as log:
        moto = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
    try:
        for _ in range(600):
            try:
                make = urllib.request.Request(f"http://127.0.0.1:{port}/traces", method="PUT")
                urllib.request.urlopen(make, timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Bucket(Proxy(("127.0.0.1", port), seeded.randrange(1 << 30)))
    finally:
        moto.terminate()
        moto.wait(timeout=30)
