"""A file's bytes -> accepted readings and rejects: the one way, for workers and dry runs alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from sensorflow.core import formats
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.layouts import Layouts
from sensorflow.core.binding.place import Place
from sensorflow.core.binding.resolve import resolver
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.growth import Part
from sensorflow.core.judge import Accepted, Judge
from sensorflow.core.profile import Profile

READINGS = 49_152
"""That are judged at a time: a row may hold a thousand of them."""


def read(
    stream: BinaryIO,
    profile: Profile,
    place: Place,
    scratch: Callable[[], BinaryIO],
    drift: Drift | None = None,
    received: int | None = None,
    part: Part | None = None,
    layouts: Layouts | None = None,
) -> Iterator[Accepted]:
    """Judge a file part by part; memory is bounded by a part. stream: can seek.

    received: when the file came, in nanoseconds since 1970, for rules about the future. The others, and
    what is raised: as of `chunks`.
    """
    judge = Judge(profile, received)
    for chunk in chunks(stream, profile, place, scratch, drift, part, layouts):
        for piece in chunk.parts(READINGS):
            yield judge.judge(piece)


def chunks(
    stream: BinaryIO,
    profile: Profile,
    place: Place,
    scratch: Callable[[], BinaryIO],
    drift: Drift | None = None,
    part: Part | None = None,
    layouts: Layouts | None = None,
) -> Iterator[Chunk]:
    """The rows of a file, not judged yet.

    place: the file's name and path. scratch: makes an empty temporary file. part: of a growing file, up
    to whose end the stream is; see `growth.Joined`. layouts: those of other files, which the caller holds.
    Raises Permanent when the file as a whole cannot be read.
    """
    layouts = Layouts() if layouts is None else layouts
    resolve = resolver(profile, place, drift or Drift(), layouts)
    return formats.chunks(stream, profile, resolve, scratch, part)
