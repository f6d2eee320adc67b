"""Find the settings for a dry run of a file. They are the settings that would apply to the file in a drop
folder."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sensorflow.errors import Code, Permanent, UsageError

if TYPE_CHECKING:
    from sensorflow.core.binding.drift import Drift
    from sensorflow.core.binding.file_path import FilePath
    from sensorflow.core.profile import Profile
    from sensorflow.settings import Settings, Source


@dataclass(frozen=True)
class CheckOptions:
    """The settings that apply to one file in a dry run. settings: the project's settings.

    name, source: the name and the settings of the file's source; None if the file has no known source.
    inside: whether the file is in the source's folder. key: the path that the file has, or would have, in
    the source's folder; the given path if no source is known.
    """

    settings: Settings
    name: str | None
    source: Source | None
    inside: bool
    key: bytes

    @property
    def place(self) -> FilePath:
        from sensorflow.core.binding.file_path import FilePath

        return FilePath.of(self.key)

    @property
    def drift(self) -> Drift:
        from sensorflow.core.binding.drift import Drift

        return self.source.drift if self.source else Drift()

    @property
    def max_rejects(self) -> str:
        return self.source.max_rejects if self.source else "10%"

    @property
    def growing(self) -> bool:
        from sensorflow.settings import FolderSource

        return isinstance(self.source, FolderSource) and self.source.growing

    def bounded(self, profile: Profile) -> Profile:
        """Returns a copy of a profile that is not from the settings, with the source's time bounds
        applied."""
        given = (
            {"earliest": self.source.earliest, "latest": self.source.latest} if self.source else {}
        )
        bounds = {key: value for key, value in given.items() if value is not None}
        return profile.model_copy(update=bounds) if bounds else profile

    def not_taken(self, profile: Profile) -> str | None:
        """Returns the reason why the daemon would ignore the file, or None if the daemon would take it
        in."""
        from sensorflow.core.growth import why_not_growable
        from sensorflow.core.stability import takes

        if self.source is None:
            return None
        if self.inside and not takes(self.key, self.source.accepted_patterns, self.source.exclude):
            return f"sources.{self.name} does not accept this name: see its include and exclude"
        if self.growing and (reason := why_not_growable(profile)) is not None:
            return f"sources.{self.name} has growing = true: {reason}"
        return None


def check_options(
    settings: Settings,
    path: Path,
    named: str | None,
    wanted: str | None,
    below: Path | None = None,
    option: str = "--source",
) -> CheckOptions:
    """Returns the options for the file at a path.

    named: the profile that the user gave, or None. wanted: the source that the user gave, or None. below:
    the folder that the user gave, or None. option: the name of the option for a source, for messages.

    Raises UsageError if the source does not exist.
    """
    if wanted is not None and wanted not in settings.sources:
        known = ", ".join(settings.sources) or "none"
        raise UsageError(f"{option} {wanted}: no such source; known sources: {known}")
    real = path.resolve()
    for name, source in settings.folders.items():
        folder = settings.path(source.path).resolve()
        if wanted in (None, name) and real.is_relative_to(folder):
            return CheckOptions(settings, name, source, True, os.fsencode(real.relative_to(folder)))
    chosen = wanted or (_only_source_with(named, settings) if named is not None else None)
    alone = Path(path.name) if chosen else path  # its path in the drop folder
    key = os.fsencode(alone if below is None else path.relative_to(below))
    return CheckOptions(settings, chosen, settings.sources[chosen] if chosen else None, False, key)


def sources_with(named: str, settings: Settings) -> list[str]:
    """Returns the sources that use a profile. named: the profile's name or file."""

    def is_read_by(source: Source) -> bool:
        file = settings.profile_files.get(source.profile)
        same = file is not None and file.resolve() == Path(named).resolve()
        return same or (source.profile == named and not Path(named).is_file())

    return [name for name, source in settings.sources.items() if is_read_by(source)]


def _only_source_with(named: str, settings: Settings) -> str | None:
    found = sources_with(named, settings)
    return found[0] if len(found) == 1 else None


@contextmanager
def opened(path: Path, growing: bool) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a stream of the bytes that the daemon would take in, and the number of bytes of an incomplete
    last line.

    Raises UsageError if the file cannot be read, and Permanent if a growing source cannot take in the file.
    """
    from sensorflow.core.growth import complete, why_head_refused

    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    with stream:
        if not growing:
            yield stream, 0
            return
        if (reason := why_head_refused(stream.read(8))) is not None:
            raise Permanent(Code.UNREADABLE, reason, do="set growing = false for its source")
        size = stream.seek(0, os.SEEK_END)
        end = complete(stream, 0, size, size)
        stream.seek(0)
        yield TruncatedStream(stream, end), size - end  # type: ignore[misc]


class TruncatedStream(io.RawIOBase):
    """A file stream that ends after a given number of bytes."""

    def __init__(self, stream: BinaryIO, end: int) -> None:
        self._stream, self._end = stream, end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END:
            return self._stream.seek(self._end + offset)
        return self._stream.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        left = max(0, self._end - self._stream.tell())
        return self._stream.read(left if size < 0 else min(size, left))

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
