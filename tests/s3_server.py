"""An S3 server for the tests: moto behind a layer that counts requests and can refuse some of them.

It runs in an interpreter that has ``moto[server]``, which need not be the one of the tests:
``python s3_server.py PORT``. A POST to ``/-/control`` with JSON sets rules and the delay of each request,
and returns the requests since the last one.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

Start = Callable[[str, list[tuple[str, str]]], Any]


CONDITIONS = frozenset({"HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"})


class Control:
    """Passes requests on to moto; notes each of them, and refuses what a rule says."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._rules: list[dict[str, Any]] = []
        self._seen: list[tuple[str, str]] = []
        self._delay = 0.0

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/-/control":
            return self._set(environ, start)
        kind, path = _kind_of(environ), environ.get("RAW_URI") or environ["PATH_INFO"]
        with self._lock:
            self._seen.append((kind, path))
            status = self._refusal(kind, path, is_conditional=bool(CONDITIONS & environ.keys()))
        time.sleep(self._delay)
        if status is None:
            passed: Iterable[bytes] = self._moto(environ, start)
            return passed
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return _answer(start, status, b"" if kind == "HEAD" else _error(status))

    def _refusal(self, kind: str, path: str, *, is_conditional: bool) -> int | None:
        for rule in self._rules:
            if rule.get("conditional") and not is_conditional:
                continue
            if rule.get("kind", kind) == kind and re.search(rule.get("path", ""), path):
                if rule.get("skip", 0):
                    rule["skip"] -= 1
                    continue
                return int(rule["status"])
        return None

    def _set(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        wanted = json.loads(body)
        with self._lock:
            seen, self._seen = self._seen, []
            self._rules = wanted.get("rules", self._rules)
            self._delay = wanted.get("delay", self._delay)
        return _answer(start, 200, json.dumps(seen).encode())


def _kind_of(environ: dict[str, Any]) -> str:
    method, query = environ["REQUEST_METHOD"], environ.get("QUERY_STRING", "")
    if method == "GET" and "list-type=2" in query:
        return "LIST"
    return "DELETE-MANY" if method == "POST" and "delete" in query else str(method)


CODES = {403: "AccessDenied", 404: "NoSuchKey", 501: "NotImplemented", 503: "SlowDown"}


def _error(status: int) -> bytes:
    code = CODES.get(status, "InternalError")
    return (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a rule</Message></Error>".encode()
    )


def _answer(start: Start, status: int, body: bytes) -> list[bytes]:
    start(f"{status} -", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]


class Quiet(WSGIRequestHandler):
    """Says nothing of requests, and keeps connections."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        """Say nothing."""


if __name__ == "__main__":
    port = int(sys.argv[1])
    server = make_server("127.0.0.1", port, Control(), threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    print("ready", flush=True)
    server.serve_forever()
