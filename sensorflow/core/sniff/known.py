"""Recognizes files of known kinds. Proposes a library profile for each of them."""

from __future__ import annotations

import re

from sensorflow.core.sniff import filename, grid, markup, numeric, times
from sensorflow.core.sniff.guess import Guess, Line
from sensorflow.core.sniff.head import Text
from sensorflow.core.sniff.table import Column, Table
from sensorflow.errors import UsageError

_INFLUX = re.compile(
    r"(?:\\.|[^\\,=\s\"{#])+(?:,(?:\\.|[^\\,= ])+=(?:\\.|[^\\,= ])+)* "
    r"(?:\\.|[^\\,= \"])+=(?:\"(?:\\.|[^\\\"])*\"|[^\s,\"]+)"
    r"(?:,(?:\\.|[^\\,= \"])+=(?:\"(?:\\.|[^\\\"])*\"|[^\s,\"]+))*(?: (-?\d+))?"
)
_DIGITS = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us"}


def of_text(text: Text, name: str = "") -> Guess | None:
    """Return the proposal for a text file of a known kind, which is recognized by its first lines.
    Return None for other files. name: the file's name, which may contain the station."""
    lines = [line for line in text.text.split("\n")[:60] if line.strip()]
    if not lines:
        raise UsageError("the file is empty")
    if markup.is_xml(text.text):
        found = markup.kind(text.text)
        return _extending(*found) if found else None
    for recognise in (_nem12, _influx, _annotated, _epw, _tmy3, _surfrad):
        recognised = recognise(lines)
        if recognised is not None:
            return Guess(
                (*recognised.settings, *text.settings), recognised.time, recognised.columns
            )
    if re.match(r'"?TOA5"?,', lines[0]):
        return _toa5(text)
    if re.match(r"#YY +MM +DD +hh +mm ", lines[0]) and "GTIME" not in lines[0]:
        return _ndbc(text, name)
    return None


def _extending(name: str, reason: str, *more: Line, time: tuple[Line, ...] = ()) -> Guess:
    return Guess((Line("extends", name, reason), *more), time)


def _nem12(lines: list[str]) -> Guess | None:
    begins = lines[0].startswith("100,NEM12")
    bare = lines[0].startswith("200,") and len(lines) > 1 and lines[1].startswith("300,")
    return _extending("nem12", "records 100, 200, 300 of NEM12") if begins or bare else None


def _influx(lines: list[str]) -> Guess | None:
    found = [_INFLUX.fullmatch(line.strip()) for line in lines if not line.startswith("#")]
    good = [match for match in found if match]
    if not good or len(good) < 0.8 * len(found):
        return None
    digits = {len(match[1].lstrip("-")) for match in good if match[1]}
    unit = _DIGITS.get(digits.pop()) if len(digits) == 1 else None
    time = (Line("format", unit, "according to the number of digits"),) if unit else ()
    return _extending("influx", "InfluxDB line protocol", time=time)


def _annotated(lines: list[str]) -> Guess | None:
    if not re.match(r"#(datatype|group|default),|,result,table,", lines[0]):
        return None
    header = next((line for line in lines if line.startswith(",result,table")), "")
    named = {"_time", "_value", "_field", "_measurement"} <= set(header.strip().split(","))
    return _extending("influx-csv", "annotated CSV of InfluxDB") if named else None


def _epw(lines: list[str]) -> Guess | None:
    right = lines[0].startswith("LOCATION,") and any(
        line.startswith("DATA PERIODS") for line in lines[:9]
    )
    return _extending("epw", "EnergyPlus weather: LOCATION … DATA PERIODS") if right else None


def _tmy3(lines: list[str]) -> Guess | None:
    right = len(lines) > 1 and lines[1].startswith("Date (MM/DD/YYYY),Time (HH:MM),")
    return (
        _extending("tmy3", "TMY3: a line with the site, then the titles of NREL") if right else None
    )


def _surfrad(lines: list[str]) -> Guess | None:
    place = len(lines) > 2 and re.match(r"\s*-?\d+\.\d+\s+-?\d+\.\d+\s+\d+\s+m\s+version", lines[1])
    if not place or len(lines[2].split()) != 48:
        return None
    return _extending("surfrad", "SURFRAD: station, place, and 48 columns")


def _toa5(text: Text) -> Guess:
    """Return the proposal for a TOA5 table, which has four header rows. Columns whose cells are texts
    are ignored."""
    rows = [r for r in grid.rows_of(text.text.split("\n"), ",") if r.text.strip()]
    if len(rows) < 5:
        raise UsageError("the TOA5 file has no data row")
    titles, data = rows[1].cells, rows[4:]
    texts = _texts([t or f"#{i + 1}" for i, t in enumerate(titles)], data, {"TIMESTAMP"})
    ignore = ["RECORD", *(t for t in texts if t != "RECORD")]
    more = (Line("ignore", ignore, "the counter, columns of texts"),) if len(ignore) > 1 else ()
    toa5 = _extending("toa5", "a Campbell TOA5 table", *text.settings, *more)
    return Guess(toa5.settings, needs_zone=True)


def _ndbc(text: Text, name: str) -> Guess:
    rows = [r for r in grid.rows_of(text.text.split("\n"), "whitespace") if r.text.strip()]
    titles = [t.lstrip("#") for t in rows[0].cells]
    texts = _texts(titles, rows[2:], set(titles[:5]))
    more = [Line("ignore", texts, "texts")] if texts else []
    if name and not re.search(r"(?i)(?<![0-9a-z])[0-9a-z]{5}(?![0-9a-z])", name):
        more.append(filename.sensor(name)[0])
    return _extending(
        "ndbc", "a buoy of NOAA NDBC: two rows that begin with #", *text.settings, *more
    )


def _texts(titles: list[str], rows: list[grid.Row], but: set[str]) -> list[str]:
    """Return the titles of the columns whose cells are texts. but: titles of columns that are left out
    of the result."""
    columns = [
        Column(i, title, title, [r.cells[i] for r in rows if i < len(r.cells)])
        for i, title in enumerate(titles)
    ]
    text_columns = [c for c in columns if c.title not in but and c.counts]
    return [c.title for c in text_columns if numeric.numeric(c) is None]


def of_table(table: Table, kind: str) -> Guess | None:
    """Return the proposal for an export of HOBOware. It is recognized by the serial number of the logger
    in its titles. Return None for other tables."""
    time = next((c for c in table.columns if c.title.startswith("Date Time")), None)
    measured = re.compile(r"[^,(]+, .+? \(LGR S/N: \d+")
    if time is None or not any(measured.match(c.title) for c in table.columns):
        return None
    found = times.read(time.cells, time.title)
    if found is None:
        return None
    kept_settings = [
        line for line in table.settings if line.key in ("encoding", "delimiter", "decimal", "sheet")
    ]
    styles = [n for c in table.columns if (n := numeric.numeric(c)) and n.thousands]
    kept_settings += [Line("thousands", ",", "thousands separator")] if styles else []
    settings = [Line("extends", "hobo", "HOBOware: titles with LGR S/N")]
    if kind != "csv":
        settings.append(Line("format", kind))
    formats = found.formats[0] if len(found.formats) == 1 else list(found.formats)
    lines = [Line("format", formats, found.reason)]
    zoned = "GMT" in time.title
    todo = (found.doubt,) if found.doubt else ()
    return Guess((*settings, *kept_settings), tuple(lines), todo=todo, needs_zone=not zoned)
