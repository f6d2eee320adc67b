"""Functions that return a proposal with another sensor, type or set of columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sensorflow.core.profile.text_source import TEMPLATE
from sensorflow.core.sniff import sensor_columns
from sensorflow.core.sniff.guess import Guess, Line, Value
from sensorflow.core.sniff.table import Column


def of(guess: Guess, key: str) -> Any:
    """Return the value of a key of the proposed profile, or None if the key is not set."""
    return next((line.value for line in guess.settings if line.key == key), None)


def put(guess: Guess, key: str, value: Value, reason: str = "") -> Guess:
    """Return the proposal with a new value for a key."""
    line = Line(key, value, reason)
    if of(guess, key) is None:
        return replace(guess, settings=(*guess.settings, line))
    return replace(guess, settings=tuple(line if o.key == key else o for o in guess.settings))


def without(guess: Guess, key: str) -> Guess:
    return replace(guess, settings=tuple(o for o in guess.settings if o.key != key))


def references(value: Any) -> list[str]:
    """Return the names of the columns that a text source uses."""
    if isinstance(value, Mapping):
        return [str(value["column"])] if "column" in value else []
    return TEMPLATE.findall(value) or [value] if isinstance(value, str) else []


def timed(guess: Guess) -> list[str]:
    found: list[str] = []
    for line in guess.time:
        if line.key == "column":
            found += references(line.value)
        elif line.key == "columns" and not isinstance(line.value, str | int | float):
            found += [name for part in line.value for name in references(part)]
    return found


def used(guess: Guess, column: Column) -> Guess | None:
    """Return the proposal without `column` among its measured and ignored columns, because the column
    gets another purpose. Returns None if no measured column remains."""
    ignored = of(guess, "ignore")
    if ignored is not None and column.reference in ignored:
        left = [name for name in ignored if name != column.reference]
        reason = next(o.reason for o in guess.settings if o.key == "ignore")
        guess = put(guess, "ignore", left, reason) if left else without(guess, "ignore")
    other_lines = tuple(line for line in guess.columns if line.key != column.reference)
    if guess.columns and not other_lines:
        return None
    return replace(guess, columns=other_lines)


def with_sensor(guess: Guess, column: Column) -> Guess:
    """Return the proposal with a column added to the name of the sensor."""
    old = of(guess, "sensor")
    reason = f"distinguishes readings of the same time; {sensor_columns.few(column)}"
    if re.search(r"[{}]", column.reference):
        return put(guess, "sensor", sensor_columns.origin(column), reason)
    mine = f"{{{column.reference}}}"
    if isinstance(old, Mapping) and "preamble" in old:
        guess = put(guess, "captures", {"logger": old})
        return put(guess, "sensor", f"{{logger}}/{mine}", reason)
    names = references(old)
    if not names:
        return put(guess, "sensor", sensor_columns.origin(column), reason)
    template = "/".join(f"{{{name}}}" for name in names)
    return put(guess, "sensor", f"{template}/{mine}", reason)


def with_type(guess: Guess, column: Column) -> Guess | None:
    """Return the proposal with a column added to the name of the type. Returns None if a profile cannot
    express this."""
    if re.search(r"[{}]", column.reference):
        return None
    mine, reason = (
        f"{{{column.reference}}}",
        f"distinguishes readings of the same time; {sensor_columns.few(column)}",
    )
    names = references(of(guess, "type"))
    if names:
        template = " ".join(f"{{{name}}}" for name in names)
        return put(guess, "type", f"{template} {mine}", reason)
    if not guess.columns:
        return None
    new_lines = []
    for line in guess.columns:
        cell = dict(line.value) if isinstance(line.value, Mapping) else {}
        kind = str(cell.get("type", line.key))
        if re.search(r"[{}]", kind):
            return None
        new_lines.append(Line(line.key, {**cell, "type": f"{kind} {mine}"}, line.reason or reason))
    return replace(guess, columns=tuple(new_lines))
