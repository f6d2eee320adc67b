"""Converts a file's bytes to accepted readings and rejects. Workers and dry runs share this code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from sensorflow.core import formats
from sensorflow.core.binding.cache import BindingCache
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.binding.resolve import resolver
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.growth import Part
from sensorflow.core.profile import Profile
from sensorflow.core.validation import Accepted, Validator

READINGS = 49_152
"""Maximum number of readings that are validated at a time. The limit is in readings instead of rows,
because a single row may contain a thousand readings."""


def read(
    stream: BinaryIO,
    profile: Profile,
    place: FilePath,
    scratch: Callable[[], BinaryIO],
    drift: Drift | None = None,
    received: int | None = None,
    part: Part | None = None,
    bindings: BindingCache | None = None,
) -> Iterator[Accepted]:
    """Read and validate a file chunk by chunk. Only one chunk is in memory at a time. stream: the file; it
    must be seekable.

    received: when the file arrived, in nanoseconds since 1970, for the rule `future`. For the other
    arguments and the exceptions, see `chunks`.
    """
    judge = Validator(profile, received)
    for chunk in chunks(stream, profile, place, scratch, drift, part, bindings):
        for piece in chunk.parts(READINGS):
            yield judge.validate(piece)


def chunks(
    stream: BinaryIO,
    profile: Profile,
    place: FilePath,
    scratch: Callable[[], BinaryIO],
    drift: Drift | None = None,
    part: Part | None = None,
    bindings: BindingCache | None = None,
) -> Iterator[Chunk]:
    """Yield the rows of a file, without validation.

    place: the file's name and path. scratch: creates an empty temporary file. part: for a growing file, the
    part to read; the stream must end where the part ends (see `growth.Joined`). bindings: a cache that the
    caller reuses for other files. Raises Permanent if the file as a whole cannot be read.
    """
    bindings = BindingCache() if bindings is None else bindings
    resolve = resolver(profile, place, drift or Drift(), bindings)
    return formats.chunks(stream, profile, resolve, scratch, part)
