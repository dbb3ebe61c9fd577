"""An object store (moto, on loopback) behind a proxy that fails and lies."""

import http.client
import http.server
import random
import threading
import time

PROFILES = ("latency", "slow", "errors", "reset", "truncated", "lost answers", "conflicts", "stale lists", "failing deletes")


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to `target`, except for what `profile` says. Every fault hits one request in `one_in`."""

    daemon_threads = True

    def __init__(self, target: tuple[str, int], seed: int):
        super().__init__(("127.0.0.1", 0), Handler)
        self.target, self.random, self.lock = target, random.Random(seed), threading.Lock()
        self.profile, self.one_in = None, 3
        self.faults, self.requests = {name: 0 for name in PROFILES}, 0
        self.lists = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def hits(self) -> bool:
        with self.lock:
            self.requests += 1
            return self.random.randrange(self.one_in) == 0

    def handle_error(self, request, client_address):
        """Clients go away; that is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server, profile = self.server, self.server.profile
        # What a profile does not concern is not counted as hit.
        if profile and self.concerns(profile) and server.hits():
            server.faults[profile] += 1
            return getattr(self, profile.replace(" ", "_"))(body)
        return self.answer(*self.forward(body))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

    def concerns(self, profile: str) -> bool:
        is_list = self.command == "GET" and "list-type=2" in self.path
        return {
            "truncated": self.command == "GET" and not is_list,
            "lost answers": self.command in ("PUT", "POST", "DELETE"),
            "conflicts": self.command == "PUT" and "If-None-Match" in self.headers,
            "stale lists": is_list,
            "failing deletes": self.command == "DELETE" or "?delete" in self.path,
        }.get(profile, True)

    def forward(self, body: bytes):
        connection = http.client.HTTPConnection(*self.server.target, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        headers = [(name, value) for name, value in answer.getheaders()
                   if name.lower() not in ("content-length", "transfer-encoding", "connection", "server", "date")]
        length = answer.getheader("Content-Length")
        if self.command == "GET" and "list-type=2" in self.path:
            self.server.lists[self.path] = (answer.status, headers, content, None)
        return answer.status, headers, content, length if self.command == "HEAD" else None

    def head(self, status, headers, content, length):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length if length is not None else str(len(content)))
        self.end_headers()

    def answer(self, status, headers, content, length=None):
        self.head(status, headers, content, length)
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, status: int, code: str):
        words = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>planted</Message></Error>"
        self.answer(status, [("Content-Type", "application/xml")], words.encode())

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def latency(self, body):
        time.sleep(self.server.random.uniform(0.05, 0.4))
        self.answer(*self.forward(body))

    def slow(self, body):
        status, headers, content, length = self.forward(body)
        self.head(status, headers, content, length)
        if self.command != "HEAD":
            pause = 0.5 / max(1, len(content) // 4096)
            for at in range(0, len(content), 4096):
                self.wfile.write(content[at : at + 4096])
                time.sleep(pause)

    def errors(self, _):
        status, code = self.server.random.choice([(500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")])
        self.refuse(status, code)

    def reset(self, _):
        self.hang_up()

    def truncated(self, body):
        status, headers, content, _ = self.forward(body)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.hang_up()

    def lost_answers(self, body):
        self.forward(body)
        self.hang_up()

    def conflicts(self, body):
        if self.server.random.randrange(2):
            return self.refuse(409, "ConditionalRequestConflict")
        # It took effect; a retry below saw its own object.
        self.forward(body)
        self.refuse(412, "PreconditionFailed")

    def stale_lists(self, body):
        old = self.server.lists.get(self.path)
        self.answer(*(old or self.forward(body)))

    def failing_deletes(self, _):
        self.refuse(500, "InternalError")
