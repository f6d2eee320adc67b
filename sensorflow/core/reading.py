"""A file's bytes -> accepted readings and rejects: the one way, for workers and dry runs alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from sensorflow.core import formats
from sensorflow.core.drift import Drift
from sensorflow.core.judge import Accepted, Judge
from sensorflow.core.layout import Place, resolver
from sensorflow.core.profile import Profile


def read(
    stream: BinaryIO,
    profile: Profile,
    place: Place,
    scratch: Callable[[], BinaryIO],
    drift: Drift | None = None,
    received: int | None = None,
) -> Iterator[Accepted]:
    """Judge a file chunk by chunk; memory is bounded by a chunk. stream: can seek.

    place: the file's name and path. scratch: makes an empty temporary file. received: when the file
    came, in nanoseconds since 1970, for rules about the future.
    Raises Permanent when the file as a whole cannot be read.
    """
    resolve = resolver(profile, place, drift or Drift())
    judge = Judge(profile, received)
    for chunk in formats.chunks(stream, profile, resolve, scratch):
        yield judge.judge(chunk)
