"""Measures the size of a folder slowly, so that this uses little CPU time even for millions of files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

BATCH = 500
"""Number of files that are measured between two pauses."""
REST = 50.0
"""Seconds of pause per second of work, so that the measurement uses two percent of a CPU."""


def size(folder: Path, rest: Callable[[float], bool]) -> int | None:
    """Returns the total size of the files below a folder, in bytes; 0 if there is no such folder. Links are
    not followed.

    rest: a function that waits for a number of seconds, and returns whether to stop. If it returns True,
    the result is None.
    """
    total, count, began = 0, 0, time.monotonic()
    folders = [os.fspath(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                        continue
                    count += 1
                    total += _size(entry)
                    if count % BATCH == 0:
                        if rest((time.monotonic() - began) * REST):
                            return None
                        began = time.monotonic()
        except OSError:
            continue  # removed meanwhile, or not readable
    return total


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
