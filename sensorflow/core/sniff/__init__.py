"""A profile proposed for a file, from its first bytes alone.

What the file says itself (a signature, a title, an offset) is taken; what it does not say is guessed
from what its columns hold; what cannot be known (the zone of a clock) is left to a person.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import BinaryIO

from sensorflow.core.profile import check_zone
from sensorflow.core.sniff import dialect, documents, head, known, networks, sheets, what, when
from sensorflow.core.sniff.guess import Guess, Line, zoned
from sensorflow.core.sniff.table import Table
from sensorflow.errors import Misuse, Permanent

__all__ = ["Guess", "sniff"]


def sniff(stream: BinaryIO, zone: str | None = None, name: str = "") -> Guess:
    """stream: can seek; about a MiB of its plain bytes is read.

    zone: of times that carry no offset; it is never guessed. name: of the file, where a sensor may be
    called by it. Misuse where nothing can be proposed.
    """
    if zone is not None:
        _check(zone)
    try:
        guess = _sniff(stream, zone, name)
    except Permanent as error:
        raise Misuse(" ".join(error.message.split())) from error
    return guess if zone is None else guess.in_zone(zone, "as told")


def _check(zone: str) -> None:
    try:
        check_zone(zone)
    except ValueError as error:
        raise Misuse(f"--zone {zone!r}: {error}") from error


def _sniff(stream: BinaryIO, zone: str | None, name: str) -> Guess:
    magic = stream.read(4)
    stream.seek(0)
    if magic == b"PAR1":
        return _of(replace(sheets.parquet(stream), name=name), zone)
    if magic == b"PK\x03\x04" and head.is_workbook(stream):
        table = replace(sheets.workbook(stream), name=name)
        return known.of_table(table, "xlsx") or _of(table, zone)
    text = head.decoded(head.opened(stream))
    if (guess := known.of_text(text, name) or networks.recognised(text)) is not None:
        return guess
    if documents.is_json(text.text):
        return documents.known(text) or _of(replace(documents.table(text), name=name), zone)
    table = replace(dialect.table(text), name=name)
    return known.of_table(table, "csv") or _of(table, zone)


def _of(table: Table, zone: str | None) -> Guess:
    """A profile for a table that is of no known kind."""
    found = when.when(table, _prefer(zone))
    if found is None:
        titles = ", ".join(repr(c.title or c.reference) for c in table.columns[:12])
        raise Misuse(f"no column tells a time in a way that can be read; found {titles}")
    settings, columns, todo = what.lines(table, found)
    time = when.lines(found)
    absolute = found.read.offset
    stated = None if absolute else when.zone_of(found) or when.zone_above(table.preamble)
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


def _format(table: Table) -> list[Line]:
    named = any(line.key == "format" for line in table.settings)
    return list(table.settings) if named else [Line("format", "csv"), *table.settings]


def _prefer(zone: str | None) -> str:
    """Who writes the month first."""
    return "mdy" if zone and re.match(r"America/|US/|-0[4-8]:00$", zone) else ""
