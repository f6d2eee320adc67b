"""Proposes a profile for a described table. If the description does not specify a property, the user must
add it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sensorflow.core.exchange.described import Described, Field
from sensorflow.core.sniff.guess import Guess, Line, comment
from sensorflow.core.times import timeformats

SENSOR = (
    "the sensor is not described: name it. The proposal uses the file's name without the ending"
)
NO_TIME = "no column is a time: set the time column, as in [time] column = ... and format = ..."
BARE = r"^[^\d.+-]*([+-]?[\d.,' ]*\d(?:[eE][+-]?\d+)?)\D*$"


@dataclass(frozen=True)
class Imported:
    """An imported profile. guess: the proposed profile. omitted: properties of the description that a
    profile cannot express."""

    guess: Guess
    omitted: tuple[str, ...]

    def toml(self) -> str:
        notes = "".join(f"# Not in the profile: {comment(text)}\n" for text in self.omitted)
        return f"{notes}{self.guess.toml()}"


def proposed(given: Described) -> Imported:
    times = _times(given)
    doubts = list(given.doubts)
    settings = [Line(key, value) for key, value in given.settings.items()]
    if given.settings.get("header") == 0:
        settings.append(Line("names", [f.name for f in given.fields], "the file has no header"))
    settings += _signs(given, doubts)
    settings += _sensor(given, times, doubts)
    numbers = [
        f for f in given.fields if f.kind in ("number", "integer") and f.name not in given.key
    ]
    if not numbers:
        doubts.append("no column is a number: list the measured columns in [columns]")
    used = {*(f.name for f in (*times, *numbers)), *_identity(given, times)}
    if unused := [f for f in given.fields if f.name not in used]:
        reason = ", ".join(dict.fromkeys(f.declared or f.kind for f in unused))
        settings.append(Line("ignore", [f.name for f in unused], f"no readings: {reason}"))
    settings += _bounds(times)
    if rules := _rules(numbers, given):
        settings.append(Line("rules", rules, "constraints"))
    columns = tuple(_column(f) for f in numbers)
    time, needs_zone = _time(times, doubts)
    omitted = [*given.omitted, *_unread(given, times)]
    return Imported(
        Guess(tuple(settings), tuple(time), columns, tuple(doubts), needs_zone), tuple(omitted)
    )


def _times(given: Described) -> list[Field]:
    """Return the time column, or the date and time columns. Columns in the primary key come first."""
    found = [f for f in given.fields if f.kind in ("datetime", "date", "time")]
    found.sort(key=lambda f: f.name not in given.key)
    for kinds in (("datetime",), ("date", "time"), ("date",)):
        chosen = [next((f for f in found if f.kind == kind), None) for kind in kinds]
        if all(chosen):
            return [f for f in chosen if f is not None]
    return []


def _time(times: list[Field], doubts: list[str]) -> tuple[list[Line], bool]:
    if not times:
        doubts.append(NO_TIME)
        return [], False
    names = [f.name for f in times]
    lines = [Line("column", names[0]) if len(names) == 1 else Line("columns", names)]
    written = " ".join(f.format for f in times)
    if all(f.format for f in times) and written != "iso8601":
        lines.append(Line("format", written))
    known = all(f.format for f in times) and not _has_offset(written)
    return lines, known


def _has_offset(written: str) -> bool:
    """Return whether all times of this format have an offset.

    Returns False for ISO 8601, where the offset is optional.
    """
    return "%z" in written or "%Z" in written


def _identity(given: Described, times: list[Field]) -> list[str]:
    """If the primary key includes the time, return its other columns, which identify the sensor."""
    if not any(f.name in given.key for f in times):
        return []
    at = {f.name for f in given.fields if f.kind in ("datetime", "date", "time")}
    names = {f.name for f in given.fields}
    return [name for name in given.key if name not in at and name in names]


def _sensor(given: Described, times: list[Field], doubts: list[str]) -> Iterator[Line]:
    found = _identity(given, times)
    if len(found) == 1:
        yield Line("sensor", found[0], "in the primary key with the time")
    elif found:
        yield Line(
            "sensor", "/".join(f"{{{name}}}" for name in found), "in the primary key with the time"
        )
    else:
        doubts.append(SENSOR)
        yield Line("sensor", {"file_name": r"^(.+?)(?:\.[^.]*)?$"})


def _signs(given: Described, doubts: list[str]) -> Iterator[Line]:
    numbers = [f for f in given.fields if f.kind in ("number", "integer")]
    for key, plain in (("decimal", "."), ("thousands", "")):
        signs = {getattr(f, key) for f in numbers if key != "decimal" or f.kind == "number"}
        if len(signs) == 1 and signs != {plain}:
            yield Line(key, signs.pop())
        elif len(signs) > 1:
            each = ", ".join(f"{f.name} {getattr(f, key)!r}" for f in numbers)
            grouped = sorted(signs - {""})
            if key == "thousands" and len(grouped) == 1:
                yield Line(key, grouped[0], "described for some columns, but applies to all")
            else:
                doubts.append(
                    f"{key}: a profile has one value for all columns, but here the columns differ: {each}"
                )


def _column(given: Field) -> Line:
    cell: dict[str, Any] = {"type": given.type} if given.type else {}
    cell |= {"unit": given.unit} if given.unit else {}
    cell |= {"missing": list(given.missing)} if given.missing else {}
    cell |= {"clean": BARE} if not given.bare else {}
    return Line(given.name, cell)


def _rules(numbers: list[Field], given: Described) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    for each in numbers:
        rule: dict[str, Any] = {"integer": True} if each.kind == "integer" else {}
        rule |= {"required": True} if each.required else {}
        for key, text in (("min", each.minimum), ("max", each.maximum)):
            if text is not None and (number := _number(text)) is not None:
                rule[key] = number
            elif text is not None:
                given.omitted.append(f"{each.name}: {key}imum = {text!r} is not a number")
        allowed = [_number(text) for text in each.allowed]
        if allowed and None not in allowed:
            rule["allowed"] = allowed
        elif allowed:
            given.omitted.append(
                f"{each.name}: enum = {list(each.allowed)!r} contains texts that are not numbers"
            )
        if rule:
            rules[each.type or each.name] = rule
    return rules


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _bounds(times: list[Field]) -> Iterator[Line]:
    """Yield the profile keys for the limits of the time, if the time is in one column and the limits are
    dates."""
    if len(times) != 1:
        return
    for key, text in (("earliest", times[0].minimum), ("latest", times[0].maximum)):
        if text is not None and timeformats.date(text):
            yield Line(key, text, "from the column's constraints")


def _unread(given: Described, times: list[Field]) -> Iterator[str]:
    bounded = {f.name for f in times} if len(times) == 1 else set()
    for each in given.fields:
        if each.kind in ("number", "integer"):
            continue
        limits = [text for text in (each.minimum, each.maximum) if text is not None]
        dated = each.name in bounded and all(timeformats.date(text) for text in limits)
        if limits and not dated:
            yield f"{each.name}: minimum, maximum = {', '.join(limits)}: rules apply only to numbers"
        if each.allowed:
            yield f"{each.name}: enum = {list(each.allowed)!r}: rules apply only to numbers"
        if each.required and each not in times:
            yield f"{each.name}: required: rules apply only to numbers"
