"""The members of an archive, for commands that do dry runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sensorflow.flow.check_options import CheckOptions

if TYPE_CHECKING:
    from sensorflow.core.formats.archives import Archive, Entry
    from sensorflow.core.profile import Profile

BLOCK = 1 << 20


@dataclass(frozen=True)
class OpenedMember:
    """A member of an archive. path: the member's display name. terms: the archive's options, with the
    member's key."""

    path: Path
    terms: CheckOptions
    archive: Archive
    entry: Entry

    def stream(self) -> BinaryIO:
        """Returns a seekable copy of the member's bytes."""
        from sensorflow.flow.validate import scratch_file

        copy, stream = scratch_file(), self.archive.open(self.entry)
        while block := stream.read(BLOCK):
            copy.write(block)
        copy.seek(0)
        return copy


def members(
    path: Path, options: CheckOptions, profile: Profile, stream: BinaryIO
) -> Iterator[OpenedMember] | None:
    """Returns an iterator over the members of an archive. Returns None if the file is not an archive or its
    source does not unpack archives. Raises Permanent if the archive is invalid."""
    if options.source is None or not options.source.unpack:
        return None
    from sensorflow.core.formats import archives
    from sensorflow.flow.unpack import INSIDE, is_unpacked
    from sensorflow.flow.validate import scratch_file

    if not is_unpacked(stream, profile):
        return None
    archive = archives.opened(stream, profile, scratch_file)
    archive.check(scratch_file)
    return (
        OpenedMember(
            Path(f"{path}{INSIDE.decode()}{entry.name}"),
            replace(options, key=options.key + INSIDE + entry.key, inside=False),
            archive,
            entry,
        )
        for entry in archive.entries
    )
