"""A TCP proxy in front of a server: the network's faults, switched on while connections are open.

One process cannot drop packets on the wire: what a sender's kernel has handed over is acknowledged, so
that timers such as TCP_USER_TIMEOUT do not run out. All else looks as it does behind a broken switch.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from types import TracebackType
from urllib.parse import urlsplit

BLOCK = 1 << 16
COMMIT = b"COMMIT\0"
"""As it ends a simple query of PostgreSQL's protocol, and the tag of the server's answer to it."""


class _Connection:
    """One client and its server; two threads carry bytes until either side ends or it is reset."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self.client = client
        self.server: socket.socket | None = None
        self._alarm, self._wake = socket.socketpair()
        self.dead = False
        self._hard = False
        self._tail = b""
        self._committing = False
        threading.Thread(target=self._run, name="proxy", daemon=True).start()

    def end(self, hard: bool) -> None:
        """Close both sides soon; hard: by a reset, else in order."""
        self._hard = self._hard or hard
        self.dead = True
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def _run(self) -> None:
        try:
            if self._proxy.wait_until_flowing(self):
                self.server = socket.create_connection(self._proxy.target, 5)
                self.server.settimeout(None)
                back = threading.Thread(target=self._carry, args=(False,), daemon=True)
                back.start()
                self._carry(True)
                back.join()
        except OSError:
            self._hard = True
        finally:
            self._close()

    def _close(self) -> None:
        for side in (self.client, self.server):
            if side is None:
                continue
            if self._hard:
                linger = struct.pack("ii", 1, 0)
                with contextlib.suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            side.close()
        self._alarm.close()
        self._wake.close()
        self._proxy.forget(self)

    def _carry(self, upward: bool) -> None:
        """upward: from the client to the server."""
        assert self.server is not None
        source, target = (self.client, self.server) if upward else (self.server, self.client)
        try:
            while self._ready(source, read=True) and self._proxy.wait_until_flowing(self):
                block = source.recv(self._proxy.block)
                if not block:
                    break
                if not self._allowed(block, upward):
                    return
                self._send(target, block)
                self._proxy.pace(len(block))
        except OSError:
            self._hard = True
        self.end(hard=self._hard)

    def _allowed(self, block: bytes, upward: bool) -> bool:
        """Whether a block is to be forwarded as it is; does what else is asked for."""
        if not upward:
            if self._committing:
                self._proxy.count_cut()
                self.end(hard=True)
            return not self.dead
        seen = self._tail + block
        self._tail = seen[-len(COMMIT) + 1 :]
        if COMMIT in seen and self._proxy.take_commit():
            self._committing = True  # before it is sent: the answer finds it set
        left = self._proxy.take_bytes(len(block))
        if left is not None:
            assert self.server is not None
            self._send(self.server, block[:left])
            self.end(hard=True)
        return left is None

    def _send(self, target: socket.socket, block: bytes) -> None:
        view = memoryview(block)
        while view and self._ready(target, read=False):
            view = view[target.send(view) :]

    def _ready(self, side: socket.socket, read: bool) -> bool:
        """Wait for a side; False when the connection is to end."""
        if not self.dead:
            reading, writing = ([side], []) if read else ([], [side])
            select.select([*reading, self._alarm], writing, [])
        return not self.dead


class Proxy:
    """Listens on a free port of 127.0.0.1 and carries every connection to `target`.

    Starts at once, in mode pass; a context manager that ends all it holds. Each method is one mode and
    may be called at any time; `reset`, `cut_after` and `cut_commits` go together with any mode.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.target = (target_host, target_port)
        self.cuts = 0
        """How many answers to COMMIT were swallowed."""
        self._lock = threading.Lock()
        self._flowing = threading.Condition(self._lock)
        self._open = True
        self._closed = False
        self._rate = 0.0
        self._bytes: int | None = None
        self._commits = 0
        self._connections: set[_Connection] = set()
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._listen()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def url(self, original: str) -> str:
        """The same URL by way of this proxy."""
        netloc = urlsplit(original).netloc
        user, at, _ = netloc.rpartition("@")
        return original.replace(netloc, f"{user}{at}127.0.0.1:{self.port}", 1)

    # --- modes ---

    def pass_all(self) -> None:
        """The network is whole again; what a black hole held back goes on."""
        with self._lock:
            self._open, self._rate, self._bytes, self._commits = True, 0.0, None, 0
            self._flowing.notify_all()
        if not self._accepting:
            self._listen()

    def refuse(self) -> None:
        """New connections get ECONNREFUSED; existing ones stay (see `reset`)."""
        if self._accepting:
            self._accepting = False
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            self._accepter.join()
            self._listener.close()
            self._listener = _bound(self.port)  # bound and not listening: the port stays ours

    def black_hole(self) -> None:
        """Nothing flows and nothing is closed; new connections are accepted, and hear nothing."""
        with self._lock:
            self._open = False

    def reset(self) -> int:
        """RST to both sides of all existing connections; returns how many there were."""
        with self._lock:
            connections = list(self._connections)
            for connection in connections:
                connection.end(hard=True)
            self._flowing.notify_all()
        return len(connections)

    def throttle(self, bytes_per_second: float) -> None:
        """So many bytes a second, in each direction of each connection."""
        with self._lock:
            self._rate = bytes_per_second

    def cut_after(self, count: int) -> None:
        """Let `count` more bytes from clients pass, then reset the connection that sent them; once."""
        with self._lock:
            self._bytes = count

    def cut_commits(self, count: int) -> None:
        """The next `count` times that a client commits, the server does, and the client hears a reset."""
        with self._lock:
            self._commits = count

    # --- for the connections ---

    @property
    def block(self) -> int:
        return max(1, min(BLOCK, int(self._rate / 10))) if self._rate else BLOCK

    def wait_until_flowing(self, connection: _Connection) -> bool:
        with self._lock:
            self._flowing.wait_for(lambda: self._open or connection.dead or self._closed)
            return not (connection.dead or self._closed)

    def pace(self, count: int) -> None:
        if rate := self._rate:
            time.sleep(count / rate)

    def take_commit(self) -> bool:
        with self._lock:
            if self._commits:
                self._commits -= 1
                return True
            return False

    def take_bytes(self, count: int) -> int | None:
        """How many of `count` bytes may still pass before the cut; None: all, and no cut."""
        with self._lock:
            if self._bytes is None:
                return None
            if self._bytes > count:
                self._bytes -= count
                return None
            left, self._bytes = self._bytes, None
            return left

    def count_cut(self) -> None:
        with self._lock:
            self.cuts += 1

    def forget(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.discard(connection)

    # --- listening ---

    def _listen(self) -> None:
        self._listener.listen(128)
        self._accepting = True
        self._accepter = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._accepter.start()

    def _accept(self) -> None:
        while self._accepting:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(_Connection(self, client))

    def close(self) -> None:
        """End everything; the port is free afterwards."""
        self.refuse()
        with self._lock:
            self._closed = True
        self.reset()
        deadline = time.monotonic() + 5
        while self._connections and time.monotonic() < deadline:
            time.sleep(0.01)
        self._listener.close()


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock
