"""A proposal: a profile in TOML, with the reason for each line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sensorflow.core.times.timeformats import fixed_offset

Value = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]
"""The value of a TOML line in a proposal."""

NO_ZONE = "the times have no offset: state their time zone, as in --zone Europe/Berlin"


@dataclass(frozen=True)
class Line:
    """A key of the profile with its value. reason: the reason for this value, which becomes a comment
    for the user."""

    key: str
    value: Value
    reason: str = ""


@dataclass(frozen=True)
class Guess:
    """A proposed profile. settings: the keys of the profile itself. time, columns: the keys of its tables
    [time] and [columns].

    todo: questions that the user must answer. needs_zone: whether the user must also set the zone of the
    times.
    """

    settings: tuple[Line, ...]
    time: tuple[Line, ...] = ()
    columns: tuple[Line, ...] = ()
    todo: tuple[str, ...] = ()
    needs_zone: bool = False

    def in_zone(self, zone: str, reason: str) -> Guess:
        """Return the proposal with this zone, if it needs a zone; otherwise return it unchanged."""
        if not self.needs_zone:
            return self
        time = (*self.time, *zoned(zone, reason))
        return replace(self, time=time, needs_zone=False)

    def toml(self) -> str:
        """Return the content of a profile file that `sensorflow check --profile` accepts."""
        out = [f"# TODO: {comment(text)}" for text in self.todo]
        out += [""] if out else []
        out += lines(self.settings)
        if self.time or self.needs_zone:
            out += ["", "[time]", *lines(self.time)]
        if self.needs_zone:
            out += [f'# zone = "..."  # TODO: {NO_ZONE}']
        if self.columns:
            out += ["", "[columns]", *lines(self.columns)]
        return "\n".join(out) + "\n"


def zoned(zone: str, reason: str) -> tuple[Line, ...]:
    """Return the lines of [time] for a zone. When daylight saving time ends, an hour of local time
    occurs twice. The order of rows then decides whether a time is in the first or the second of these
    hours."""
    line = Line("zone", zone, reason)
    if fixed_offset(zone) is not None:
        return (line,)
    return line, Line("ambiguous", "order", "the order of rows decides in the repeated hour")


def lines(given: Iterable[Line]) -> list[str]:
    """Return the TOML lines, with the reasons as comments. A short comment is at the end of its line. A
    long comment is on the line before."""
    out: list[str] = []
    for each in given:
        text = f"{key(each.key)} = {toml(each.value)}"
        reason = comment(each.reason)
        if reason and len(text) + len(reason) > 100:
            out.append(f"# {reason}")
        elif reason:
            text += f"  # {reason}"
        out.append(text)
    return out


def comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()


def key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def toml(value: Value) -> str:
    """Return a value in TOML. Only a long list has several lines."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        return "{ " + ", ".join(f"{key(k)} = {toml(v)}" for k, v in value.items()) + " }"
    cells = [toml(v) for v in value]
    one_line = "[" + ", ".join(cells) + "]"
    return one_line if len(one_line) <= 100 else "[\n" + "".join(f"  {c},\n" for c in cells) + "]"


def _text(text: str) -> str:
    """Return a text as a TOML string. It is a literal string if this avoids escapes, for example in
    regular expressions."""
    if ("\\" in text or '"' in text) and "'" not in text and text.isprintable():
        return f"'{text}'"
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in quoted)
