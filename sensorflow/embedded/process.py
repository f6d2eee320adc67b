"""Starts and ends the processes of the stack, and finds the reason of a failure in their logs."""

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
from sensorflow.embedded.logs import LogTarget, opened
from sensorflow.errors import UsageError

_CHILD = str(Path(__file__).with_name("child.py"))


@dataclass
class Process:
    """A process of the stack. The object remains the same if the process is restarted.

    log: path of the log file. stop: the signal that requests the process to end. orphan: the signal that
    the process gets when this process ends. user: (uid, gid) of the process; None for the user of this
    process. env: additional environment variables. cwd: working directory. restarts: number of restarts.
    where: where the process writes its log. noted: path of a file in which the identity of the process is
    recorded, so that a later run of the stack can find the process; None for no such file.
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
    where: LogTarget = LogTarget.FILES
    noted: Path | None = None
    _began: int = 0
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process. Must be called from the main thread, because the kernel sends the signal
        `orphan` when the thread that has started the process ends."""
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
                start_new_session=True,  # only the supervisor gets Ctrl-C, and ends the programs in order
            )
        if self.noted is not None:
            with suppress(OSError):  # for example a full disk: the process runs nevertheless
                replace(self.noted, identity(self._popen.pid).encode())

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    @property
    def is_alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def terminate(self, timeout_seconds: float) -> None:
        """Request the process to end, and wait until it has ended. Kill it after `timeout_seconds`."""
        if self._popen is None or not self.is_alive:
            return
        self._popen.send_signal(self.stop)
        try:
            self._popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def request_termination(self) -> None:
        if self._popen is not None and self.is_alive:
            self._popen.send_signal(self.stop)

    def wait_for(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` returns True. Raises UsageError if the process ends before, or is not ready
        after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.is_alive:
                break
            if ready():
                return
            time.sleep(0.03)
        raise UsageError(self.failure_message("did not start"))

    def failure_message(self, what: str) -> str:
        """Return a message about a failure, with the log line that explains the failure, and the path of
        the log. what: the failure in words, such as "did not start"."""
        if self.where is not LogTarget.FILES:
            return f"{self.name} {what}; {self._where_told()}"
        reason = cause(self.last_log_lines()) or "no reason given"
        return f"{self.name} {what}: {reason}; {self._where_told()}"

    def ending(self) -> str:
        """Return a message that says how the process has ended. The message contains the last error that
        the process has logged since its start, and the path of the log."""
        code = self._popen.poll() if self._popen else None
        message = (
            f"{self.name} {'ended' if code is None else _exit_text(code)}, and is started again"
        )
        silent = (
            self.where is not LogTarget.FILES or code == -signal.SIGKILL
        )  # the log cannot explain SIGKILL
        error = "" if silent else last_error(self.last_log_lines())
        return f"{message}{error and ': '}{error}; {self._where_told()}"

    def _where_told(self) -> str:
        if self.where is not LogTarget.FILES:
            return f"its log: {self.where.location}"
        return f"its log: {self.log}" if self.log.is_file() else f"no log: {room(self.log)}"

    def last_log_lines(self) -> list[str]:
        """Return the last lines that the process has logged since its start."""
        return tail(self.log, self._began)


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:  # a real-time signal, which has no name
        return f"was killed by signal {-code}"


def tail(log: Path, begin: int = 0) -> list[str]:
    """Return the last lines of a log, at most `WORDS` bytes, from the byte offset `begin`. Returns [] if
    the log cannot be read."""
    try:
        with log.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(
                max(begin if begin <= end else 0, end - WORDS)
            )  # rotation may have removed the head
            return stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


WORDS = 65536
"""Number of bytes at the end of a log that are searched for the reason of a failure."""
_CAUSES = (
    re.compile(r"no space left on device|disk quota exceeded|wrote only \d+ of", re.IGNORECASE),
    re.compile(r"\b(PANIC|FATAL|initdb: error|Fatal error|FATAL CONFIG FILE ERROR)\b"),
    re.compile(r"\b(ERROR|error:|Error|UsageError|sensorflow:|Bad |Can't |Could not |Failed )"),
)
_CONSEQUENCES = re.compile(
    r"database system is (shut down|starting up|shutting down)|not yet accepting|removing "
    r"|child process exited|terminated by signal|hint:|DETAIL:",
    re.IGNORECASE,
)


def cause(lines: Sequence[str]) -> str:
    """Return the log line that most likely says the cause of a failure. Lines about consequences of a
    failure are ignored. Returns "" for an empty log."""
    lines_left = [line.strip() for line in lines if line.strip() and not _CONSEQUENCES.search(line)]
    for kind in _CAUSES:
        if found := [line for line in lines_left if kind.search(line)]:
            return (found[0] + _detail(lines, found[0]))[:400]
    return lines_left[-1][:400] if lines_left else ""


def last_error(lines: Sequence[str]) -> str:
    """Return the last line that reports an error; "" if there is none."""
    lines_left = [line.strip() for line in lines if not _CONSEQUENCES.search(line)]
    found = [line for line in lines_left if any(kind.search(line) for kind in _CAUSES)]
    return found[-1][:400] if found else ""


def _detail(lines: Sequence[str], first: str) -> str:
    """Return the detail that PostgreSQL logs in the line after an error, in brackets; "" if there is
    none."""
    texts = [line.strip() for line in lines]
    _, mark, detail = texts[min(texts.index(first) + 1, len(texts) - 1)].partition("DETAIL:")
    return f" ({detail.strip()})" if mark else ""


def killed_with_parent() -> tuple[str, ...]:
    """Return the words to put before a command, so that the program is killed when this process ends, even
    if this process is killed; see child.py."""
    word = str(int(signal.SIGKILL))
    return (sys.executable, "-I", "-S", _CHILD, str(os.getpid()), word, "-1", "-1")


def tree(pid: int) -> Iterator[int]:
    """Yield the process id `pid`, and the ids of all its living descendants."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                yield from tree(int(child))


def cpu(*pids: int | None) -> float:
    """Return the CPU time of these processes and their descendants, in seconds. The time of children that
    have ended is included if their parent has waited for them."""
    ticks = 0
    for pid in {p for top in pids if top for p in tree(top)}:
        ticks += sum(int(text) for text in fields(pid)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_port(wanted: int = 0) -> int:
    """Return the port `wanted` of 127.0.0.1 if it is free, else any free port. 0 requests any free port."""
    for port in (wanted if wanted < 65536 else 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise UsageError("no free port on 127.0.0.1")


def saved_port(path: Path, name: str) -> tuple[int, str]:
    """Return the port of the previous run if it is free, so that clients need no new URL; else another
    port. Also returns a message if the port has changed, else "".

    path: the file that records the port. name: name of the server, for the message.
    """
    try:
        wanted = int(path.read_text())
    except (OSError, ValueError):
        wanted = 0
    wanted = wanted if 0 < wanted < 65536 else 0
    port = free_port(wanted)
    path.write_text(str(port))
    if wanted in (0, port):
        return port, ""
    holder = listener(wanted) or "another program"
    return port, f"port {wanted} is in use by {holder}; {name} uses port {port}"


def listener(port: int) -> str | None:
    """Return the name and process id of the program that listens on a port of this host; None if
    unknown."""
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
