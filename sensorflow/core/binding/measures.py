"""The measured columns of one file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from sensorflow.core.binding.binding import Extract, Grade, Measure, Text
from sensorflow.core.binding.columns import Columns, text_of
from sensorflow.core.binding.fields import find
from sensorflow.core.binding.notes import Notes
from sensorflow.core.numbers import Style
from sensorflow.core.patterns import search
from sensorflow.core.profile.cells import Cell, Column, Each
from sensorflow.errors import Code, Permanent


class Measures:
    """Finds the measured columns of a file. titled: whether the titles of these columns contain a part of
    the time."""

    def __init__(self, columns: Columns, notes: Notes, titled: bool) -> None:
        self.profile, self.columns, self.notes = columns.profile, columns, notes
        self.titled = titled

    def all(self, used: set[int]) -> tuple[Measure, ...]:
        """Return all measured columns. used: columns that are already used for another purpose. Raises
        Permanent."""
        return tuple(self._all(used))

    def _all(self, used: set[int]) -> Iterable[Measure]:
        profile = self.profile
        sensor, unit = self.columns.text(profile.sensor), self.columns.text(profile.unit)
        kind = self.columns.text(profile.type)
        used = used | {c for text in (sensor, unit, kind) for c in text.columns}
        used |= {i for name in profile.ignore for i in self.columns.matching(name)}
        used |= {self.columns.column(name) for name in (*profile.where, *profile.fill_down)}
        if profile.quality is not None:
            used.add(self.columns.column(profile.quality.column))
        if profile.value is not None:
            yield self._measure(self.columns.column(profile.value), Cell(), kind, unit, sensor)
            return
        assigned: dict[object, tuple[int, bool]] = {}
        for name, column in profile.columns.items():
            place = find(name, self.columns.fields)
            if place is None:
                self._miss(name, column)
                continue
            used.add(place)
            if column.quality is not None:
                used.add(self.columns.column(column.quality.column))
            if column.hemisphere is not None:
                used.add(self.columns.column(column.hemisphere))
            measure = self._wide(place, column, {}, kind, unit, sensor)
            self._add(assigned, measure, chosen=column.type is not None)
            yield measure
        for each in profile.each:
            for place, groups in self._each(each, used):
                used.add(place)
                measure = self._wide(place, each, groups, kind, unit, sensor)
                self._add(assigned, measure)
                yield measure

    def _add(
        self, assigned: dict[object, tuple[int, bool]], measure: Measure, chosen: bool = False
    ) -> None:
        """Add a measured column. Raises Permanent if another column with the same title would yield the
        same readings. chosen: whether the profile sets the type of exactly this column. Two chosen columns
        may have the same type, for example for redundant sensors."""
        what = self.columns.fields[measure.column].name, measure.type, measure.sensor, measure.time
        first, meant = assigned.setdefault(what, (measure.column, chosen))
        if first != measure.column and not (chosen and meant):
            raise self._twice(first, measure.column)

    def _twice(self, first: int, second: int) -> Permanent:
        name, one = self.columns.fields[first].name, f'"#{second + 1}"'
        what = (
            f'two columns of the same type and sensor are titled {name!r}, "#{first + 1}" and {one}'
        )
        do = f"in the profile, add {one} to columns with its own type, or add it to ignore"
        return Permanent(Code.COLUMN_MISSING, what, column=name, do=f"{do}; then replay")

    def _each(self, each: Each, used: set[int]) -> Iterable[tuple[int, dict[str, str]]]:
        excluded = used | {i for name in each.exclude for i in self.columns.matching(name)}
        for place, found in enumerate(self.columns.fields):
            match = search(each.match, found.name)
            if match is None or place in excluded:
                continue
            numbered = {str(i + 1): g or "" for i, g in enumerate(match.groups())}
            rows = {f"row{i + 1}": title for i, title in enumerate(found.titles)}
            named = {k: v.strip() for k, v in match.groupdict(default="").items()}
            yield place, {**rows, **numbered, **named}

    def _wide(
        self,
        place: int,
        column: Column,
        groups: dict[str, str],
        kind: Text,
        unit: Text,
        sensor: Text,
    ) -> Measure:
        found = self.columns.fields[place]
        known = {"name": found.name, **groups}

        def text_for(given: str | None, group: str, header: str, default: Text) -> Text:
            if given is not None:
                return self.columns.template(given, known)
            if groups.get(group):
                return Text((groups[group],))
            return text_of(header) if header else default

        if column.unit and found.unit and found.unit != column.unit and "{" not in column.unit:
            self.notes.note(
                "changed", f"{found.name}: unit {found.unit!r}, the profile has {column.unit!r}"
            )
        default = kind if kind.parts else text_of(found.name)
        times: tuple[Text, ...] = ()
        if self.titled and self.profile.time is not None:
            times = tuple(
                self.columns.template(source.template or "", known)
                if self.columns.is_titled(source)
                else self.columns.text(source)
                for source in self.profile.time.origins
            )
        measure = self._measure(
            place,
            column,
            text_for(column.type, "type", found.type, default),
            text_for(column.unit, "unit", found.unit, unit),
            text_for(column.sensor, "sensor", found.sensor, sensor),
        )
        return replace(measure, time=times)

    def _measure(self, place: int, cell: Cell, kind: Text, unit: Text, sensor: Text) -> Measure:
        profile = self.profile
        quality = cell.quality or profile.quality
        grade = None
        if quality is not None:
            good = (*quality.good, *quality.missing)
            grade = Grade(self.columns.column(quality.column), good, quality.reject)

        def either(name: str, default: object = None) -> object:
            value = getattr(cell, name)
            value = getattr(profile, name) if value is None else value
            return default if value is None else value

        style = Style(
            (*(profile.missing or ()), *(cell.missing or ())),
            profile.decimal,
            profile.thousands,
            either("clean"),  # type: ignore[arg-type]
            either("values"),  # type: ignore[arg-type]
            either("missing_below"),  # type: ignore[arg-type]
            either("missing_above"),  # type: ignore[arg-type]
            either("scale", 1.0),  # type: ignore[arg-type]
            either("offset", 0.0),  # type: ignore[arg-type]
            cell.angle,
        )
        if style.clean is not None and "unit" in re.compile(style.clean).groupindex:
            unit = Text((Extract(place, style.clean, group="unit", otherwise=unit),))
        half = self.columns.column(cell.hemisphere) if cell.hemisphere is not None else None
        name = self.columns.fields[place].name
        return Measure(place, name, kind, unit, sensor, style, grade, hemisphere=half)

    def _miss(self, name: str, column: Column) -> None:
        if not column.optional and self.notes.policy.missing == "quarantine":
            raise self.columns.absent(name)
        if not column.optional:
            self.notes.texts.append(f"missing column {name!r}")
