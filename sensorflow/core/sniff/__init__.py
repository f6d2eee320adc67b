"""A profile proposed for a file, from its first bytes alone.

What the file says itself (a signature, a title, an offset) is taken; what it does not say is guessed
from what its columns hold; what cannot be known (the zone of a clock) is left to a person.
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
    what,
    when,
)
from sensorflow.core.sniff.guess import Guess, Line, zoned
from sensorflow.core.sniff.judged import Look, borne_out, doubts, judged
from sensorflow.core.sniff.table import Table
from sensorflow.core.sniff.trial import Trial, tried
from sensorflow.core.times.zones import check_zone
from sensorflow.errors import Misuse, Permanent

__all__ = ["Guess", "sniff"]


Make = Callable[[dict[str, Any]], Profile]
"""The table of a profile -> the profile, with what it extends."""


def sniff(
    stream: BinaryIO, zone: str | None = None, name: str = "", make: Make | None = None
) -> Guess:
    """stream: can seek; about a MiB of its plain bytes is looked at, and some thousand rows are read by
    what is proposed.

    zone: of times that carry no offset; it is never guessed. name: the file's. make: without it, what
    extends a profile of the library is not tried. Misuse where nothing can be proposed.
    """
    if zone is not None:
        _check(zone)

    def look(guess: Guess) -> Trial:
        made = guess.in_zone("UTC" if zone is None else zone, "")
        return tried(
            stream, (make or Profile.model_validate)(tomllib.loads(made.toml())), name or "sample"
        )

    try:
        guess = _sniff(stream, zone, name, look, make is not None)
    except Permanent as error:
        raise Misuse(" ".join(error.message.split())) from error
    return guess if zone is None else guess.in_zone(zone, "as told")


def _check(zone: str) -> None:
    try:
        check_zone(zone)
    except ValueError as error:
        raise Misuse(f"--zone {zone!r}: {error}") from error


def _sniff(stream: BinaryIO, zone: str | None, name: str, look: Look, with_library: bool) -> Guess:
    found = _recognised(stream, name)
    if isinstance(found, Guess):
        extends = any(line.key == "extends" for line in found.settings)
        return borne_out(found, look) if with_library or not extends else found
    return _best(found, zone, name, look)


def _recognised(stream: BinaryIO, name: str) -> Guess | list[Table]:
    """What a file of a known kind is read by; of any other, the tables that it may be."""
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


def _best(tables: Sequence[Table], zone: str | None, name: str, look: Look) -> Guess:
    """Of several ways to see the file, the first whose preview speaks against nothing; or else the one
    by which the least is lost."""
    found: list[tuple[Guess, Trial]] = []
    problem: Misuse | None = None
    for table in (replace(each, name=name) for each in tables):
        try:
            guess, trial = judged(_of(table, zone), table, look)
        except Misuse as error:
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
    """A profile for a table that is of no known kind."""
    found = when.when(table, _prefer(zone))
    if found is None:
        titles = ", ".join(repr(c.title or c.reference) for c in table.columns[:12])
        raise Misuse(f"no column with a recognizable time; found {titles}")
    found = fraction.refined(found, [c for c in table.columns if not c.above])
    settings, columns, todo = what.lines(table, found)
    time = when.lines(found)
    absolute = found.read.offset
    stated = None if absolute else _zone(found, table)
    if stated is not None:
        time += [stated] if zone is None else zoned(zone, "as told")
    doubts = [found.read.doubt] if found.read.doubt else []
    if not absolute and stated is None and zone is None:
        doubts += when.abbreviated(found)
    return Guess(
        (*_format(table), *settings),
        tuple(time),
        tuple(columns),
        (*table.todo, *doubts, *todo),
        not absolute and stated is None,
    )


def _zone(found: when.When, table: Table) -> Line | None:
    """The zone that the file states."""
    named = when.zone_of(found) or when.zone_above(table.preamble)
    return named or (when.zone_around(table.above) if _is_xml(table) else None)


def _is_xml(table: Table) -> bool:
    return any(line.key == "format" and line.value == "xml" for line in table.settings)


def _format(table: Table) -> list[Line]:
    named = any(line.key == "format" for line in table.settings)
    return list(table.settings) if named else [Line("format", "csv"), *table.settings]


def _prefer(zone: str | None) -> str:
    """Who writes the month first."""
    return "mdy" if zone and re.match(r"America/|US/|-0[4-8]:00$", zone) else ""
