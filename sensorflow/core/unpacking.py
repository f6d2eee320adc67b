"""Why an archive cannot be unpacked just now, or at all, for all ledgers alike."""

from __future__ import annotations

from sensorflow.errors import Code, Permanent, Transient


def earlier(version: int) -> Transient:
    """Members are versions in the order in which they are registered: an older archive goes first."""
    return Transient(Code.DATABASE, f"version {version} of the archive is to be unpacked first")


def later(name: str, version: int) -> Permanent:
    """What it holds is older than what is there, and would be taken for newer."""
    return Permanent(
        Code.ARCHIVE,
        f"version {version} of the archive was unpacked before this older one, with other bytes for {name}",
        do="drop this archive under another name, if its readings are wanted beside the newer ones",
    )


def loaded_whole(rows: int) -> Permanent:
    return Permanent(
        Code.ARCHIVE,
        f"the archive was loaded as one file before, and {rows:,} readings of that are there",
        do="undo it, then replay it: it is unpacked then",
    )


def unpacked_before() -> Permanent:
    return Permanent(
        Code.ARCHIVE,
        "the archive was unpacked before, and its members are files of their own",
        do="set unpack = true for the source again; or undo the archive, then drop it once more",
    )
