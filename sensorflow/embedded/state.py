"""Locates and locks the data folder of the embedded servers, and records the addresses of the running
stack."""

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
    """The record of the running stack, for other processes that use its servers.

    pid: process id of `sensorflow up`. database_url, broker_url: URLs of the servers. flower_url: URL of
    Flower; None if Flower does not run.
    """

    pid: int
    database_url: str
    broker_url: str
    flower_url: str | None = None
    digest: str = ""
    """The digest of the settings that the fleet uses; see `Settings.digest`."""
    logs: str = "files"
    """Where the processes write their logs; see `LogTarget`."""


def home(data: Path) -> Path:
    """Return the folder with the data of the embedded servers. data: the data folder of the project.

    If this process runs as root, the folder is below /var/lib: the servers then run as another user, who
    may have no access to the project's folder, and sensorflow never changes the permissions of this folder.
    """
    if os.geteuid() != 0:
        return data / "embedded"
    return root_home(data)


def root_home(data: Path) -> Path:
    """Return the folder with the data of the embedded servers, for a stack that runs as root."""
    mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return ROOT_HOME / f"{data.parent.name or 'root'}-{mark}"


def running(data: Path) -> RunningStack | None:
    """Return the record of the stack that is running in this data folder. None if no stack is running, or
    if it is starting and has not written its record yet."""
    if not held_by_another(data):
        return None
    try:
        return RunningStack(**json.loads((home(data) / "running.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def held_by_another(data: Path) -> bool:
    """Return whether another process has locked this data folder. This is also true while a stack is
    starting."""
    try:
        with (home(data) / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def exclusive(data: Path) -> Iterator[Path]:
    """Lock a data folder until the context ends, because two stacks in the same folder would corrupt the
    data. Provides the folder with the data of the servers. Raises UsageError if another process has locked
    the data folder."""
    place = home(data)
    place.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (place / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running_stack = running(data)
            pid = f" (pid {running_stack.pid})" if running_stack else ""
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
    """Write a file that only its owner can read. owner: (uid, gid); None for the user of this process."""
    replace(path, text.encode(), 0o600, owner)


def secret(path: Path) -> str:
    """Return the password in the file `path`. If the file does not exist, create it with a random password.
    Concurrent calls return the same password."""
    if path.exists() and not path.stat().st_size:
        path.unlink()  # empty after a full disk or a power failure
    if not path.exists():
        mine = path.with_name(f"{path.name}.{os.getpid()}")
        write_secret(mine, secrets.token_urlsafe(24))
        with suppress(FileExistsError):
            os.link(mine, path)
        mine.unlink()
    return path.read_text()
