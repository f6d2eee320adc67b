"""A small HTTP server for metrics and health checks. It serves each client in a thread of its own, so a
slow client blocks no other."""

from __future__ import annotations

import errno
import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from sensorflow.errors import Code, UsageError
from sensorflow.telemetry import Event, emit

CLIENT_SECONDS = 10.0
"""Seconds after which a client that sends or reads nothing is disconnected."""
CLIENTS = 64
"""Maximum number of clients that are served at the same time. Further clients are disconnected."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    kind: str = "application/json"

    @classmethod
    def of(cls, facts: Mapping[str, Any], status: int = HTTPStatus.OK) -> Reply:
        """Create a reply whose body is a JSON object."""
        return cls(status, json.dumps(facts).encode() + b"\n")


Routes = Mapping[str, Callable[[], Reply]]
"""Path -> function that returns the reply."""


class Server:
    """An HTTP server in a thread of its own. It answers GET and HEAD. host: name or address to listen on;
    "" for all IPv4 addresses. port: port to listen on; 0 for any free port.

    The constructor binds the port. Raises UsageError if the port cannot be bound.
    """

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        try:
            self._server = _Server(host, port, routes)
        except (OSError, OverflowError) as error:
            raise UsageError(_reason(host, port, error), Code.SETTINGS) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="http", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self.routes = routes
        self._free = threading.BoundedSemaphore(CLIENTS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind the port without the name lookup of the base class, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of connections, because clients may disconnect at any time."""


class _Handler(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        route = self.server.routes.get(urlsplit(self.path).path)
        if route is None:
            self._send(Reply.of({"error": "not found"}, HTTPStatus.NOT_FOUND))
            return
        try:
            reply = route()
        except Exception:  # noqa: BLE001 - a client sees no traceback
            emit(Event.DEFECT, exc_info=True)
            reply = Reply.of({"error": "internal error"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(reply)

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not GET or HEAD, or that is not valid HTTP."""
        self._send(Reply.of({"error": message or HTTPStatus(code).phrase}, code))
        self.close_connection = True

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def version_string(self) -> str:
        return "sensorflow"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Do nothing, so that requests are not logged."""


def _reason(host: str, port: int, error: OSError | OverflowError) -> str:
    number = getattr(error, "errno", None)
    place = f"{host or '*'}:{port}"
    if number == errno.EADDRINUSE:
        return f"{place}: the port is in use; end the program that uses it, or choose another port"
    if number == errno.EACCES:
        return f"{place}: this user may not use the port; choose one above 1023"
    if isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
        return f"{place}: this host has no such address; use 127.0.0.1, or 0.0.0.0 for all"
    return f"{place}: cannot listen: {error}"
