"""Counts the objects and bytes of stored data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sensorflow.errors import Transient
from sensorflow.ports.objects import ObjectStore

EVERY = 1000
"""Number of objects after which the progress is reported."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Number and total size of the objects of an area. unfinished: number of unfinished uploads; None if
    they cannot be listed."""

    objects: int
    bytes: int
    unfinished: int | None


def usage(objects: ObjectStore, progress: Callable[[int], object] = lambda _: None) -> Usage:
    """Count the objects of a store, and their bytes. Requests one page of the list at a time. progress:
    called with the number of objects so far. Raises Transient STORAGE if the store is unavailable."""
    count = total = 0
    for found in objects.list():
        count, total = count + 1, total + found.size
        if count % EVERY == 0:
            progress(count)
    return Usage(count, total, _unfinished(objects))


def _unfinished(objects: ObjectStore) -> int | None:
    try:
        return len(objects.list_unfinished(0))
    except Transient:  # for example, a package or a permission is missing
        return None
