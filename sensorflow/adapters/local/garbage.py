"""Finds and removes unfinished files of writers that were killed."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

from sensorflow.adapters.local.places import below, storage_errors
from sensorflow.adapters.local.writing import UNFINISHED


def list_unfinished(folder: Path, older: float, excluded: str = "") -> list[str]:
    """Return the paths, below `folder`, of files that `writing.temporary` created more than `older` seconds
    ago and that never got their final name.

    excluded: a pattern of folders in which file names come from users. These folders are skipped.
    """
    before = time.time() - older
    found = []
    with storage_errors():
        for path, folders, names in os.walk(folder, onerror=_missing):
            place = Path(path)
            if excluded:
                inner = place.relative_to(folder)
                folders[:] = [name for name in folders if not (inner / name).match(excluded)]
            for name in filter(UNFINISHED.fullmatch, names):
                with contextlib.suppress(FileNotFoundError):
                    fact = (place / name).lstat()
                    if stat.S_ISREG(fact.st_mode) and fact.st_mtime < before:
                        found.append(str((place / name).relative_to(folder)))
    return sorted(found)


def _missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def remove_unfinished(folder: Path, older: float, excluded: str = "") -> int:
    """Remove the files that `list_unfinished` returns. Returns the number of files removed. If a writer
    still uses one of them, the writer fails and its work is retried. Raises Transient STORAGE."""
    done = 0
    for name in list_unfinished(folder, older, excluded):
        parent, _, leaf = name.rpartition("/")
        with (
            storage_errors(),
            contextlib.suppress(FileNotFoundError),
            below(folder, parent, make=False) as place,
        ):
            (place / leaf).unlink()
            done += 1
    return done
