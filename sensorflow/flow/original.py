"""Look up the original text of a reading in the landed bytes."""

from __future__ import annotations

import itertools
from typing import BinaryIO

import numpy as np

from sensorflow.core.arrival import printable
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats.chunk import text_of
from sensorflow.core.names import composed
from sensorflow.core.profile import Profile
from sensorflow.core.reading import chunks
from sensorflow.errors import SensorflowError
from sensorflow.flow.landing import Landing
from sensorflow.flow.validate import scratch_file
from sensorflow.flow.verified import open_verified
from sensorflow.ports.files import FileView
from sensorflow.settings import Settings


class OriginalNotFound(Exception):
    """Raised if the original text is not available. The message states the reason."""


def original(
    landing: Landing, settings: Settings, view: FileView, line: int, line_base: int | None
) -> str:
    """Returns the text of the row that begins at a line of a file. Raises OriginalNotFound.

    line_base: for a part of a growing file, the number of lines before the part; None for an ordinary file.
    """
    if "landing" in view.expired:
        raise OriginalNotFound("retention has removed the original bytes")
    profile = settings.profile(view.profile or "", settings.sources.get(view.source))
    if profile is None and line_base is None:
        raise OriginalNotFound(
            f"the profile {view.profile!r}, with which it was read, no longer exists"
        )
    try:
        with open_verified(landing, view.landing, view.size, view.sha256) as stream:
            if line_base is not None:
                return _plain_line(stream, line - line_base, profile)
            assert profile is not None
            return _row(stream, profile, view, line)
    except SensorflowError as error:
        raise OriginalNotFound(str(error)) from error


def _plain_line(stream: BinaryIO, number: int, profile: Profile | None) -> str:
    found = next(itertools.islice(stream, number - 1, number), None) if number > 0 else None
    if found is None:
        raise OriginalNotFound(f"the part of the growing file has no line {number:,}")
    try:
        return found.decode(profile.encoding if profile else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return text_of(found)


def _row(stream: BinaryIO, profile: Profile, view: FileView, line: int) -> str:
    path = composed(printable(view.key))
    place = FilePath(path.rsplit("/", 1)[-1], path)
    for chunk in chunks(stream, profile, place, scratch_file):
        at = np.flatnonzero(chunk.lines == line)
        if len(at):
            return chunk.spot(int(at[0])).raw
    raise OriginalNotFound(
        f"the profile {view.profile!r}, in its current version, finds no row at {line:,}"
    )
