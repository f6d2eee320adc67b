"""What the kernel says about processes (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleet import Fleet

ESTABLISHED = "01"
"""Of tcp_states.h."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """private, resident, proportional: bytes of memory: those of this process alone, those with all shared
    pages, and those with its part of each shared page. cpu: seconds since its start. files: open
    descriptors."""

    private: int
    resident: int
    proportional: int
    files: int
    threads: int
    cpu: float


def usage(pid: int) -> Usage | None:
    """Of a process; None if it is gone."""
    here = Path(f"/proc/{pid}")
    try:
        lines = (here / "smaps_rollup").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
        files = len(os.listdir(here / "fd"))
        fields = (here / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    private = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return Usage(private, sizes["Rss"], sizes["Pss"], files, int(fields[17]), _cpu(fields))


def connections(pid: int, port: int) -> int:
    """Number of a process's TCP connections to a port, those that it has inherited included."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                _, _, remote, state, *rest = line.split()
                if state == ESTABLISHED and int(remote.rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{rest[5]}]")
    found = 0
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(OSError):
            found += os.readlink(path) in inodes
    return found


def cpu(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended; 0.0 if it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return _cpu(fields) + (int(fields[13]) + int(fields[14])) / TICKS
    return 0.0


def _cpu(fields: list[str]) -> float:
    return (int(fields[11]) + int(fields[12])) / TICKS


def descendants(pid: int) -> Iterator[int]:
    """Children, and theirs."""
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                yield child
                yield from descendants(child)


def ours(fleet: Fleet) -> dict[str, list[int]]:
    """Name -> pids of all processes of a fleet; those of a pool under `NAME child`."""
    found: dict[str, list[int]] = {}
    for name, process in list(fleet.running.items()):
        found[name] = [process.pid]
        if below := list(descendants(process.pid)):
            found[f"{name} child"] = below
    return found


def spent(fleet: Fleet) -> dict[str, float]:
    """Name -> CPU seconds of all processes of a fleet since their start."""
    return {name: sum(map(cpu, pids)) for name, pids in ours(fleet).items()}
