"""Measures the CPUs and the memory that a worker may use on this host, or in the control group of this
container (proc(5), cgroup v2)."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sensorflow.adapters import host

CGROUP = Path("/sys/fs/cgroup")
PROCESS_BYTES = 200e6
"""Assumed memory of a process in bytes, if it cannot be measured."""
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpus() -> float:
    """Returns the number of CPUs that this process may use. In a container, it may be fractional."""
    count = float(len(os.sched_getaffinity(0)))
    with suppress(OSError, ValueError):
        quota, period = host.read_file(f"{CGROUP}/cpu.max").split()
        count = min(count, float(quota) / float(period))  # "max" is no number
    return count


def free_bytes() -> float:
    """Returns the available memory in bytes: the minimum of the host's available memory and of the memory
    that the container may still use. Returns infinity if neither is known."""
    free = math.inf
    with suppress(OSError, StopIteration):
        lines = host.read_file("/proc/meminfo").splitlines()
        free = next(float(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
    with suppress(OSError, ValueError):
        limit = float(host.read_file(f"{CGROUP}/memory.max"))
        used = float(host.read_file(f"{CGROUP}/memory.current"))
        free = min(free, max(0.0, limit - used) + _reclaimable())
    return free


def _reclaimable() -> float:
    """Returns the bytes of cached files in the container's memory, which the kernel frees first."""
    lines = host.read_file(f"{CGROUP}/memory.stat").splitlines()
    return sum(float(x.split()[1]) for x in lines if x.split()[0] == "inactive_file")


def process_bytes(pids: Collection[int]) -> float:
    """Returns the mean private memory of these processes in bytes, that is, memory that is not shared with
    other processes. Returns `PROCESS_BYTES` if it cannot be measured."""
    found = [size for pid in pids if (size := _private(pid))]
    return sum(found) / len(found) if found else PROCESS_BYTES


def _private(pid: int) -> float:
    with suppress(OSError, ValueError, IndexError):
        _, resident, shared, *_ = host.read_file(f"/proc/{pid}/statm").split()
        return max(0, int(resident) - int(shared)) * PAGE
    return 0.0


class CpuMeter:
    """Measures which share of this host's CPU time is used."""

    def __init__(self) -> None:
        self._at, self._busy = 0.0, 0.0
        self._seen = (0.0, 0.0)

    def busy(self) -> float:
        """Returns the share (0.0 to 1.0) since the previous measurement. A call within a second after a
        measurement returns its result again. Returns 0.0 on the first call, and if the share cannot be
        measured."""
        now = time.monotonic()
        if now - self._at >= 1.0:
            idle, total = _times()
            spent = total - self._seen[1]
            if self._at and spent > 0:
                self._busy = 1.0 - (idle - self._seen[0]) / spent
            self._at, self._seen = now, (idle, total)
        return self._busy


def _times() -> tuple[float, float]:
    """Returns the idle time and the total time of all CPUs, in clock ticks."""
    with suppress(OSError, ValueError, IndexError):
        fields = [float(x) for x in host.read_file("/proc/stat").split("\n", 1)[0].split()[1:]]
        return fields[3] + fields[4], sum(fields[:8])
    return 0.0, 0.0
