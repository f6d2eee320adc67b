"""Checks the stores of the zones, for `sensorflow storage check` and `doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sensorflow.core.health import Check
from sensorflow.errors import Code, SensorflowError, UsageError
from sensorflow.flow.store_check import Step, StepResult, StoreCheck
from sensorflow.shell import quoted

if TYPE_CHECKING:
    from sensorflow.ports.project import GetProject
    from sensorflow.settings import Settings

EMPTY = "no objects at the previous location"
EMPTY_TODO = "correct storage.previous; if the project has no files there, remove storage.previous"


def checked(settings: Settings) -> Iterator[tuple[str, StepResult]]:
    """Yield the results of the steps, each with the name and location of its zone."""
    from sensorflow import stores
    from sensorflow.settings.storage import ZONES

    failed: dict[str, str] = {}
    get_project = _known_project(settings)
    for zone in ZONES:
        yield from _of_zone(settings, zone, zone, StoreCheck.run, failed)
        if stores.shared_place(settings, zone) not in failed:
            yield f"{zone} {located(settings, zone)}", _owner(settings, zone, get_project)
    if (before := settings.before_move()) is not None:
        for zone in settings.moved_zones():
            yield from _of_zone(before, zone, f"previous {zone}", StoreCheck.of_previous, failed)
        if not failed and is_previous_empty(settings):
            yield "previous", StepResult(Step.LIST, "fail", EMPTY, EMPTY_TODO)
    yield "database", _database_clock(settings)


def _of_zone(
    settings: Settings,
    zone: str,
    title: str,
    steps: Callable[[StoreCheck], Iterator[StepResult]],
    failed: dict[str, str],
) -> Iterator[tuple[str, StepResult]]:
    """Check one zone. failed: the places that are unavailable, with the zone that was checked. A place is
    checked once, because a user waits for its answer."""
    from sensorflow import stores

    name, place = f"{title} {located(settings, zone)}", stores.shared_place(settings, zone)
    location = location_of(settings, zone)
    if location is not None:
        yield name, location
        if location.verdict == "fail":
            failed[place] = title
            return
    if place in failed:
        yield (
            name,
            StepResult(Step.LOCATION, "fail", f"not checked, because {failed[place]} failed"),
        )
        return
    try:
        check = StoreCheck(stores.zone_alone(settings, zone))
    except UsageError as error:
        failed[place] = title
        yield name, StepResult(Step.LOCATION, "fail", str(error), error.remedy)
        return
    for found in steps(check):
        yield name, explained(settings, zone, found)
    if check.is_unavailable:
        failed[place] = title


def require_reachable(settings: Settings) -> None:
    """Raise Transient STORAGE within seconds if a bucket is unavailable. Later requests are retried for
    longer. Raises UsageError as `stores.store` does."""
    from sensorflow import stores
    from sensorflow.settings.storage import ZONES

    buckets: dict[str, tuple[Settings, str]] = {}
    for place in filter(None, (settings, settings.before_move())):
        zones = [zone for zone in ZONES if place.zone_folder(zone) is None]
        buckets |= {stores.shared_place(place, zone): (place, zone) for zone in zones}
    for bucket in buckets.values():
        next(iter(stores.zone_alone(*bucket).list()), None)


def location_of(settings: Settings, zone: str) -> StepResult | None:
    """Return whether a zone that is a folder on this host can be used there; None for other zones. The
    folder that the settings name must exist, because it may be on a disk that is not mounted, or the value
    may be a bucket whose scheme was forgotten."""
    if (folder := settings.zone_folder(zone)) is None:
        return None
    found = f"a folder on this host: {folder}"
    key = zone if getattr(settings.storage, zone) is not None else "data"
    named = settings.storage.data_folder(settings.home) if key == "data" else folder
    if named is None or named.is_dir():
        return StepResult(Step.LOCATION, "ok", found)
    todo = f"create it with `mkdir -p {quoted(named)}`, or correct [storage]"
    value = getattr(settings.storage, key)
    if "://" not in value and not value.startswith("file:"):
        todo += f"; the URL of a bucket begins with a scheme, as in s3://{value.strip('/')}"
    return StepResult(Step.LOCATION, "fail", f"{found}; the folder {named} does not exist", todo)


def is_previous_empty(settings: Settings) -> bool:
    """Return whether the location from which the project is moved has no objects. False if unknown."""
    from sensorflow import stores
    from sensorflow.settings.storage import AREAS, zone_of

    before, moved = settings.before_move(), settings.moved_zones()
    if before is None:
        return False
    areas = [area for area in AREAS if zone_of(area) in moved]
    try:
        return all(next(iter(stores.area(before, a).list()), None) is None for a in areas)
    except SensorflowError:
        return False


def is_move_finished(settings: Settings) -> bool:
    """Return whether a migration on this host has copied all objects from the previous location."""
    from sensorflow.adapters.local import move_journal

    return move_journal.is_finished(settings.data_folder / move_journal.NAME, locations(settings))


def _known_project(settings: Settings) -> GetProject | None:
    """Return a function that returns the project; None if the database is unavailable."""
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres.project import project

    try:
        found = project(bootstrap.database_url(settings))
    except SensorflowError:
        return None
    return lambda: found


def _owner(settings: Settings, zone: str, get_project: GetProject | None) -> StepResult:
    """Return whether the current location of a zone may belong to this project. get_project: see
    `_known_project`. The verdict is "warn" if the database or the location is unavailable."""
    from sensorflow import stores

    if get_project is None:
        return StepResult(Step.OWNER, "warn", "not compared: the database is unavailable")
    owner = stores.location_owner(settings, zone, get_project)
    try:
        owner.require()
    except SensorflowError as error:
        verdict = "fail" if error.code is Code.NOT_OWNED else "warn"
        return StepResult(Step.OWNER, verdict, str(error), error.remedy)
    try:
        owner.require_objects()
    except SensorflowError as error:
        return StepResult(Step.OWNER, "fail", str(error), error.remedy)
    return StepResult(Step.OWNER, "ok", "no other project")


def _database_clock(settings: Settings) -> StepResult:
    from sensorflow import bootstrap
    from sensorflow.adapters.postgres import inspect
    from sensorflow.flow.store_check import clock

    try:
        now = inspect.server(bootstrap.database_url(settings)).now
    except SensorflowError as error:
        return StepResult(Step.CLOCK, "warn", f"not compared: {error}")
    return clock(now - datetime.now(UTC), "the database's clock", "this host")


def located(settings: Settings, zone: str) -> str:
    """Return the location of a zone, without secrets."""
    from sensorflow.settings.storage import display_url

    return display_url(settings.zone_location(zone))


def located_area(settings: Settings, area: str) -> str:
    """Return the location of an area, without secrets."""
    from sensorflow.settings.storage import ZONES

    return located(settings, area) if area in ZONES else f"{located(settings, 'lake')}/{area}"


def explained(settings: Settings, zone: str, found: StepResult) -> StepResult:
    """Return the result of a step. If it failed because a bucket refused the request, the remedy names the
    permission."""
    from sensorflow import stores

    names = stores.permissions(settings, zone)
    if found.refused not in names:
        return found
    needed = names[found.refused]
    if found.step is Step.WRITE and found.refused == "read":  # of the record that may be missing
        needed = f"{names['look up']}, and {names['write']},"
    todo = f"grant the credentials {needed} on this location; see docs/how-to/storage.md"
    return replace(found, todo=todo)


def locations(settings: Settings) -> str:
    before = settings.before_move()
    assert before is not None
    zones = settings.moved_zones()
    return "\n".join(f"{s.zone_location(zone)}" for s in (before, settings) for zone in zones)


def of_project(settings: Settings) -> Iterator[Check]:
    """Check the owners of all zones, the zones that are outside the data folder, and the locations from
    which zones are moved."""
    from sensorflow.settings.storage import ZONES

    failed: dict[str, str] = {}
    get_project = _known_project(settings)
    for zone in ZONES:
        found = _of_location(settings, zone, failed)
        if found.verdict == "ok":
            owner = _owner(settings, zone, get_project)
            if owner.verdict == "fail":
                found = Check(zone, "fail", owner.found, owner.todo)
        if found.verdict == "fail" or settings.storage.url(zone) is not None:
            yield found
    if (before := settings.before_move()) is not None:
        for zone in settings.moved_zones():
            yield _store(before, zone, f"previous {zone}", failed)
        yield _move(settings, bool(failed))


def _of_location(settings: Settings, zone: str, failed: dict[str, str]) -> Check:
    """Check the location of a zone. failed: see `_store`."""
    from sensorflow.folders import data_fault

    if (folder := settings.zone_folder(zone)) is None:
        return _store(settings, zone, zone, failed)
    if settings.storage.url(zone) is None:
        return Check(zone, "ok", str(folder))
    if fault := data_fault(folder):
        return Check(zone, "fail", *fault)
    found = location_of(settings, zone)
    assert found is not None
    return Check(zone, "ok" if found.verdict == "ok" else "warn", found.found, found.todo)


def _move(settings: Settings, is_unavailable: bool) -> Check:
    """Report the next step of a move in progress."""
    moved = ", ".join(settings.moved_zones())
    todo = "run `sensorflow storage migrate`, then remove storage.previous"
    if not is_unavailable and is_move_finished(settings):
        todo = "remove storage.previous on every host, and restart all processes"
        return Check("storage", "warn", f"{moved}: everything was copied", todo)
    if not is_unavailable and is_previous_empty(settings):
        return Check("storage", "warn", f"{moved}: {EMPTY}", EMPTY_TODO)
    return Check("storage", "warn", f"{moved}: being moved", todo)


def _store(settings: Settings, zone: str, what: str, failed: dict[str, str]) -> Check:
    """Check a store without writing to it. what: the title of the check. failed: the places that are
    unavailable, with the title of their check. A place is checked once."""
    from sensorflow import stores

    place = stores.shared_place(settings, zone)
    if place in failed:
        text = f"{located(settings, zone)}: not checked, because {failed[place]} failed"
        return Check(what, "fail", text)
    try:
        check = StoreCheck(stores.zone_alone(settings, zone))
    except SensorflowError as error:
        failed[place] = what
        return Check(what, "fail", f"{located(settings, zone)}: {error}", error.remedy)
    for found in check.read_only():
        if found.verdict != "ok":
            if check.is_unavailable:
                failed[place] = what
            step = explained(settings, zone, found)
            text = f"{located(settings, zone)}: {step.step}: {step.found}"
            todo = step.todo or f"check storage.{zone} and the credentials of the store"
            return Check(what, "fail", text, todo)
    return Check(what, "ok", f"{located(settings, zone)}; `sensorflow storage check` also writes")
