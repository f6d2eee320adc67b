"""The clock that the times of one file are read by."""

from __future__ import annotations

from sensorflow.core.binding.columns import Columns
from sensorflow.core.profile.time import Time
from sensorflow.core.times.clock import Clock, Order
from sensorflow.core.times.instants import instant
from sensorflow.core.times.zones import check_zone
from sensorflow.errors import Code, Permanent


def clock_of(columns: Columns, time: Time, order: Order) -> Clock:
    """Raises Permanent where the file says what cannot be."""
    zone = columns.text(time.zone).constant
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
        _since(columns, time, zone),
        order,
        time.locale,
        time.scientific == "trimmed",
        round(time.shift * 10**9),
        round(time.shift_clock * 10**9),
        round(time.round_to * 10**9),
    )


def _since(columns: Columns, time: Time, zone: str | None) -> int:
    """Nanoseconds from 1970 to where the file's epochs count from."""
    if time.since is None:
        return 0
    text = columns.text(time.since).constant or ""
    found = instant(text, zone)
    if found is None:
        do = "correct time.since in the profile, whose pattern finds this text; then replay"
        raise Permanent(Code.UNREADABLE, f"since {text!r} is not a date in ISO 8601", do=do)
    return found
