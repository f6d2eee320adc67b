"""Errors for archives that cannot be unpacked, temporarily or permanently."""

from __future__ import annotations

from sensorflow.errors import Code, Permanent, Transient


def older_archive_waiting(version: int) -> Transient:
    """Return the error for an archive that must wait until an older version of it is unpacked, because
    members get their versions in the order of unpacking."""
    return Transient(Code.DATABASE, f"version {version} of the archive must be unpacked first")


def newer_member_exists(name: str, version: int) -> Permanent:
    """Return the error for an archive that can no longer be unpacked, because a newer version of the
    archive has been unpacked. Members of the older archive would get higher version numbers than members of
    the newer archive."""
    return Permanent(
        Code.ARCHIVE,
        f"version {version} of the archive, a newer one, was unpacked first, with other bytes for {name}",
        do="drop this archive under another name, if its readings are needed in addition to the newer ones",
    )


def archive_has_readings(rows: int) -> Permanent:
    return Permanent(
        Code.ARCHIVE,
        f"the archive was loaded as one file before, and {rows:,} of its readings are in the database",
        do="undo the archive, then replay it: the replay unpacks it",
    )


def already_unpacked() -> Permanent:
    return Permanent(
        Code.ARCHIVE,
        "the archive was unpacked before, and its members are separate files",
        do="set unpack = true for the source again; or undo the archive, then drop it again",
    )
