"""What the kernel says about processes (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleet import Fleet

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """resident, proportional: bytes; the second one counts shared pages by their share. cpu:
    seconds since its start. files: open descriptors."""

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
    return Usage(sizes["Rss"], sizes["Pss"], files, int(fields[17]), _cpu(fields))


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
