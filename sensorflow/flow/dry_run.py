"""Dry runs: process files without changing anything. The settings are those that would apply to the files
in a drop folder."""

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
from sensorflow.flow.check_options import CheckOptions, opened
from sensorflow.flow.members import members
from sensorflow.flow.sniff import guess
from sensorflow.ports.backlog import GatedPath
from sensorflow.ports.feed import Withheld
from sensorflow.settings import Settings, Source, tolerates

Named = str | tuple[str, Profile]
"""A profile by its name or path, or a profile together with a display name."""


def dry_run(
    path: Path,
    options: CheckOptions,
    named: Named | None,
    zone: str | None,
    tolerance: str | None,
    keep: int,
) -> Iterator[Checked]:
    """Yield the result for a file. If its source unpacks the file, yield a result for each member
    instead."""
    how = (named, zone, tolerance, keep)
    if options.source is None or not options.source.unpack:
        yield _checked(path, options, *how)
        return
    name, profile = profile_for(path, named, zone, options.settings, options.source)
    with path.open("rb") as stream:
        try:
            found = members(path, options, profile, stream)
        except Permanent as error:
            yield Checked(str(path), name, source=options.name, error=error)
            return
        if found is None or options.not_taken(profile) is not None:
            yield _checked(path, options, *how)
            return
        for member in found:
            with member.stream() as copy:
                yield _checked(member.path, member.terms, *how, copy)


def _checked(
    path: Path,
    options: CheckOptions,
    named: Named | None,
    zone: str | None,
    tolerance: str | None,
    keep: int,
    given: BinaryIO | None = None,
) -> Checked:
    """Returns the result for one file. given: the stream to read; None for the file at `path`."""
    source = options.source
    name, profile = profile_for(path, named, zone, options.settings, source)
    profile = options.bounded(profile)
    limits = MonthLimits(source.new_months, source.sparse_months) if source else None
    received = int(time.time()) * 10**9  # as if the file arrived now
    try:
        opening = nullcontext((given, 0)) if given is not None else opened(path, options.growing)
        with opening as (stream, entry):
            what = (
                str(path),
                (name, profile),
                options.place,
                options.drift,
                keep,
                received,
                limits,
            )
            found = check(stream, *what)
    except Permanent as error:
        found, entry = Checked(str(path), name, error=error), 0
    found.source = options.name
    if entry:
        found.notes.append(f"{entry:,} bytes at the end are an incomplete line")
    limit = tolerance or options.max_rejects
    if (reason := options.not_taken(profile)) is not None:
        found.refused = reason
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
    """Returns the profile for reading a file: the named profile, the profile of the file's source, or else
    a proposed profile."""
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


def by_gate(gated_path: GatedPath, found: Checked) -> str | None:
    """Returns a remark for `check` about a file's gate, or None if there is no remark. If the file does not
    match its gate, sets `found.error`."""
    try:
        what = gated_path.announced()
    except Withheld as error:
        return f"{error}; the file is not taken in yet"
    if what is None:
        return None
    if fault := gated_path.differs(what):
        found.error = Permanent(Code.GATE_MISMATCH, fault)
    elif found.error is None:
        try:
            require_rows(what, found.rows)
        except Permanent as error:
            found.error = error
    return f"its gate {what.gate} is there" + _doubt(gated_path)


def _doubt(gated_path: GatedPath) -> str:
    """Returns a warning for a file with a gate that stays in the folder: the gate may belong to another
    version of the file. Only the ledger knows this, and `check` does not query the database."""
    if not gated_path.keeps:
        return ""
    return "; if it belongs to another version, `sensorflow files ls` shows this file as waiting"
