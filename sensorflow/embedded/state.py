"""The data folder and running state of the embedded stack."""

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
    """What another process needs to join the running stack."""

    pid: int
    database_url: str
    broker_url: str
    flower_url: str | None = None
    digest: str = ""
    """Digest of the settings that the fleet uses; see `Settings.digest`."""
    logs: str = "files"
    """Where its programs log to; see `LogTarget`."""


def home(data: Path) -> Path:
    """Return the folder of the embedded servers' data.

    For root it is under /var/lib: the servers then run as a separate user, who may not be able to enter the
    project's folder, and permissions of that folder are never changed.
    """
    if os.geteuid() != 0:
        return data / "embedded"
    return root_home(data)


def root_home(data: Path) -> Path:
    """Return the same folder for a stack that root runs."""
    mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return ROOT_HOME / f"{data.parent.name or 'root'}-{mark}"


def running(data: Path) -> RunningStack | None:
    """Return the stack that holds the lock of this data folder, once its addresses are known."""
    if not held_by_another(data):
        return None
    try:
        return RunningStack(**json.loads((home(data) / "running.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def held_by_another(data: Path) -> bool:
    """Whether a stack holds the lock, even if its addresses are not known yet."""
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
    """Hold the lock of a data folder: two stacks would corrupt its data. Raises UsageError."""
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
    """Write a file that only its owner can read."""
    replace(path, text.encode(), 0o600, owner)


def secret(path: Path) -> str:
    """Return a password. The first call creates it; concurrent callers get the same one."""
    if path.exists() and not path.stat().st_size:
        path.unlink()  # empty after a full disk or a power failure
    if not path.exists():
        mine = path.with_name(f"{path.name}.{os.getpid()}")
        write_secret(mine, secrets.token_urlsafe(24))
        with suppress(FileExistsError):
            os.link(mine, path)
        mine.unlink()
    return path.read_text()
