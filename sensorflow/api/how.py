"""Determines how to read a file: by which profile, and with the settings of which source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sensorflow import bootstrap
from sensorflow.api import given
from sensorflow.core.profile import Profile
from sensorflow.core.profile.text_source import TextSource
from sensorflow.core.times.timeformats import fixed_offset
from sensorflow.core.times.zones import check_zone
from sensorflow.errors import UsageError
from sensorflow.flow.check_options import CheckOptions, check_options
from sensorflow.flow.dry_run import Named, profile_for
from sensorflow.flow.sniff import guess


@dataclass(frozen=True)
class ReadPlan:
    """The decision how to read a file. name, profile: the profile and its name. terms: the settings that
    apply to the file."""

    file: Path
    name: str
    profile: Profile
    terms: CheckOptions


def certain(
    path: given.Pathlike,
    profile: given.GivenProfile | None,
    source: str | None,
    zone: str | None,
) -> ReadPlan:
    """Returns how to read a file. If neither an argument nor a source gives the profile, a profile is
    proposed. Raises UsageError if the proposal has doubts."""
    file, wanted = given.file(path), given.profile(profile)
    options = of_source(file, wanted, source)
    chosen = by_profile(file, wanted, options, zone) or (given.PROPOSED, _proposed(file, zone))
    return ReadPlan(file, chosen[0], options.bounded(chosen[1]), options)


def of_source(file: Path, wanted: Named | None, source: str | None) -> CheckOptions:
    """Returns the settings that apply to a file: those of `source`, or else of the source to whose folder
    the file belongs. wanted: the profile argument. Raises UsageError for an unknown source."""
    settings = bootstrap.settings(anywhere=True)
    named = wanted if isinstance(wanted, str) else None
    return check_options(settings, file, named, source, option="source")


def by_profile(
    file: Path, wanted: Named | None, options: CheckOptions, zone: str | None
) -> tuple[str, Profile] | None:
    """Returns (name, profile) of the profile `wanted` or, if it is None, of the source's profile. Returns
    None if there is neither profile. zone: replaces the time zone of the profile, unless it is None. Raises
    UsageError."""
    if wanted is None and options.source is None:
        return None
    name, found = profile_for(file, wanted, None, options.settings, options.source)
    return name, found if zone is None else _in_zone(name, found, zone)


def _in_zone(name: str, profile: Profile, zone: str) -> Profile:
    try:
        check_zone(zone)
    except ValueError as error:
        raise UsageError(f"zone {zone!r}: {error}") from error
    time = profile.time
    if time is None:
        raise UsageError(
            f"zone: the format of the profile {name!r} has only times with an offset: omit the zone"
        )
    changed: dict[str, object] = {"zone": TextSource(constant=zone)}
    if fixed_offset(zone) is None and time.dst is None and time.ambiguous == "reject":
        changed["ambiguous"] = "order"  # a proposal with a zone has the same setting
    return profile.model_copy(update={"time": time.model_copy(update=changed)})


def _proposed(file: Path, zone: str | None) -> Profile:
    """Returns a proposed profile. Raises UsageError if the proposal has any doubts."""
    found = guess(file, zone)
    if found.guess.needs_zone:
        raise UsageError(
            f"{file}: its times have no UTC offset: give zone, as in zone='Europe/Berlin', or a profile"
        )
    if found.guess.todo:
        raise UsageError(
            f"{file}: {found.guess.todo[0]}; give a profile: sensorflow.sniff(path) proposes one"
        )
    return found.profile()
