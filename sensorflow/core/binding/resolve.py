"""A profile, applied to the columns that a file turns out to have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sensorflow.core.binding import astray
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.fields import Field, find
from sensorflow.core.binding.layout import Cut, Grade, Layout, Measure, Text
from sensorflow.core.binding.place import Place
from sensorflow.core.binding.tags import tagged
from sensorflow.core.names import composed
from sensorflow.core.numbers import Style
from sensorflow.core.patterns import LINES, search
from sensorflow.core.profile import Profile
from sensorflow.core.profile.cells import Cell, Column, Each
from sensorflow.core.profile.origin import TEMPLATE, Origin
from sensorflow.core.times.clock import Clock, Order
from sensorflow.core.times.instants import instant
from sensorflow.core.times.zones import check_zone
from sensorflow.errors import Code, Permanent

Resolve = Callable[[Sequence[Field], str], Layout]
"""(the columns, the text before the header) -> the layout; Permanent where that cannot be."""


def resolver(profile: Profile, place: Place, drift: Drift) -> Resolve:
    """The one way to a layout for every part of one file: it keeps the clock's place in the rows."""
    order = Order()

    def resolve(fields: Sequence[Field], preamble: str) -> Layout:
        asked = (drift, fields, preamble)
        last = _LAST.get(id(profile))
        if last is not None and last.asked == asked:
            return last.layout
        resolving = _Resolving(profile, place, drift, fields, preamble)
        found = resolving.layout(order)
        ordered = profile.time is not None and profile.time.ambiguous == "order"
        if not (ordered or resolving.placed):  # it holds for other files too
            if len(_LAST) >= _MANY:
                _LAST.clear()
            _LAST[id(profile)] = _Resolved(profile, asked, found)
        return found

    return resolve


_MANY = 64
"""Profiles of which the last layout is remembered: most files have the header of the one before."""


class _Resolved(NamedTuple):
    profile: Profile  # held, so that nobody else gets its id
    asked: tuple[Drift, Sequence[Field], str]
    layout: Layout


_LAST: dict[int, _Resolved] = {}


class _Resolving:
    def __init__(
        self, profile: Profile, place: Place, drift: Drift, fields: Sequence[Field], preamble: str
    ) -> None:
        self.profile, self.place, self.policy = profile, place, drift
        self.fields, self.preamble = fields, preamble
        self.notes: list[str] = []
        self.placed = False
        """Whether the layout is of this name or path alone."""

    def layout(self, order: Order) -> Layout:
        profile, time = self.profile, self.profile.time
        assert time is not None
        self.titled = any(self.is_titled(origin) for origin in time.origins)
        untitled = [origin for origin in time.origins if not self.is_titled(origin)]
        parts = tuple(self.text(origin) for origin in untitled)
        self.header = " ".join(self.fields[c].name for part in parts for c in part.columns)
        zone = self.text(time.zone)
        dst = self.column(time.dst.column) if time.dst is not None else None
        by_row = {c for part in (*parts, zone) for c in part.columns} | {dst} - {None}
        measures = tuple(self.measures({c for c in by_row if c is not None}))
        if not measures:
            raise self.absent("; ".join([*profile.columns, *(e.match for e in profile.each)]))
        where = tuple((self.column(name), texts) for name, texts in profile.where.items())
        parts = () if self.titled else parts
        made = Layout(
            tuple(f.name for f in self.fields),
            parts,
            time.format,
            self.clock(order),
            measures,
            where,
            tuple(self.column(name) for name in profile.fill_down),
            zone=zone if zone.columns else None,
            dst=dst,
        )
        new, blank = self.new(made.needed)
        rescued = (*new, *blank) if self.policy.new == "rescue" else ()
        strict = self.policy.new == "quarantine"
        notes = tuple(self.notes)
        return replace(made, rescued=rescued, drift=notes, untitled=blank, strict=strict)

    def is_titled(self, origin: Origin) -> bool:
        """Whether a part of the time is a group of the pattern of the measured columns' titles."""
        if not self.profile.each or origin.template is None:
            return False
        groups = {"name", *(str(i) for i in range(1, 10)), *(f"row{i}" for i in range(1, 21))}
        groups -= {found.name for found in self.fields}
        groups |= {g for each in self.profile.each for g in re.compile(each.match).groupindex}
        return any(name in groups for name in TEMPLATE.findall(origin.template))

    def column(self, reference: str) -> int:
        found = find(reference, self.fields)
        if found is None:
            raise self.absent(reference)
        return found

    def absent(self, reference: str) -> Permanent:
        names = ", ".join(repr(f.name) for f in self.fields)[:500]
        return Permanent(
            Code.COLUMN_MISSING,
            f"column {reference!r} is not in the header; found: {names or 'none'}",
            column=reference,
            do=astray.advice(reference, [f.name for f in self.fields][:1000], self.profile),
        )

    def text(self, origin: Origin | None) -> Text:
        if origin is None:
            return Text()
        if origin.column is not None:
            place = self.column(origin.column)
            plain = origin.match is None and origin.default is None
            part = place if plain else Cut(place, origin.match, origin.default)
            return Text((part, *self.tags(origin)))
        if origin.constant is not None:
            return Text((origin.constant,))
        if origin.template is not None:
            return self.template(origin.template, {})
        return _text(self.searched(origin))

    def tags(self, origin: Origin) -> Iterable[str | Cut]:
        """By their titles, so that a series is the same one whatever the order of its columns."""
        for place, title in tagged(origin, self.profile, self.fields, self.matching):
            yield f",{title}="
            yield Cut(place, default="")

    def searched(self, origin: Origin) -> str | None:
        """The first group of the origin's pattern, in the text that it is searched in."""
        for pattern, text in (
            (_composed(origin.file_name), composed(self.place.file_name)),
            (_composed(origin.path), composed(self.place.path)),
            (origin.preamble, self.preamble),
            (origin.header, getattr(self, "header", "")),
        ):
            if pattern is not None:
                self.placed |= origin.file_name is not None or origin.path is not None
                match = search(pattern, text, LINES)
                if match is None or not match[1]:
                    (where,) = origin.model_dump(exclude_none=True)
                    what = f"the pattern {pattern!r} is not found in the {where.replace('_', ' ')}"
                    do = "correct the pattern in the profile, then replay"
                    if where in ("file_name", "path"):
                        do += "; or drop the file again under a name that it fits"
                    raise Permanent(Code.COLUMN_MISSING, f"{what}: {text[:100]!r}", do=do)
                return match[1].strip()
        return None

    def template(self, template: str, known: Mapping[str, str]) -> Text:
        """Every {name}: a group of the title's pattern, a capture, or a column."""
        parts: list[str | int | Cut] = []
        for index, piece in enumerate(TEMPLATE.split(template)):
            if index % 2 == 0:
                parts += [piece] if piece else []
            elif piece in known:
                parts += [known[piece]] if known[piece] else []
            else:
                capture = self.profile.captures.get(piece)
                found = self.text(capture) if capture else Text((self.column(piece),))
                if not found.parts:
                    return Text()
                parts += found.parts
        return Text(tuple(parts))

    def measures(self, used: set[int]) -> Iterable[Measure]:
        profile = self.profile
        sensor, unit = self.text(profile.sensor), self.text(profile.unit)
        kind = self.text(profile.type)
        used = used | {c for text in (sensor, unit, kind) for c in text.columns}
        used |= {i for name in profile.ignore for i in self.matching(name)}
        used |= {self.column(name) for name in (*profile.where, *profile.fill_down)}
        if profile.quality is not None:
            used.add(self.column(profile.quality.column))
        if profile.value is not None:
            yield self.measure(self.column(profile.value), Cell(), kind, unit, sensor)
            return
        taken: dict[object, tuple[int, bool]] = {}
        for name, column in profile.columns.items():
            place = find(name, self.fields)
            if place is None:
                self.miss(name, column)
                continue
            used.add(place)
            if column.quality is not None:
                used.add(self.column(column.quality.column))
            if column.hemisphere is not None:
                used.add(self.column(column.hemisphere))
            made = self.wide(place, column, {}, kind, unit, sensor)
            self.take(taken, made, chosen=column.type is not None)
            yield made
        for each in profile.each:
            for place, groups in self.each(each, used):
                used.add(place)
                made = self.wide(place, each, groups, kind, unit, sensor)
                self.take(taken, made)
                yield made

    def take(
        self, taken: dict[object, tuple[int, bool]], made: Measure, chosen: bool = False
    ) -> None:
        """Permanent if another column of the same title gives the same readings. chosen: whether the
        profile gives just this column its type; two of one type are meant so, as of spares."""
        what = self.fields[made.column].name, made.type, made.sensor, made.time
        first, meant = taken.setdefault(what, (made.column, chosen))
        if first != made.column and not (chosen and meant):
            raise self.twice(first, made.column)

    def twice(self, first: int, second: int) -> Permanent:
        name, one = self.fields[first].name, f'"#{second + 1}"'
        what = (
            f'two columns of the same type and sensor are titled {name!r}, "#{first + 1}" and {one}'
        )
        do = f"name one by its place in the profile: {one} in columns, with a type of its own, or in ignore"
        return Permanent(Code.COLUMN_MISSING, what, column=name, do=f"{do}; then replay")

    def matching(self, name: str) -> Iterable[int]:
        if name.startswith("~"):
            return [i for i, f in enumerate(self.fields) if search(name[1:], f.name)]
        place = find(name, self.fields)
        return [] if place is None else [place]

    def each(self, each: Each, used: set[int]) -> Iterable[tuple[int, dict[str, str]]]:
        excluded = used | {i for name in each.exclude for i in self.matching(name)}
        for place, found in enumerate(self.fields):
            match = search(each.match, found.name)
            if match is None or place in excluded:
                continue
            numbered = {str(i + 1): g or "" for i, g in enumerate(match.groups())}
            rows = {f"row{i + 1}": title for i, title in enumerate(found.titles)}
            named = {k: v.strip() for k, v in match.groupdict(default="").items()}
            yield place, {**rows, **numbered, **named}

    def wide(
        self,
        place: int,
        column: Column,
        groups: dict[str, str],
        kind: Text,
        unit: Text,
        sensor: Text,
    ) -> Measure:
        found = self.fields[place]
        known = {"name": found.name, **groups}

        def told(given: str | None, group: str, header: str, default: Text) -> Text:
            if given is not None:
                return self.template(given, known)
            if groups.get(group):
                return Text((groups[group],))
            return _text(header) if header else default

        if column.unit and found.unit and found.unit != column.unit and "{" not in column.unit:
            self.note(
                "changed", f"{found.name}: unit {found.unit!r}, the profile has {column.unit!r}"
            )
        default = kind if kind.parts else _text(found.name)
        times: tuple[Text, ...] = ()
        if self.titled and self.profile.time is not None:
            times = tuple(
                self.template(origin.template or "", known)
                if self.is_titled(origin)
                else self.text(origin)
                for origin in self.profile.time.origins
            )
        made = self.measure(
            place,
            column,
            told(column.type, "type", found.type, default),
            told(column.unit, "unit", found.unit, unit),
            told(column.sensor, "sensor", found.sensor, sensor),
        )
        return replace(made, time=times)

    def measure(self, place: int, cell: Cell, kind: Text, unit: Text, sensor: Text) -> Measure:
        whole = self.profile
        quality = cell.quality or whole.quality
        grade = None
        if quality is not None:
            good = (*quality.good, *quality.missing)
            grade = Grade(self.column(quality.column), good, quality.reject)

        def either(name: str, default: object = None) -> object:
            value = getattr(cell, name)
            value = getattr(whole, name) if value is None else value
            return default if value is None else value

        style = Style(
            (*(whole.missing or ()), *(cell.missing or ())),
            whole.decimal,
            whole.thousands,
            either("clean"),  # type: ignore[arg-type]
            either("values"),  # type: ignore[arg-type]
            either("missing_below"),  # type: ignore[arg-type]
            either("missing_above"),  # type: ignore[arg-type]
            either("scale", 1.0),  # type: ignore[arg-type]
            either("offset", 0.0),  # type: ignore[arg-type]
            cell.angle,
        )
        if style.clean is not None and "unit" in re.compile(style.clean).groupindex:
            unit = Text((Cut(place, style.clean, group="unit", otherwise=unit),))
        half = self.column(cell.hemisphere) if cell.hemisphere is not None else None
        name = self.fields[place].name
        return Measure(place, name, kind, unit, sensor, style, grade, hemisphere=half)

    def miss(self, name: str, column: Column) -> None:
        if not column.optional and self.policy.missing == "quarantine":
            raise self.absent(name)
        if not column.optional:
            self.notes.append(f"missing column {name!r}")

    def new(self, needed: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The columns that the profile does not speak of; those of a table without a title apart."""
        left = [
            *self.profile.ignore,
            *(name for each in self.profile.each for name in each.exclude),
        ]
        spoken = set(needed) | {i for name in left for i in self.matching(name)}
        # of JSON: the members of an object that is taken as a whole
        within = tuple(f"{self.fields[i].name}{end}" for i in needed for end in ".[")
        spoken |= {i for i, f in enumerate(self.fields) if f.name.startswith(within)}
        unspoken = [i for i in range(len(self.fields)) if i not in spoken]
        table = self.profile.format in ("csv", "xlsx")
        new = [i for i in unspoken if self.fields[i].name or not table]
        if new:
            names = ", ".join(repr(self.fields[i].name) for i in new)
            self.note("new", f"new column{'s' if len(new) > 1 else ''} {names[:300]}")
        # an empty text in `names` is the profile's own
        unnamed = [i for i in unspoken if i not in new and i >= len(self.profile.names)]
        return tuple(new), tuple(unnamed)

    def note(self, kind: str, text: str) -> None:
        if getattr(self.policy, kind) == "quarantine":
            hint = "; add it to the profile, to its ignore list, or set the source's drift"
            raise Permanent(Code.DRIFT, text + hint)
        self.notes.append(text)

    def clock(self, order: Order) -> Clock:
        time = self.profile.time
        assert time is not None
        zone = self.text(time.zone).constant
        if zone is not None:
            try:
                check_zone(zone)
            except ValueError as error:
                do = "correct time.zone in the profile, whose pattern finds this text; then replay"
                raise Permanent(Code.UNREADABLE, f"zone {zone!r}: {error}", do=do) from error
        return Clock(
            zone,
            time.ambiguous,
            time.nonexistent,
            time.zones,
            self.since(zone),
            order,
            time.locale,
            time.scientific == "trimmed",
            round(time.shift * 10**9),
            round(time.shift_clock * 10**9),
            round(time.round_to * 10**9),
        )

    def since(self, zone: str | None) -> int:
        """Nanoseconds from 1970 to where the file's epochs count from."""
        time = self.profile.time
        if time is None or time.since is None:
            return 0
        text = self.text(time.since).constant or ""
        found = instant(text, zone)
        if found is None:
            do = "correct time.since in the profile, whose pattern finds this text; then replay"
            raise Permanent(Code.UNREADABLE, f"since {text!r} is no date in ISO 8601", do=do)
        return found


def _composed(pattern: str | None) -> str | None:
    return None if pattern is None else composed(pattern)


def _text(found: str | None) -> Text:
    return Text((found,)) if found else Text()
