"""What the harnesses share: a server, senders that write down every answer, and the comparison afterwards.

The promise that all of them test: what was acknowledged is there exactly once, what got no answer once or not at all, what was
refused for good or never sent is not there."""

import collections
import gzip
import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from ports import free_ports  # noqa: E402

BINARY = pathlib.Path(os.environ.get("SPANLAKE_BINARY", ROOT / "target" / "debug" / "spanlake"))

SPANS_PER_REQUEST = 10
ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"

#: Everything often and small, so that a second of load passes every step many times.
BUSY = {
    "ttl": "never",
    "storage.flush_interval": "150ms",
    "storage.compact_interval": "100ms",
    "storage.upkeep_interval": "400ms",
    # Longer than the questions of the comparison take.
    "storage.delete_grace": "2s",
    # A machine with much else to do is no fault.
    "query.time_max": "5m",
    "storage.wal_bytes_max": "32MiB",
    "storage.disk_free_bytes_min": "8MiB",
}


class Ended(Exception):
    """The server process ended."""


class Server:
    """One `spanlake serve`; `before` are words in front of the command, such as strace's."""

    def __init__(self, data, log: pathlib.Path, settings: dict | None = None, before=(), env=None, flags=()):
        self.log = log
        self.start_of_log = log.stat().st_size if log.exists() else 0
        names = ("grpc", "http", "zipkin", "ui", "sampling")
        self.ports = dict(zip(names, free_ports(len(names))))
        command = [*before, str(BINARY), "serve", "--data", str(data), *flags]
        for name, port in self.ports.items():
            command += [f"--{name}-listen", f"127.0.0.1:{port}"]
        for key, value in {**BUSY, **(settings or {})}.items():
            command += ["--set", f"{key}={value}"]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
            )

    def wait_until_ready(self, seconds: float = 60) -> float:
        """Returns how long it took."""

        def ready():
            if self.process.poll() is not None:
                raise Ended(f"server exited {self.process.returncode}:\n{self.words()}")
            return self.get("/readyz")[0] == 200

        return wait_for(self, ready, "the start", seconds)

    def words(self) -> str:
        """What this process has logged."""
        return self.log.read_bytes()[self.start_of_log :].decode(errors="replace")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.ports['ui']}{path}"

    def get(self, path: str, timeout: float = 30) -> tuple[int, str]:
        """0 where there was no answer."""
        return self.call(urllib.request.Request(self.url(path)), timeout)

    def post(self, path: str, body: bytes = b"", token: str | None = None, timeout=60) -> tuple[int, str]:
        headers = {"Content-Type": "text/plain"}
        if token:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self.call(urllib.request.Request(self.url(path), body, headers, method="POST"), timeout)

    def call(self, request, timeout: float) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)

    def sql(self, text: str) -> list[dict]:
        for _ in range(3):
            status, body = self.post("/api/v1/sql", text.encode())
            # A machine that was paused in between has overstepped the time limit; a gone server will not come back.
            if status not in (0, 503, 504) or self.process.poll() is not None:
                break
        assert status == 200, f"{text}: {status} {body}\n{self.words()[-4000:]}"
        return json.loads(body)

    def metric(self, name: str) -> float:
        """The sum over all labels."""
        status, body = self.get("/metrics")
        assert status == 200, body
        samples = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", body, re.M)
        assert samples, f"no {name} in /metrics"
        return sum(float(sample) for sample in samples)

    def token(self) -> str:
        return re.search(r"trc_[A-Za-z0-9_-]+", self.log.read_text(errors="replace")).group(0)

    def flush(self):
        status, body = self.post("/api/v1/flush", token=self.token())
        assert status < 300 and status, body

    def signal(self, which):
        if self.process.poll() is None:
            self.process.send_signal(which)

    def kill(self):
        """As `kill -9`, also of a process that is stopped."""
        self.signal(signal.SIGKILL)
        self.process.wait(timeout=60)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


#: One request: (client, number).
Request = tuple[int, int]


class Journal:
    """What the clients know about each request."""

    def __init__(self):
        self.states: dict[Request, str] = {}
        self.next = 0
        self.lock = threading.Lock()
        #: When the newest acknowledgement came.
        self.acknowledged_at = 0.0

    def take(self) -> int:
        with self.lock:
            self.next += 1
            return self.next

    def note(self, request: Request, state: str):
        with self.lock:
            # An acknowledgement outranks an earlier silence; a refusal does not: the first try may have been stored.
            if state == ACKNOWLEDGED or request not in self.states:
                self.states[request] = state
            if state == ACKNOWLEDGED:
                self.acknowledged_at = time.monotonic()

    def count(self, state: str = ACKNOWLEDGED) -> int:
        with self.lock:
            return sum(1 for one in self.states.values() if one == state)

    def unanswered(self) -> list[Request]:
        with self.lock:
            return [request for request, state in self.states.items() if state == UNKNOWN]


#: Yesterday at midnight: the same for a whole run, so that a request sent again has the same bytes.
BASE = (time.time_ns() // (86_400 * 10**9) - 1) * 86_400 * 10**9


def otlp(request: Request) -> bytes:
    client, number = request
    spans = [
        {
            "traceId": f"{(client << 64) + number:032x}",
            "spanId": f"{number * SPANS_PER_REQUEST + index + 1:016x}",
            "name": f"operation {index}",
            "kind": 2,
            "startTimeUnixNano": str(BASE + number * 1_000_000 + index),
            "endTimeUnixNano": str(BASE + number * 1_000_000 + index + 1_000),
            "attributes": [
                {"key": key, "value": {"intValue": str(value)}}
                for key, value in (("client", client), ("number", number), ("index", index))
            ],
        }
        for index in range(SPANS_PER_REQUEST)
    ]
    service = {"key": "service.name", "value": {"stringValue": f"service {number % 5}"}}
    body = {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]}
    return json.dumps(body).encode()


def zipkin(request: Request) -> bytes:
    client, number = request
    return json.dumps(
        [
            {
                "traceId": f"{(client << 64) + number:032x}",
                "id": f"{number * SPANS_PER_REQUEST + index + 1:016x}",
                "name": f"operation {index}",
                "timestamp": BASE // 1000 + number * 1000 + index,
                "duration": 1,
                "localEndpoint": {"serviceName": f"service {number % 5}"},
                "tags": {"client": str(client), "number": str(number), "index": str(index)},
            }
            for index in range(SPANS_PER_REQUEST)
        ]
    ).encode()


class Sender:
    """One client on one kept connection: OTLP JSON, the same with gzip, or Zipkin, by its number."""

    def __init__(self, server: Server, client: int):
        self.client = client
        self.door = "zipkin" if client % 3 == 2 else "http"
        self.path = "/api/v2/spans" if self.door == "zipkin" else "/v1/traces"
        self.connection = http.client.HTTPConnection("127.0.0.1", server.ports[self.door], timeout=20)

    def send(self, request: Request) -> tuple[str, int, dict]:
        headers = {"Content-Type": "application/json"}
        body = zipkin(request) if self.door == "zipkin" else otlp(request)
        if self.client % 3 == 1:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1, mtime=0)
        try:
            self.connection.request("POST", self.path, body, headers)
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return UNKNOWN, 0, {}
        if answer.status < 300:
            return ACKNOWLEDGED, answer.status, dict(answer.headers)
        # 429 and 503 promise nothing: a write that failed half may still be there.
        state = UNKNOWN if answer.status in (429, 503) else REFUSED
        return state, answer.status, dict(answer.headers)


class Load:
    """Clients that send until told to stop; half of what got no answer before is sent again, byte for byte."""

    def __init__(self, server: Server, journal: Journal, clients: int = 3):
        self.ended = threading.Event()
        self.statuses = collections.Counter()
        #: Refusals without a time to try again.
        self.impolite = 0
        again = [request for request in journal.unanswered() if request[1] % 2 == 0]
        self.threads = [
            threading.Thread(target=self.run, args=(server, journal, client, again), daemon=True)
            for client in range(clients)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, server, journal, client, again):
        sender = Sender(server, client)
        waiting = [request for request in again if request[0] == client]
        while not self.ended.is_set():
            request = waiting.pop() if waiting else (client, journal.take())
            state, status, headers = sender.send(request)
            journal.note(request, state)
            self.statuses[status] += 1
            if status in (429, 503):
                self.impolite += "retry-after" not in {name.lower() for name in headers}
                time.sleep(0.02)
            elif status == 0:
                time.sleep(0.005)

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "a client hangs"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


STORED = """
    SELECT client, number, count(*) AS spans, min(copies) AS low, max(copies) AS high
    FROM (SELECT attributes['client'] AS client, attributes['number'] AS number,
                 attributes['index'] AS i, count(*) AS copies FROM spans GROUP BY 1, 2, 3) AS s
    GROUP BY 1, 2
"""


def check(server: Server, journal: Journal) -> int:
    """Compares what is there with what was answered; returns the requests that are there."""
    stored = {}
    for row in server.sql(STORED):
        request = (int(row["client"]), int(row["number"]))
        assert (row["spans"], row["low"], row["high"]) == (SPANS_PER_REQUEST, 1, 1), f"{request}: {row}"
        stored[request] = True
    lost = [request for request, state in journal.states.items() if state == ACKNOWLEDGED and request not in stored]
    assert not lost, f"{len(lost)} acknowledged requests were lost, such as {sorted(lost)[:5]}\n{server.words()[-3000:]}"
    phantoms = [request for request in stored if journal.states.get(request) in (None, REFUSED)]
    assert not phantoms, f"{len(phantoms)} requests were refused or never sent: {sorted(phantoms)[:5]}"
    assert server.metric("spanlake_panics_total") == 0, server.words()
    return len(stored)


def doctor(data, *flags: str, env=None) -> tuple[int, dict]:
    """`spanlake doctor --scrub`."""
    done = subprocess.run(
        [str(BINARY), "doctor", "--scrub", "--format", "json", "--data", str(data), *flags],
        capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})},
    )
    findings = json.loads(done.stdout) if done.stdout else {"problems": [done.stderr]}
    return done.returncode, findings


def must_be_healthy(data, *flags: str, env=None):
    code, findings = doctor(data, *flags, env=env)
    assert code == 0, findings


#: Longer than the questions of the comparison take on a machine that has much else to do.
CALM = {"storage.delete_grace": "2m"}


def comes_back_whole(data, log, journal: Journal):
    """Starts a server once more: it has what the journal says and ends in peace."""
    server = Server(data, log, CALM)
    try:
        server.wait_until_ready()
        check(server, journal)
        assert server.stop() == 0, server.words()
    finally:
        server.kill()


def wait_for(server: Server, condition, what: str, seconds: float) -> float:
    """Returns how long it took. A pause of the whole machine does not count."""
    took, last = 0.0, time.monotonic()
    while not condition():
        assert took < seconds, f"{what} took more than {seconds} s\n{server.words()[-3000:]}"
        time.sleep(0.02)
        now = time.monotonic()
        took += min(now - last, 0.25)
        last = now
    return took


class Random(random.Random):
    """Seeded; prints its seed, so that a failure can be repeated."""

    def __init__(self, seed: int):
        super().__init__(seed)
        print(f"seed {seed}")
