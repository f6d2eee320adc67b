"""The binding of a profile to the columns of a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from sensorflow.core.numbers import Style
from sensorflow.core.profile import Profile
from sensorflow.core.times.clock import Clock


@dataclass(frozen=True)
class Extract:
    """A text extracted from each cell of a column: the first group of a pattern, or the named group.

    default: the text of an empty cell. otherwise: the text of rows in which the pattern does not match."""

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
    """A text built for each row from constants and from columns by index. Has no value if it has no
    parts."""

    parts: tuple[str | int | Extract, ...] = ()

    @property
    def constant(self) -> str | None:
        return "".join(map(str, self.parts)) if self.parts and not self.columns else None

    @property
    def columns(self) -> tuple[int, ...]:
        made = (part.columns if isinstance(part, Extract) else (part,) for part in self.parts)
        return tuple(index for indexes in made for index in indexes if isinstance(index, int))


@dataclass(frozen=True)
class Grade:
    """The column that holds the quality of a reading; see `profile.cells.Quality`."""

    column: int
    good: tuple[str, ...]
    reject: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """One measured column. time: the column's own time, if a part of the time is in its title."""

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
    """The binding of a profile to a file's columns. names: names of all columns. where: rows are skipped
    unless their text in a column is one of these. fill: columns whose empty cells repeat the text above.
    rescued: columns that the profile does not use. drift: differences from the profile, for people.
    untitled: untitled columns of a table, which count as columns only if they have non-empty cells; strict:
    if they do, the file is refused. zone: the zone of each row, if a column gives it. dst: the column that
    says whether daylight saving time is in effect."""

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


NOTHING = Binding((), (), (), Clock(), ())
"""The binding that yields no rows."""

DECODED = ("time", "sensor", "type", "unit", "value", "quality")
"""The columns of a decoded format (SenML and the like), whatever its encoding."""


def decoded(profile: Profile, formats: tuple[str, ...], zone: str | None = None) -> Binding:
    """Return the binding of the `DECODED` columns. zone: the format's own zone, used unless the profile
    sets one."""
    time = profile.time
    if time is not None and time.zone is not None:
        zone = time.zone.constant
    sensor, kind, unit = Text((1,)), Text((2,)), Text((3,))
    style = Style(profile.missing or ())
    grade = Grade(5, ("", *(q.good + q.missing if (q := profile.quality) else ())), ())
    measure = Measure(4, "value", kind, unit, sensor, style, grade)
    return Binding(DECODED, (Text((0,)),), formats, Clock(zone), (measure,))
