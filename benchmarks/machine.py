"""The machine: one core to run on, what processes spent of it, and what is told beside every figure."""

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
    """Have this process, and all that it will start, run on one core: the last that we may use.

    Before Arrow is imported, which sizes its pools by what it may use then.
    """
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def peak_mb(*pids: int | None) -> float:
    """The highest resident set that any of these processes or their living descendants ever had."""
    found = [0]
    for pid in (p for top in pids if top for p in tree(top)):
        with suppress(OSError, IndexError):
            text = Path(f"/proc/{pid}/status").read_text()
            found.append(int(text.partition("VmHWM:")[2].split()[0]))
    return round(max(found) / 1024, 1)


def facts() -> dict[str, Any]:
    """What the figures were measured on."""
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
