"""Functions about the machine: run on a single core, measure CPU time and memory of processes, and
describe the machine for the results."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sensorflow.embedded.process import cpu, tree

__all__ = ["cpu", "facts", "peak_mb", "pin", "tree"]


def pin() -> int:
    """Restrict this process, and all processes that it starts later, to one core: the last one that it may
    use. Returns the number of the core.

    Call this function before Arrow is imported, because Arrow then sizes its thread pools by the number of
    usable cores.
    """
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def peak_mb(*pids: int | None) -> float:
    """Return the highest peak of the resident set, in MiB, of these processes and their living
    descendants. A peak is that of a single process since its start."""
    found = [0]
    for pid in (p for top in pids if top for p in tree(top)):
        with suppress(OSError, IndexError):
            text = Path(f"/proc/{pid}/status").read_text()
            found.append(int(text.partition("VmHWM:")[2].split()[0]))
    return round(max(found) / 1024, 1)


def facts() -> dict[str, Any]:
    """Return a description of the machine and of the versions of the software, for the results."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgres": _program("postgres"),
        "valkey": _program("valkey"),
        **{name: _version(name) for name in ("pyarrow", "celery", "psycopg", "sqlalchemy")},
        "load": [round(n, 2) for n in os.getloadavg()],
    }


def _cpu_model() -> str:
    with suppress(OSError):
        for text in Path("/proc/cpuinfo").read_text().splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    return platform.machine()


def _program(which: str) -> str:
    from sensorflow.embedded import postgres, valkey

    path = postgres.binaries() / "postgres" if which == "postgres" else valkey.binary()
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    words = (word.removeprefix("v=") for word in shown.split())
    return next((word for word in words if word[:1].isdigit()), shown.strip())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
