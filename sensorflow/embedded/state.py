"""The data folder of the embedded servers, and the record of the running stack."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sensorflow.disk import replace
from sensorflow.errors import UsageError

ROOT_HOME = Path("/var/lib/sensorflow")


@dataclass(frozen=True)
class RunningStack:
    """The addresses and settings of the running stack, for other processes that use it."""

    pid: int
    database_url: str
    broker_url: str
    flower_url: str | None = None
    digest: str = ""
    """Digest of the settings that the fleet uses; see `Settings.digest`."""
    logs: str = "files"
    """Log destination of the programs; see `LogTarget`."""


def home(data: Path) -> Path:
    """Return the folder of the embedded servers' data.

    For root the folder is under /var/lib. The servers of root run as a separate user, who may have no
    access to the project's folder, and sensorflow never changes the permissions of that folder.
    """
    if os.geteuid() != 0:
        return data / "embedded"
    return root_home(data)


def root_home(data: Path) -> Path:
    """Return the folder of the embedded servers' data for a stack that root runs."""
    mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return ROOT_HOME / f"{data.parent.name or 'root'}-{mark}"


def running(data: Path) -> RunningStack | None:
    """Return the stack that holds the lock of this data folder. None if there is no such stack, or if its
    addresses are not known yet."""
    if not held_by_another(data):
        return None
    try:
        return RunningStack(**json.loads((home(data) / "running.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def held_by_another(data: Path) -> bool:
    """Whether another process holds the lock of this data folder, even if its addresses are not known
    yet."""
    try:
        with (home(data) / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def held(data: Path) -> Iterator[Path]:
    """Hold the lock of a data folder, so that two stacks cannot use it at the same time and corrupt the
    data. Provides the folder of the servers' data. Raises UsageError if another process holds the lock."""
    place = home(data)
    place.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (place / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            there = running(data)
            pid = f" (pid {there.pid})" if there else ""
            raise UsageError(
                f"the stack of {data} is already running{pid}; run `sensorflow status` to see it"
            ) from None
        (place / "running.json").unlink(missing_ok=True)
        try:
            yield place
        finally:
            (place / "running.json").unlink(missing_ok=True)


def announce(place: Path, running: RunningStack) -> None:
    write_secret(place / "running.json", json.dumps(asdict(running)))


def write_secret(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Write a file that only `owner` can read."""
    replace(path, text.encode(), 0o600, owner)


def secret(path: Path) -> str:
    """Return the password in a file. The first call creates the password; concurrent callers get the same
    password."""
    if path.exists() and not path.stat().st_size:
        path.unlink()  # empty after a full disk or a power failure
    if not path.exists():
        mine = path.with_name(f"{path.name}.{os.getpid()}")
        write_secret(mine, secrets.token_urlsafe(24))
        with suppress(FileExistsError):
            os.link(mine, path)
        mine.unlink()
    return path.read_text()
