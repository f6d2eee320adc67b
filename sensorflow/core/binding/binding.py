"""The binding of a profile to the columns of a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from sensorflow.core.numbers import Style
from sensorflow.core.profile import Profile
from sensorflow.core.times.clock import Clock


@dataclass(frozen=True)
class Extract:
    """Extracts a text from each cell of a column: the part of the cell that a group of `pattern` matches.
    group: the name of this group; None for the first group. pattern: a regular expression; if it is None,
    the text is the whole cell.

    default: the text for an empty cell. otherwise: the text for a cell that the pattern does not match.
    """

    column: int
    pattern: str | None = None
    default: str | None = None
    group: str | None = None
    otherwise: Text | None = None

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.column, *(self.otherwise.columns if self.otherwise else ()))


@dataclass(frozen=True)
class Text:
    """A text that is built for each row. parts: the parts of the text in order; each part is a constant,
    the index of a column, or an `Extract`. If there are no parts, the rows have no text."""

    parts: tuple[str | int | Extract, ...] = ()

    @property
    def constant(self) -> str | None:
        return "".join(map(str, self.parts)) if self.parts and not self.columns else None

    @property
    def columns(self) -> tuple[int, ...]:
        columns_of_parts = (
            part.columns if isinstance(part, Extract) else (part,) for part in self.parts
        )
        return tuple(
            index for indexes in columns_of_parts for index in indexes if isinstance(index, int)
        )


@dataclass(frozen=True)
class Grade:
    """The column in which the logger grades the quality of a reading. good, reject: see
    `profile.cells.Quality`."""

    column: int
    good: tuple[str, ...]
    reject: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """One measured column. time: how to build the time of the column's readings; empty unless the column's
    title contains a part of the time. hemisphere: the index of the column with N, S, E or W, or None."""

    column: int
    name: str
    type: Text
    unit: Text
    sensor: Text
    style: Style
    grade: Grade | None = None
    time: tuple[Text, ...] = ()
    hemisphere: int | None = None


@dataclass(frozen=True)
class Binding:
    """The binding of a profile to a file's columns: says which column each part of a reading comes from.

    names: names of all columns. where: (column, values) pairs; a row is skipped unless the column contains
    one of the values. fill: columns in which an empty cell repeats the text above it. rescued: columns that
    the profile does not mention and whose cells are stored with the reading. drift: descriptions of
    differences from the profile. untitled: columns without a title. A cell with a value in such a column
    counts as drift. strict: whether such a cell rejects the file. zone: how to build the zone of each row;
    None if no column contains it. dst: the column that says whether daylight saving time is in effect.
    needed: all columns that the binding uses.
    """

    names: tuple[str, ...]
    time: tuple[Text, ...]
    formats: tuple[str, ...]
    clock: Clock
    measures: tuple[Measure, ...]
    where: tuple[tuple[int, tuple[str, ...]], ...] = ()
    fill: tuple[int, ...] = ()
    rescued: tuple[int, ...] = ()
    drift: tuple[str, ...] = ()
    untitled: tuple[int, ...] = ()
    strict: bool = False
    zone: Text | None = None
    dst: int | None = None
    needed: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        texts = [*self.time, *([self.zone] if self.zone else [])]
        for measure in self.measures:
            texts += [*measure.time, measure.type, measure.unit, measure.sensor]
        used = {c for text in texts for c in text.columns} | {m.column for m in self.measures}
        used |= {m.grade.column for m in self.measures if m.grade}
        used |= {m.hemisphere for m in self.measures if m.hemisphere is not None}
        used |= {column for column, _ in self.where} | set(self.fill) | set(self.rescued)
        used |= set(self.untitled)
        used |= {self.dst} if self.dst is not None else set()
        object.__setattr__(self, "needed", tuple(sorted(used)))


EMPTY_BINDING = Binding((), (), (), Clock(), ())
"""The binding that yields no rows."""

DECODED = ("time", "sensor", "type", "unit", "value", "quality")
"""The columns of every decoded format, such as SenML."""


def decoded(profile: Profile, formats: tuple[str, ...], zone: str | None = None) -> Binding:
    """Return the binding for the `DECODED` columns. zone: the format's zone. It applies unless the profile
    sets a zone."""
    time = profile.time
    if time is not None and time.zone is not None:
        zone = time.zone.constant
    sensor, kind, unit = Text((1,)), Text((2,)), Text((3,))
    style = Style(profile.missing or ())
    grade = Grade(5, ("", *(q.good + q.missing if (q := profile.quality) else ())), ())
    measure = Measure(4, "value", kind, unit, sensor, style, grade)
    return Binding(DECODED, (Text((0,)),), formats, Clock(zone), (measure,))
