"""Files that are read dry by the settings that hold for them when they are dropped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from sensorflow import profiles
from sensorflow.core.gates.announced import require_rows
from sensorflow.core.months import MonthLimits
from sensorflow.core.profile import Profile
from sensorflow.errors import Code, Permanent
from sensorflow.flow.check import Checked, check
from sensorflow.flow.members import members
from sensorflow.flow.sniff import guess
from sensorflow.flow.terms import Terms, opened
from sensorflow.ports.backlog import Beside
from sensorflow.ports.feed import Withheld
from sensorflow.settings import Settings, Source, tolerates

Named = str | tuple[str, Profile]
"""A profile by its name or path, or one with a name for people."""


def dry_run(
    path: Path, held: Terms, named: Named | None, zone: str | None, tolerance: str | None, keep: int
) -> Iterator[Checked]:
    """The file, or each member of an archive that its source unpacks."""
    how = (named, zone, tolerance, keep)
    if held.source is None or not held.source.unpack:
        yield _checked(path, held, *how)
        return
    name, profile = profile_for(path, named, zone, held.settings, held.source)
    with path.open("rb") as stream:
        try:
            found = members(path, held, profile, stream)
        except Permanent as error:
            yield Checked(str(path), name, source=held.name, error=error)
            return
        if found is None or held.not_taken(profile) is not None:
            yield _checked(path, held, *how)
            return
        for member in found:
            with member.stream() as copy:
                yield _checked(member.path, member.terms, *how, copy)


def _checked(
    path: Path,
    held: Terms,
    named: Named | None,
    zone: str | None,
    tolerance: str | None,
    keep: int,
    given: BinaryIO | None = None,
) -> Checked:
    """given: the bytes, where they do not lie at `path`."""
    source = held.source
    name, profile = profile_for(path, named, zone, held.settings, source)
    profile = held.bounded(profile)
    limits = MonthLimits(source.new_months, source.sparse_months) if source else None
    received = int(time.time()) * 10**9  # it arrives now
    try:
        there = nullcontext((given, 0)) if given is not None else opened(path, held.growing)
        with there as (stream, waiting):
            what = (str(path), (name, profile), held.place, held.drift, keep, received, limits)
            found = check(stream, *what)
    except Permanent as error:
        found, waiting = Checked(str(path), name, error=error), 0
    found.source = held.name
    if waiting:
        found.notes.append(f"{waiting:,} bytes at the end wait for the end of their line")
    limit = tolerance or held.max_rejects
    if (why := held.not_taken(profile)) is not None:
        found.refused = why
    elif found.refused is None and not tolerates(limit, found.rejected, found.read):
        found.refused = "too many rejects"
    return found


def profile_for(
    path: Path,
    named: Named | None,
    zone: str | None,
    settings: Settings,
    source: Source | None,
) -> tuple[str, Profile]:
    """By what a file is read: what was named, its source's, or a guess."""
    if isinstance(named, tuple):
        return named
    if named is not None:
        if named in settings.profiles:
            found = settings.profile(named, source)
            assert found is not None
            return named, found
        return profiles.load(named)
    if source is not None:
        return source.profile, settings.profile_of(source)
    return "a guess", guess(path, zone).profile()


def by_gate(beside: Beside, found: Checked) -> str | None:
    """What `check` says of a file's gate; what differs from it becomes the file's error. None where there
    is nothing to say."""
    try:
        what = beside.announced()
    except Withheld as error:
        return f"{error}: it is not taken in before"
    if what is None:
        return None
    if fault := beside.differs(what):
        found.error = Permanent(Code.GATE_MISMATCH, fault)
    elif found.error is None:
        try:
            require_rows(what, found.rows)
        except Permanent as error:
            found.error = error
    return f"its gate {what.gate} is there" + _doubt(beside)


def _doubt(beside: Beside) -> str:
    """`check` asks no database, which alone knows on whose word files were registered."""
    if not beside.keeps:
        return ""
    return "; if it was that of another version, `sensorflow files ls` shows this file as waiting"
