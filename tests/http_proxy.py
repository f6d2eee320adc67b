"""An HTTP proxy in front of a server of buckets: counts requests, and answers some of them itself."""

from __future__ import annotations

import http.client
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Request:
    """number: how many requests came before. path: with the query. range: the header, or ""."""

    number: int
    method: str
    path: str
    range: str


@dataclass(frozen=True)
class Answer:
    """An answer of the proxy's own."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """The server's answer, but the connection is reset after so many bytes of its body; None: before its
    status."""

    after_bytes: int | None


Rule = Callable[[Request], Answer | Cut | None]
"""What to do with a request; None: carry it to the server."""


def s3_error(status: int, code: str, message: str = "no") -> Answer:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


class HttpProxy:
    """Listens on a free port of 127.0.0.1. `rule` may be changed at any time."""

    def __init__(self, target_port: int, rule: Rule = lambda _: None) -> None:
        self.rule = rule
        self.requests: list[Request] = []
        self.most_at_once = 0
        """The largest number of requests that were in flight at the same time."""
        self._target, self._lock, self._now = target_port, threading.Lock(), 0
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)

    def __enter__(self) -> HttpProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    # --- for the connections ---

    def begin(self, method: str, path: str, range_: str) -> Answer | Cut | None:
        with self._lock:
            request = Request(len(self.requests), method, path, range_)
            self.requests.append(request)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        return self.rule(request)

    def end(self) -> None:
        with self._lock:
            self._now -= 1

    def carry(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed resets its connection, which is no error here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    owner: HttpProxy
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            todo, answer = self._answer(body)
            self._send(*answer, None if isinstance(todo, Answer) else todo)
        except OSError:  # the server or the client is gone
            self.close_connection = True

    def _answer(
        self, body: bytes
    ) -> tuple[Answer | Cut | None, tuple[int, list[tuple[str, str]], bytes]]:
        """The request is in flight until its answer is sent: then the client may send the next one."""
        todo = self.owner.begin(self.command, self.path, self.headers.get("Range", ""))
        try:
            if isinstance(todo, Answer):
                return todo, (todo.status, list(todo.headers.items()), todo.body)
            return todo, self.owner.carry(self.command, self.path, dict(self.headers.items()), body)
        except http.client.HTTPException as error:
            raise ConnectionResetError from error
        finally:
            self.owner.end()

    def _send(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: Cut | None = None
    ) -> None:
        if cut is not None and cut.after_bytes is None:
            raise ConnectionResetError
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if cut is not None and len(body) > (cut.after_bytes or 0):
            self.wfile.write(body[: cut.after_bytes])
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        pass
