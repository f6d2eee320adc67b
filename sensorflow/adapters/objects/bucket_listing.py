"""Lists keys of a bucket page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sensorflow.adapters.objects.bucket_errors import bucket_errors, is_cut
from sensorflow.errors import Transient

TRIES = 5
"""Number of times that a page is requested if its answer is cut off. obstore does not retry this."""
PAUSE_SECONDS = 0.2

Metadata = dict[str, Any]
OpenPages = Callable[[str | None], Iterable[Sequence[Metadata]]]
"""A function that requests the pages after a key, or from the start if the key is None."""


def pages(open_pages: OpenPages, place: str) -> Iterator[Sequence[Metadata]]:
    """Yield the pages of a listing. place: the URL of the listed folder, for messages. Raises Transient
    STORAGE.

    If an answer is cut off, the listing goes on after the last key. This is possible only if the server
    lists keys in the order of their bytes: some S3-compatible servers list folder by folder.
    """
    last, is_sorted, failures = "", True, 0
    source: Iterator[Sequence[Metadata]] | None = None
    while True:
        try:
            with bucket_errors("list", place):
                source = source or iter(open_pages(last or None))
                page = next(source, None)
        except Transient as error:
            failures += 1
            if not is_cut(error.__cause__) or not is_sorted or failures == TRIES:
                raise
            time.sleep(PAUSE_SECONDS * failures)
            source = None
            continue
        if page is None:
            return
        for meta in page:
            is_sorted = is_sorted and last.encode() <= meta["path"].encode()
            last = meta["path"]
        failures = 0
        yield page
