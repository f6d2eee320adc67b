"""This process among all processes of all hosts, and whether another one of this host has ended."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def process() -> str:
    """Identifies this process; see `identity`."""
    return identity(os.getpid())


def identity(pid: int) -> str:
    """Identifies a process of this namespace: boot of the kernel, namespace of process numbers, number,
    start."""
    return f"{_host()} {pid} {_start(pid)}"


def has_ended(process: str) -> bool:
    """Whether a process, by `process` of it and whatever follows, has ended; False if unknown.

    Only of this host and its namespace can anything be known: elsewhere the number may be another's.
    """
    _, _, number, start, *_ = (*process.split(" "), "", "", "", "")
    return is_near(process) and number.isdecimal() and _start(int(number)) != start


def is_near(process: str) -> bool:
    """Whether a process, by `process` of it, is of this boot and namespace: its number is valid here."""
    return " ".join(process.split(" ")[:2]) == _host()


def _host() -> str:
    return f"{_BOOT.read_text().strip()} {os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116


def _start(pid: int) -> str:
    """When a process started, in ticks since the boot (proc(5)); "" when it has ended."""
    found = fields(pid)
    return "" if not found or found[0] in ("Z", "X") else found[19]


def status(pid: int) -> tuple[str, int]:
    """The kernel's letter for what a process does, and its parent; ("", 0) when it is gone."""
    found = fields(pid)
    return (found[0], int(found[1])) if found else ("", 0)


def fields(pid: int) -> list[str]:
    """What the kernel says of a process behind its name (proc(5), stat), from its state on; none when it is
    gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
