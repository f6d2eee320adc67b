"""Creates the clock that converts the local times of one file."""

from __future__ import annotations

from sensorflow.core.binding.columns import Columns
from sensorflow.core.profile.time import Time
from sensorflow.core.times.clock import Clock, Order
from sensorflow.core.times.instants import instant
from sensorflow.core.times.zones import check_zone
from sensorflow.errors import Code, Permanent


def clock_of(columns: Columns, time: Time, order: Order) -> Clock:
    """Return the clock of a file. Raises Permanent if the file specifies an invalid zone or start date."""
    zone = columns.text(time.zone).constant
    if zone is not None:
        try:
            check_zone(zone)
        except ValueError as error:
            do = "correct the pattern of time.zone in the profile, then replay"
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
    """Return the time from which the file's epoch timestamps count, in nanoseconds since 1970."""
    if time.since is None:
        return 0
    text = columns.text(time.since).constant or ""
    found = instant(text, zone)
    if found is None:
        do = "correct the pattern of time.since in the profile, then replay"
        raise Permanent(Code.UNREADABLE, f"since {text!r} is not an ISO 8601 date", do=do)
    return found
