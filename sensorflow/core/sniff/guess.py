"""What sniffing proposes: a profile as TOML, with the reason for each line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sensorflow.core.times.timeformats import fixed_offset

Value = str | int | float | bool | Sequence["Value"] | Mapping[str, "Value"]
"""What a line of TOML can hold here."""

NO_ZONE = "the times carry no offset: say which clock they follow, as in --zone Europe/Berlin"


@dataclass(frozen=True)
class Line:
    """A key of the profile. why: what the guess rests on, for people."""

    key: str
    value: Value
    why: str = ""


@dataclass(frozen=True)
class Guess:
    """A profile, key by key: those of the profile, of its [time] and of its [columns].

    todo: what a person must still say. needs_zone: among that, the zone of the times.
    """

    settings: tuple[Line, ...]
    time: tuple[Line, ...] = ()
    columns: tuple[Line, ...] = ()
    todo: tuple[str, ...] = ()
    needs_zone: bool = False

    def in_zone(self, zone: str, why: str) -> Guess:
        """The same where the times are those of `zone`, if there was need to say."""
        if not self.needs_zone:
            return self
        time = (*self.time, *zoned(zone, why))
        return replace(self, time=time, needs_zone=False)

    def toml(self) -> str:
        """A file that `sensorflow check --profile` takes as it is."""
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


def zoned(zone: str, why: str) -> tuple[Line, ...]:
    """A zone of [time]. One whose clock is put back has an hour twice: the rows' order tells which."""
    line = Line("zone", zone, why)
    if fixed_offset(zone) is not None:
        return (line,)
    return line, Line("ambiguous", "order", "an hour that exists twice is told by the rows' order")


def lines(given: Iterable[Line]) -> list[str]:
    """Short reasons stand behind their line, long ones above it."""
    out: list[str] = []
    for each in given:
        text = f"{key(each.key)} = {toml(each.value)}"
        why = comment(each.why)
        if why and len(text) + len(why) > 100:
            out.append(f"# {why}")
        elif why:
            text += f"  # {why}"
        out.append(text)
    return out


def comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()


def key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def toml(value: Value) -> str:
    """One value, on one line unless it is a long list of texts."""
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
    whole = "[" + ", ".join(cells) + "]"
    return whole if len(whole) <= 100 else "[\n" + "".join(f"  {c},\n" for c in cells) + "]"


def _text(text: str) -> str:
    """A literal string where it spares escapes, as regular expressions want it."""
    if ("\\" in text or '"' in text) and "'" not in text and text.isprintable():
        return f"'{text}'"
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in quoted)
