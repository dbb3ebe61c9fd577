"""What every test here shares: a real `spanlake` process on ports of its own, and SQL against it."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import requests

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from ports import free_ports  # noqa: E402

BINARY = pathlib.Path(os.environ.get("SPANLAKE_BINARY", ROOT / "target" / "debug" / "spanlake"))
DATA = pathlib.Path(os.environ.get("SPANLAKE_TEST_DATA", ROOT.parent / "shared" / "data"))


class Server:
    """One server process. `data` is a folder or an object-store URL."""

    def __init__(self, data: str, log: pathlib.Path, extra: list[str] = (), env: dict = None):
        self.data = data
        self.log = log
        self.extra = list(extra)
        self.env = {**os.environ, **(env or {})}
        doors = ("grpc", "http", "zipkin", "ui", "sampling", "postgres", "flight")
        self.ports = dict(zip(doors, free_ports(len(doors))))
        self.host = "127.0.0.1"
        self.process = None

    def start(self):
        command = [str(BINARY), "serve", "--data", self.data]
        for name, port in self.ports.items():
            command += [f"--{name}-listen", f"{self.host}:{port}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command + self.extra, stdout=log, stderr=subprocess.STDOUT, env=self.env
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"server exited {self.process.returncode}:\n{self.log.read_text()}")
            try:
                # 401: ready, but not for everybody.
                if requests.get(self.url("/readyz"), timeout=2).status_code in (200, 401):
                    return self
            except requests.ConnectionError:
                time.sleep(0.05)
        raise AssertionError(f"server not ready after 60 s:\n{self.log.read_text()}")

    def url(self, path: str, door: str = "ui") -> str:
        return f"http://127.0.0.1:{self.ports[door]}{path}"

    def sql(self, text: str) -> list[dict]:
        answer = requests.post(self.url("/api/v1/sql"), data=text.encode(), timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def admin_token(self) -> str:
        return re.search(r"trc_[A-Za-z0-9_-]+", self.log.read_text()).group(0)

    def flush(self):
        bearer = {"Authorization": f"Bearer {self.admin_token()}"}
        answer = requests.post(self.url("/api/v1/flush"), headers=bearer, timeout=60)
        assert answer.status_code < 300, answer.text

    def stop(self, how=signal.SIGTERM) -> int:
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=60)


@pytest.fixture
def server(tmp_path):
    running = Server(str(tmp_path / "data"), tmp_path / "server.log").start()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def data_sets() -> pathlib.Path:
    if not DATA.is_dir():
        pytest.skip(f"the real data sets are absent ({DATA}); set SPANLAKE_TEST_DATA to their folder")
    return DATA
