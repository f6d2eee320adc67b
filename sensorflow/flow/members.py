"""The members of an archive, for commands that read files dry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sensorflow.flow.terms import Terms

if TYPE_CHECKING:
    from sensorflow.core.formats.archives import Archive, Entry
    from sensorflow.core.profile import Profile

BLOCK = 1 << 20


@dataclass(frozen=True)
class Opened:
    """A member: path is its name for people, terms are its archive's under its own key."""

    path: Path
    terms: Terms
    archive: Archive
    entry: Entry

    def stream(self) -> BinaryIO:
        """A copy of its bytes, which can seek."""
        from sensorflow.flow.validate import scratch

        copy, stream = scratch(), self.archive.open(self.entry)
        while block := stream.read(BLOCK):
            copy.write(block)
        copy.seek(0)
        return copy


def members(path: Path, held: Terms, profile: Profile, stream: BinaryIO) -> Iterator[Opened] | None:
    """The members of an archive that its source unpacks; None of any other file. Raises Permanent where the
    archive is refused."""
    if held.source is None or not held.source.unpack:
        return None
    from sensorflow.core.formats import archives
    from sensorflow.flow.unpack import INSIDE, is_unpacked
    from sensorflow.flow.validate import scratch

    if not is_unpacked(stream, profile):
        return None
    archive = archives.opened(stream, profile, scratch)
    archive.check(scratch)
    return (
        Opened(
            Path(f"{path}{INSIDE.decode()}{entry.name}"),
            replace(held, key=held.key + INSIDE + entry.key, inside=False),
            archive,
            entry,
        )
        for entry in archive.entries
    )
