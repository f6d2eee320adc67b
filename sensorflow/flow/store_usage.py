"""Counts the objects and bytes of stored data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sensorflow.ports.objects import ObjectStore

EVERY = 1000
"""Number of objects after which the progress is reported."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Number and total size of the objects of an area."""

    objects: int
    bytes: int


def usage(objects: ObjectStore, progress: Callable[[int], object] = lambda _: None) -> Usage:
    """Count the objects of a store, and their bytes. Requests one page of the list at a time. progress:
    called with the number of objects so far. Raises Transient STORAGE if the store is unavailable."""
    count = total = 0
    for found in objects.list():
        count, total = count + 1, total + found.size
        if count % EVERY == 0:
            progress(count)
    return Usage(count, total)
