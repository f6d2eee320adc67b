"""Creates the binding of a profile to the columns of a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sensorflow.core.binding.binding import Binding
from sensorflow.core.binding.cache import BindingCache
from sensorflow.core.binding.clocks import clock_of
from sensorflow.core.binding.columns import Columns
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.fields import Field
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.binding.measures import Measures
from sensorflow.core.binding.notes import Notes
from sensorflow.core.profile import Profile
from sensorflow.core.times.clock import Order

Resolve = Callable[[Sequence[Field], str], Binding]
"""A function. Takes the columns of a file and the text before the header, and returns the binding. Raises
Permanent if the profile cannot be applied."""


def resolver(profile: Profile, place: FilePath, drift: Drift, bindings: BindingCache) -> Resolve:
    """Return the function that creates the bindings of one file. It is called once for each header in the
    file, and all bindings share one `Order`."""
    order = Order()

    def resolve(fields: Sequence[Field], preamble: str) -> Binding:
        asked = (drift, fields, preamble)
        if (known := bindings.get(profile, asked)) is not None:
            return known
        columns = Columns(profile, place, fields, preamble)
        found = _binding(columns, Notes(drift), order)
        ordered = profile.time is not None and profile.time.ambiguous == "order"
        if not (ordered or columns.placed):  # also valid for other files
            bindings.store(profile, asked, found)
        return found

    return resolve


def _binding(columns: Columns, notes: Notes, order: Order) -> Binding:
    profile, time = columns.profile, columns.profile.time
    assert time is not None
    titled = any(columns.is_titled(source) for source in time.origins)
    untitled = [source for source in time.origins if not columns.is_titled(source)]
    parts = tuple(columns.text(source) for source in untitled)
    columns.header = " ".join(columns.fields[c].name for part in parts for c in part.columns)
    zone = columns.text(time.zone)
    dst = columns.column(time.dst.column) if time.dst is not None else None
    by_row = {c for part in (*parts, zone) for c in part.columns} | {dst} - {None}
    measures = Measures(columns, notes, titled).all({c for c in by_row if c is not None})
    if not measures:
        raise columns.absent("; ".join([*profile.columns, *(e.match for e in profile.each)]))
    where = tuple((columns.column(name), texts) for name, texts in profile.where.items())
    new_binding = Binding(
        tuple(f.name for f in columns.fields),
        () if titled else parts,
        time.format,
        clock_of(columns, time, order),
        measures,
        where,
        tuple(columns.column(name) for name in profile.fill_down),
        zone=zone if zone.columns else None,
        dst=dst,
    )
    new, blank = _new(columns, notes, new_binding.needed)
    rescued = (*new, *blank) if notes.policy.new == "rescue" else ()
    strict = notes.policy.new == "quarantine"
    found = tuple(notes.texts)
    return replace(new_binding, rescued=rescued, drift=found, untitled=blank, strict=strict)


def _new(
    columns: Columns, notes: Notes, needed: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return two tuples: the columns with titles that the profile does not mention, and the untitled
    columns that it does not mention."""
    profile, fields = columns.profile, columns.fields
    left = [*profile.ignore, *(name for each in profile.each for name in each.exclude)]
    mentioned = set(needed) | {i for name in left for i in columns.matching(name)}
    # JSON: the members of an object, if the profile refers to the object
    within = tuple(f"{fields[i].name}{end}" for i in needed for end in ".[")
    mentioned |= {i for i, f in enumerate(fields) if f.name.startswith(within)}
    unmentioned = [i for i in range(len(fields)) if i not in mentioned]
    table = profile.format in ("csv", "xlsx")
    new = [i for i in unmentioned if fields[i].name or not table]
    if new:
        names = ", ".join(repr(fields[i].name) for i in new)
        notes.note("new", f"new column{'s' if len(new) > 1 else ''} {names[:300]}")
    # columns in the profile's `names` are excluded, because their title may be empty on purpose
    unnamed = [i for i in unmentioned if i not in new and i >= len(profile.names)]
    return tuple(new), tuple(unnamed)
