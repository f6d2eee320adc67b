"""A child process that is watched, logged to a file, and ends when its parent does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from sensorflow.adapters.host import fields
from sensorflow.errors import Misuse

_CHILD = str(Path(__file__).with_name("child.py"))


@dataclass
class Process:
    """One program of the stack.

    stop: the signal that asks it to end. orphan: the one it gets when the parent is killed.
    user: (uid, gid) to run as, None for our own.
    """

    name: str
    command: list[str]
    log: Path
    stop: signal.Signals = signal.SIGTERM
    orphan: signal.Signals = signal.SIGKILL
    user: tuple[int, int] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    restarts: int = 0
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; from the main thread only, for the kernel watches the thread that forks."""
        uid, gid = self.user or (-1, -1)
        launcher = [sys.executable, "-I", "-S", _CHILD, str(os.getpid()), str(int(self.orphan))]
        with self._log() as log:
            self._popen = subprocess.Popen(
                [*launcher, str(uid), str(gid), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.env},
                cwd=self.cwd or ("/" if self.user else None),
                start_new_session=True,  # Ctrl-C is for the supervisor, which ends them in order
            )

    def _log(self) -> BinaryIO:
        """Where there is no room for one, it goes without."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            return self.log.open("ab")
        except OSError:
            return Path(os.devnull).open("ab")

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def end(self, patience: float) -> None:
        """Ask it to end, and kill it after `patience` seconds."""
        if self._popen is None or not self.alive:
            return
        self._popen.send_signal(self.stop)
        try:
            self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def ask_to_end(self) -> None:
        if self._popen is not None and self.alive:
            self._popen.send_signal(self.stop)

    def wait_for(self, ready: Callable[[], bool], seconds: float) -> None:
        """Until it is ready. Raises Misuse when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.alive:
                break
            if ready():
                return
            time.sleep(0.03)
        raise Misuse(f"{self.name} did not start; its log: {self.log}\n  {self.last_words()}")

    def last_words(self) -> str:
        try:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""


def ending_with_us() -> tuple[str, ...]:
    """What a command begins with that is not to outlive this process, killed or not; see child.py."""
    word = str(int(signal.SIGKILL))
    return (sys.executable, "-I", "-S", _CHILD, str(os.getpid()), word, "-1", "-1")


def tree(pid: int) -> Iterator[int]:
    """A process and its living descendants."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                yield from tree(int(child))


def cpu(*pids: int | None) -> float:
    """Seconds of CPU of processes and of their descendants, ended and waited-for ones too."""
    ticks = 0
    for pid in {p for top in pids if top for p in tree(top)}:
        ticks += sum(int(text) for text in fields(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port(wanted: int = 0) -> int:
    """`wanted` when nobody listens there, else any free port of 127.0.0.1."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Misuse("no free port on 127.0.0.1")


def kept_port(path: Path) -> int:
    """The port of last time, while it is free: clients' URLs stay right over restarts."""
    try:
        wanted = int(path.read_text())
    except (OSError, ValueError):
        wanted = 0
    port = free_port(wanted)
    path.write_text(str(port))
    return port
