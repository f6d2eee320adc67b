"""By what a file is read: a profile, and the settings of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sensorflow import bootstrap
from sensorflow.api import given
from sensorflow.core.profile import Profile
from sensorflow.core.profile.origin import Origin
from sensorflow.core.times.timeformats import fixed_offset
from sensorflow.core.times.zones import check_zone
from sensorflow.errors import Misuse
from sensorflow.flow.dry_run import Named, profile_for
from sensorflow.flow.sniff import guess
from sensorflow.flow.terms import Terms, terms


@dataclass(frozen=True)
class How:
    file: Path
    name: str
    profile: Profile
    terms: Terms


def certain(
    path: given.Pathlike,
    profile: given.GivenProfile | None,
    source: str | None,
    zone: str | None,
) -> How:
    """Raises Misuse where there is no profile, or only a proposal that is in doubt."""
    file, wanted = given.file(path), given.profile(profile)
    held = of_source(file, wanted, source)
    chosen = by_profile(file, wanted, held, zone) or (given.PROPOSED, _proposed(file, zone))
    return How(file, chosen[0], held.bounded(chosen[1]), held)


def of_source(file: Path, wanted: Named | None, source: str | None) -> Terms:
    """The settings that hold for a file here. Raises Misuse for an unknown source."""
    settings = bootstrap.settings(anywhere=True)
    named = wanted if isinstance(wanted, str) else None
    return terms(settings, file, named, source, option="source")


def by_profile(
    file: Path, wanted: Named | None, held: Terms, zone: str | None
) -> tuple[str, Profile] | None:
    """The profile that is wanted, or else the source's; None where there is neither. Raises Misuse."""
    if wanted is None and held.source is None:
        return None
    name, found = profile_for(file, wanted, None, held.settings, held.source)
    return name, found if zone is None else _in_zone(name, found, zone)


def _in_zone(name: str, profile: Profile, zone: str) -> Profile:
    try:
        check_zone(zone)
    except ValueError as error:
        raise Misuse(f"zone {zone!r}: {error}") from error
    time = profile.time
    if time is None:
        raise Misuse(f"zone: the format of the profile {name!r} has no clock without an offset")
    changed: dict[str, object] = {"zone": Origin(constant=zone)}
    if fixed_offset(zone) is None and time.dst is None and time.ambiguous == "reject":
        changed["ambiguous"] = "order"  # as a proposal has it
    return profile.model_copy(update={"time": time.model_copy(update=changed)})


def _proposed(file: Path, zone: str | None) -> Profile:
    """Raises Misuse where a proposal would have to be taken at its word."""
    found = guess(file, zone)
    if found.guess.needs_zone:
        raise Misuse(
            f"{file}: its times carry no offset: give zone, as in zone='Europe/Berlin', or a profile"
        )
    if found.guess.todo:
        raise Misuse(
            f"{file}: {found.guess.todo[0]}; give a profile: sensorflow.sniff(path) proposes one"
        )
    return found.profile()
