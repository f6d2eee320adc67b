"""Identifies this process among the processes of all hosts, and detects whether another process of this
host has ended."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process() -> str:
    """Return an identifier of the current process; see `identity`."""
    return identity(os.getpid())


def identity(pid: int) -> str:
    """Return an identifier of a process of this PID namespace. It contains the kernel's boot ID, the PID
    namespace, the PID and the start time."""
    return f"{_host()} {pid} {_start(pid)}"


def has_ended(process: str) -> bool:
    """Whether a process has ended; False if unknown. process: the process's identifier as returned by
    `process`; a suffix is ignored.

    For a process of another host or PID namespace the result is False, because a PID is valid only in its
    own PID namespace.
    """
    _, _, number, start, *_ = (*process.split(" "), "", "", "", "")
    return is_same_host(process) and number.isdecimal() and _start(int(number)) != start


def is_same_host(process: str) -> bool:
    """Whether the process was started in this boot and this PID namespace, so that its PID is valid
    here."""
    return " ".join(process.split(" ")[:2]) == _host()


def _host() -> str:
    return f"{_BOOT.read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116


def _start(pid: int) -> str:
    """Return the start time of a process, in clock ticks since the boot (proc(5)); "" if the process has
    ended."""
    found = fields(pid)
    return "" if not found or found[0] in ("Z", "X") else found[19]


def status(pid: int) -> tuple[str, int]:
    """Return the kernel's state letter of a process and the PID of its parent; ("", 0) if the process has
    ended."""
    found = fields(pid)
    return (found[0], int(found[1])) if found else ("", 0)


def fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat (proc(5)) that follow the process name; the first one is the
    state. Returns an empty list if the process has ended."""
    try:
        return read_file(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return []


def read_file(path: str) -> str:
    """Return the text of a file in /proc or /sys. Raises OSError.

    This is for files that a process reads again and again. pathlib would intern the parts of each path,
    such as a PID, and the interpreter's table of interned strings would double in the first hour.
    """
    with open(path) as file:  # noqa: PTH123
        return file.read()
