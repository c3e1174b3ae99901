"""A web server on this machine that is busy, or sends without end; a bucket of S3 where that is asked for."""

from __future__ import annotations

import http.server
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

ENDLESS = b"\x00\xff" * 2**19

Body = Literal["endless", "false length"]


@dataclass
class Server:
    """What the server does, by a pattern of paths, and what it was asked.

    Attributes
    ----------
    folder : Path
        Whose files it sends.
    url : str
    bodies : dict
        Of an answer that has no end.
    busy : dict
        Status, and how many requests to each path get it.
    headers : dict
        Of answers that the server is busy.
    """

    folder: Path
    url: str = ""
    bodies: dict[str, Body] = field(default_factory=dict)
    busy: dict[str, tuple[int, int]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def asked(self, pattern: str) -> int:
        """How many requests there were to paths that a pattern is found in."""
        return sum(n for path, n in self.requests.items() if re.search(pattern, path))

    @property
    def s3_options(self) -> dict[str, Any]:
        """Storage options for which the folders of the server are buckets."""
        return {"key": "k", "secret": "s", "client_kwargs": {"endpoint_url": self.url}}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        told = self.server_of
        path = self.path.partition("?")[0]
        told.requests[path] += 1
        for pattern, (status, times) in told.busy.items():
            if re.search(pattern, path) and told.requests[path] <= times:
                return self._send(status, b"", told.headers)
        for pattern, body in told.bodies.items():
            if re.search(pattern, path):
                return self._send_on(body)
        file = told.folder / path.lstrip("/")
        if not file.is_file():
            return self._send(404, b"")
        content, part = file.read_bytes(), self.headers.get("Range")
        if part is None:
            return self._send(200, content)
        start, end = part.removeprefix("bytes=").split("-")
        first = int(start) if start else len(content) - int(end)
        last = min(int(end), len(content) - 1) if start and end else len(content) - 1
        where = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return self._send(206, content[first : last + 1], where)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def _send_on(self, body: Body) -> None:
        self.send_response(200, "OK")
        if body == "endless":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(2**50))
        self.end_headers()
        self.close_connection = True
        start, end = (b"%x\r\n" % len(ENDLESS), b"\r\n") if body == "endless" else (b"", b"")
        try:
            while self.command == "GET":
                self.wfile.write(start + ENDLESS + end)
        except OSError:
            return  # the reader has gone

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            return  # the reader has gone

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


class PatientServer(http.server.ThreadingHTTPServer):
    """Takes as many connections at once as a reader opens; the default of 5 leaves others unanswered."""

    request_queue_size = 1024


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve the files of a folder, as long as the context lasts."""
    told = Server(folder)
    handler = type("Handler", (_Handler,), {"server_of": told})
    server = PatientServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
