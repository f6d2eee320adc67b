"""A child process that is watched, logged to a file, and ends when its parent does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sensorflow.adapters.host import fields, identity
from sensorflow.disk import replace, room
from sensorflow.embedded.logs import Where, opened
from sensorflow.errors import Misuse

_CHILD = str(Path(__file__).with_name("child.py"))


@dataclass
class Process:
    """One program of the stack.

    stop: the signal that asks it to end. orphan: the one it gets when the parent is killed.
    user: (uid, gid) to run as, None for our own. noted: a file that says which process it is, for the
    supervisor after this one.
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
    where: Where = Where.FILES
    noted: Path | None = None
    _began: int = 0
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; from the main thread only, for the kernel watches the thread that forks."""
        uid, gid = self.user or (-1, -1)
        launcher = [sys.executable, "-I", "-S", _CHILD, str(os.getpid()), str(int(self.orphan))]
        with opened(self.where, self.log) as log:
            self._began = os.fstat(log).st_size
            self._popen = subprocess.Popen(
                [*launcher, str(uid), str(gid), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.env},
                cwd=self.cwd or ("/" if self.user else None),
                start_new_session=True,  # Ctrl-C is for the supervisor, which ends them in order
            )
        if self.noted is not None:
            with suppress(OSError):  # a full disk is no reason to go without
                replace(self.noted, identity(self._popen.pid).encode())

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
        raise Misuse(self.fault("did not start"))

    def fault(self, what: str) -> str:
        """What is wrong with it, with the line of its log that says why, and where the log is."""
        if self.where is not Where.FILES:
            return f"{self.name} {what}; {self._where_told()}"
        why = cause(self.last_words()) or "no reason given"
        return f"{self.name} {what}: {why}; {self._where_told()}"

    def ending(self) -> str:
        """How it ended, with the last error of its log since it was started, and where the log is."""
        code = self._popen.poll() if self._popen else None
        told = f"{self.name} {'ended' if code is None else _how(code)}, and is started again"
        silent = (
            self.where is not Where.FILES or code == -signal.SIGKILL
        )  # of which no log has a word
        error = "" if silent else last_error(self.last_words())
        return f"{told}{error and ': '}{error}; {self._where_told()}"

    def _where_told(self) -> str:
        if self.where is not Where.FILES:
            return f"its log: {self.where.told}"
        return f"its log: {self.log}" if self.log.is_file() else f"no log: {room(self.log)}"

    def last_words(self) -> list[str]:
        """What it wrote since it was started."""
        return tail(self.log, self._began)


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # a real-time one
        return f"was killed by signal {-code}"


def tail(log: Path, begin: int = 0) -> list[str]:
    """The last lines of a log, from a byte on; none where it cannot be read."""
    try:
        with log.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(
                max(begin if begin <= end else 0, end - WORDS)
            )  # its head may have been cut off
            return stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


WORDS = 65536
"""Bytes at the end of a log that are searched for the reason of a failure."""
_CAUSES = (
    re.compile(r"no space left on device|disk quota exceeded|wrote only \d+ of", re.IGNORECASE),
    re.compile(r"\b(PANIC|FATAL|initdb: error|Fatal error|FATAL CONFIG FILE ERROR)\b"),
    re.compile(r"\b(ERROR|error:|Error|Misuse|sensorflow:|Bad |Can't |Could not |Failed )"),
)
_CONSEQUENCES = re.compile(
    r"database system is (shut down|starting up|shutting down)|not yet accepting|removing "
    r"|child process exited|terminated by signal|hint:|DETAIL:",
    re.IGNORECASE,
)


def cause(lines: Sequence[str]) -> str:
    """The line of a log that says why, rather than what followed from it; "" of an empty one."""
    told = [line.strip() for line in lines if line.strip() and not _CONSEQUENCES.search(line)]
    for kind in _CAUSES:
        if found := [line for line in told if kind.search(line)]:
            return (found[0] + _detail(lines, found[0]))[:400]
    return told[-1][:400] if told else ""


def last_error(lines: Sequence[str]) -> str:
    """The last line of a log that tells of an error; "" of one that tells of none."""
    told = [line.strip() for line in lines if not _CONSEQUENCES.search(line)]
    found = [line for line in told if any(kind.search(line) for kind in _CAUSES)]
    return found[-1][:400] if found else ""


def _detail(lines: Sequence[str], first: str) -> str:
    """What PostgreSQL says more, in the line after it."""
    texts = [line.strip() for line in lines]
    _, mark, detail = texts[min(texts.index(first) + 1, len(texts) - 1)].partition("DETAIL:")
    return f" ({detail.strip()})" if mark else ""


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
    for port in (wanted if wanted < 65536 else 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Misuse("no free port on 127.0.0.1")


def kept_port(path: Path, name: str) -> tuple[int, str]:
    """The port of last time, while it is free: clients' URLs stay right over restarts. With a line to
    report where it is another one now, else ""."""
    try:
        wanted = int(path.read_text())
    except (OSError, ValueError):
        wanted = 0
    wanted = wanted if 0 < wanted < 65536 else 0
    port = free_port(wanted)
    path.write_text(str(port))
    if wanted in (0, port):
        return port, ""
    who = listener(wanted) or "another program"
    return port, f"port {wanted} is taken by {who}: {name} is on port {port} now"


def listener(port: int) -> str | None:
    """The program of this host that listens on a port, if that can be seen."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                words = row.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    return _holder(words[9])
    return None


def _holder(inode: str) -> str | None:
    wanted = f"socket:[{inode}]"
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            if any(os.readlink(link) == wanted for link in folder.iterdir()):  # noqa: PTH115
                name = (folder.parent / "comm").read_text().strip()
                return f"{name} (pid {folder.parent.name})"
    return None
