"""Proposes a profile for a file, based only on the beginning of the file.

Explicit information in the file, such as a signature, a title or an offset, is used unchanged. Everything
else is guessed from the contents of the columns. The user must supply information that the file does not
contain, such as the time zone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from sensorflow.core.profile import Profile
from sensorflow.core.sniff import (
    dialect,
    documents,
    elements,
    fraction,
    head,
    known,
    markup,
    networks,
    sheets,
    time_columns,
    value_columns,
)
from sensorflow.core.sniff.guess import Guess, Line, zoned
from sensorflow.core.sniff.table import Table
from sensorflow.core.sniff.trial import Trial, tried
from sensorflow.core.sniff.trial_checks import (
    RunTrial,
    checked_by_trial,
    checked_library_guess,
    doubts,
)
from sensorflow.core.times.zones import check_zone
from sensorflow.errors import Permanent, UsageError

__all__ = ["Guess", "sniff"]


Make = Callable[[dict[str, Any]], Profile]
"""Builds a profile from its TOML table, and from the profile that it extends."""


def sniff(
    stream: BinaryIO, zone: str | None = None, name: str = "", make: Make | None = None
) -> Guess:
    """Propose a profile. stream: seekable. The proposal is based on about 1 MiB of decompressed bytes, and
    is tested on some thousand rows.

    zone: the zone of times without an offset, None if unknown; zones are never guessed. name: the file's
    name. make: builds a profile, which may extend a library profile. If make is None, proposals that extend
    a library profile are not tested. Raises UsageError if no profile can be proposed.
    """
    if zone is not None:
        _check(zone)

    def run_trial(guess: Guess) -> Trial:
        text = guess.in_zone("UTC" if zone is None else zone, "")
        return tried(
            stream, (make or Profile.model_validate)(tomllib.loads(text.toml())), name or "sample"
        )

    try:
        guess = _sniff(stream, zone, name, run_trial, make is not None)
    except Permanent as error:
        raise UsageError(" ".join(error.message.split())) from error
    return guess if zone is None else guess.in_zone(zone, "the given zone")


def _check(zone: str) -> None:
    try:
        check_zone(zone)
    except ValueError as error:
        raise UsageError(f"--zone {zone!r}: {error}") from error


def _sniff(
    stream: BinaryIO, zone: str | None, name: str, run_trial: RunTrial, with_library: bool
) -> Guess:
    found = _recognised(stream, name)
    if isinstance(found, Guess):
        extends = any(line.key == "extends" for line in found.settings)
        return checked_library_guess(found, run_trial) if with_library or not extends else found
    return _best(found, zone, name, run_trial)


def _recognised(stream: BinaryIO, name: str) -> Guess | list[Table]:
    """Return the proposal if the file is of a known kind. Otherwise return the tables that the file may
    contain."""
    magic = stream.read(4)
    stream.seek(0)
    if magic == b"PAR1":
        return [sheets.parquet(stream)]
    if (kind := head.workbook(stream)) != "":
        table = sheets.workbook(stream, kind)
        guess = known.of_table(table, kind)
        return [table] if guess is None else replace(guess, todo=(*table.todo, *guess.todo))
    text = head.decoded(head.opened(stream))
    if (guess := known.of_text(text, name) or networks.recognised(text)) is not None:
        return guess
    if markup.is_xml(text.text):
        return elements.tables(text)
    if documents.is_json(text.text):
        return documents.known(text) or documents.tables(text)
    table = dialect.table(text)
    return known.of_table(table, "csv") or [table]


def _best(tables: Sequence[Table], zone: str | None, name: str, run_trial: RunTrial) -> Guess:
    """Return a proposal for one of the possible tables. It is the first proposal whose preview has no
    problems. If all previews have problems, it is the proposal that loses the fewest readings."""
    found: list[tuple[Guess, Trial]] = []
    problem: UsageError | None = None
    for table in (replace(each, name=name) for each in tables):
        try:
            guess, trial = checked_by_trial(_of(table, zone), table, run_trial)
        except UsageError as error:
            problem = problem or error
            continue
        if not doubts(guess, trial):
            return guess
        found.append((guess, trial))
    if not found:
        assert problem is not None
        raise problem
    return min(found, key=lambda pair: pair[1].cost)[0]


def _of(table: Table, zone: str | None) -> Guess:
    """Return a proposal for a table of unknown kind."""
    found = time_columns.find_time_columns(table, _prefer(zone))
    if found is None:
        titles = ", ".join(repr(c.title or c.reference) for c in table.columns[:12])
        raise UsageError(f"no column contains readable times; found {titles}")
    found = fraction.refined(found, [c for c in table.columns if not c.above])
    settings, columns, todo = value_columns.lines(table, found)
    time = time_columns.lines(found)
    absolute = found.read.offset
    stated = None if absolute else _zone(found, table)
    if stated is not None:
        time += [stated] if zone is None else zoned(zone, "the given zone")
    doubts = [found.read.doubt] if found.read.doubt else []
    if not absolute and stated is None and zone is None:
        doubts += time_columns.abbreviated(found)
    return Guess(
        (*_format(table), *settings),
        tuple(time),
        tuple(columns),
        (*table.todo, *doubts, *todo),
        not absolute and stated is None,
    )


def _zone(found: time_columns.TimeColumns, table: Table) -> Line | None:
    """Return the line with the zone that the file states, or None."""
    named = time_columns.zone_of(found) or time_columns.zone_above(table.preamble)
    return named or (time_columns.zone_around(table.above) if _is_xml(table) else None)


def _is_xml(table: Table) -> bool:
    return any(line.key == "format" and line.value == "xml" for line in table.settings)


def _format(table: Table) -> list[Line]:
    named = any(line.key == "format" for line in table.settings)
    return list(table.settings) if named else [Line("format", "csv"), *table.settings]


def _prefer(zone: str | None) -> str:
    """Return "mdy" if dates usually begin with the month in the country of the zone; otherwise ""."""
    return "mdy" if zone and re.match(r"America/|US/|-0[4-8]:00$", zone) else ""
