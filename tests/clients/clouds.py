"""Emulators of Azure's and Google's object stores: installed where they are absent, by npm and by Go."""

import base64
import email.utils
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time
import urllib.parse

import pytest
import requests
from conftest import ROOT
from ports import free_ports

AZURITE = "azurite@3.35.0"
FAKE_GCS = "github.com/fsouza/fake-gcs-server@v1.56.1"
#: Where they are installed, once for all runs.
TOOLS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "clients-emulators"

#: Azurite's account, the same everywhere.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def install(program: pathlib.Path, tool: str, command: list[str], environment: dict) -> pathlib.Path:
    """`program`, installed by `command` where it is not there yet; skips the test where that is not possible."""
    if program.exists():
        return program
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    TOOLS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env={**os.environ, **environment})
    if not program.exists():
        pytest.skip(f"{program.name} cannot be installed here: {done.stderr.strip()[-200:]}")
    return program


def started(command: list[str], url: str, log: pathlib.Path) -> subprocess.Popen:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    deadline = time.monotonic() + 60
    while True:
        try:
            requests.get(url, timeout=2)
            return process
        except requests.RequestException:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


class Azure:
    """A container in Azurite."""

    table = "az://traces/prefix"

    def __init__(self, folder: pathlib.Path):
        npm = ["npm", "install", "--prefix", str(TOOLS), "--no-audit", "--no-fund", "--ignore-scripts", AZURITE]
        program = install(TOOLS / "node_modules/.bin/azurite-blob", "npm", npm, {})
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}/{ACCOUNT}"
        command = [str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
        command += ["--location", str(folder / "azurite"), "--skipApiVersionCheck"]
        self.process = started(command, self.url, folder / "azurite.log")
        self.environment = {
            "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": KEY,
            "AZURE_ENDPOINT": self.url,
            "AZURE_ALLOW_HTTP": "true",
        }
        self.call("PUT", "restype:container")

    def call(self, method: str, *query: str) -> str:
        """A signed request about the container."""
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
        lines = [method] + [""] * 11 + [f"{name}:{value}" for name, value in sorted(headers.items())]
        lines += [f"/{ACCOUNT}/{ACCOUNT}/traces", *sorted(query)]
        digest = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        params = dict(pair.split(":") for pair in query)
        answer = requests.request(method, f"{self.url}/traces", params=params, headers=headers, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.text

    def keys(self) -> list[str]:
        return re.findall(r"<Name>([^<]*)</Name>", self.call("GET", "comp:list", "restype:container"))

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


class Google:
    """A bucket in fake-gcs-server. It speaks Google's JSON API; the client speaks the XML API, so a door in front
    of it translates uploads, and does what its lists leave out."""

    table = "gs://traces/prefix"

    def __init__(self, folder: pathlib.Path):
        go = ["go", "install", FAKE_GCS]
        program = install(TOOLS / "fake-gcs-server", "go", go, {"GOBIN": str(TOOLS)})
        behind, port = free_ports(2)
        # Lists and downloads are found by the name that the client calls: that of the door.
        command = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(behind), "-backend", "memory"]
        command += ["-public-host", f"127.0.0.1:{port}"]
        self.behind = f"http://127.0.0.1:{behind}/storage/v1/b"
        self.process = started(command, self.behind, folder / "fake-gcs-server.log")
        made = requests.post(f"{self.behind}?project=test", json={"name": "traces"}, timeout=30)
        assert made.status_code == 200, made.text
        self.door = http.server.ThreadingHTTPServer(("127.0.0.1", port), type("Door", (Door,), {"behind": behind}))
        self.door.daemon_threads = True
        threading.Thread(target=self.door.serve_forever, daemon=True).start()
        account = {
            "gcs_base_url": f"http://127.0.0.1:{port}",
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        self.environment = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}

    def keys(self) -> list[str]:
        items = requests.get(f"{self.behind}/traces/o", timeout=30).json().get("items", [])
        return [item["name"] for item in items]

    def stop(self):
        self.door.shutdown()
        self.door.server_close()
        self.process.terminate()
        self.process.wait(timeout=30)


class Door(http.server.BaseHTTPRequestHandler):
    """Google's XML API before its JSON API: only what differs."""

    protocol_version = "HTTP/1.1"
    behind = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(path.query)
        status, headers, body = self.pass_on(self.command, self.path)
        if "list-type" in query:
            body = after(body, query.get("start-after", [""])[0])
        self.answer(status, headers, body)

    do_HEAD = do_DELETE = do_GET

    def do_PUT(self):
        bucket, name = urllib.parse.urlsplit(self.path).path.lstrip("/").split("/", 1)
        query = {"uploadType": "media", "name": urllib.parse.unquote(name)}
        if (generation := self.headers.get("x-goog-if-generation-match")) is not None:
            query["ifGenerationMatch"] = generation
        path = f"/upload/storage/v1/b/{bucket}/o?{urllib.parse.urlencode(query)}"
        status, headers, body = self.pass_on("POST", path)
        if status == 200:
            stored = json.loads(body)
            headers = [("ETag", stored["etag"]), ("x-goog-generation", stored["generation"])]
            body = b""
        self.answer(status, headers, body)

    def pass_on(self, method: str, path: str):
        length = int(self.headers.get("Content-Length") or 0)
        connection = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=60)
        kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection.request(method, path, self.rfile.read(length), kept)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.getheaders(), body

    def answer(self, status: int, headers: list, body: bytes):
        self.send_response_only(status)
        length = len(body)
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = int(value)
            elif name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)


def after(body: bytes, first: str) -> bytes:
    """A list without what is not behind `first`."""

    def kept(found) -> bytes:
        key = re.search(rb"<Key>([^<]*)</Key>", found[0])[1].decode()
        return found[0] if key > first else b""

    return re.sub(rb"<Contents>.*?</Contents>", kept, body, flags=re.S)
