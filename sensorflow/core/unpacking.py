"""Why an archive cannot be unpacked just now, or at all, for all ledgers alike."""

from __future__ import annotations

from sensorflow.errors import Code, Permanent, Transient


def earlier(version: int) -> Transient:
    """Members are versions in the order in which they are registered: an older archive goes first."""
    return Transient(Code.DATABASE, f"version {version} of the archive must be unpacked first")


def later(name: str, version: int) -> Permanent:
    """What it holds is older than what is there, and would be taken for newer."""
    return Permanent(
        Code.ARCHIVE,
        f"version {version} of the archive was already unpacked, with other bytes for {name}",
        do="to load its readings besides the newer ones, drop this archive under another name",
    )


def loaded_whole(rows: int) -> Permanent:
    return Permanent(
        Code.ARCHIVE,
        f"the archive was loaded as one file before, and {rows:,} readings of that are there",
        do="undo the file, then replay it, which unpacks it",
    )


def unpacked_before() -> Permanent:
    return Permanent(
        Code.ARCHIVE,
        "the archive was unpacked before, and its members are separate files",
        do="set unpack = true for the source again; or undo the archive, then drop it again",
    )
