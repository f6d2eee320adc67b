"""sensorflow storage"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.cli.store_checks import checked, located_area, locations, require_reachable
from sensorflow.disk import size
from sensorflow.errors import Code, Transient, UsageError

if TYPE_CHECKING:
    from sensorflow.flow.storage_migration import MigrationTotals
    from sensorflow.ports.objects import ObjectStore
    from sensorflow.ports.project import GetProject
    from sensorflow.settings import Settings

app = typer.Typer(
    help="Check, measure and move the landing zone, the lake and the quarantine.",
    no_args_is_help=True,
)


@app.command("check", short_help="Check the stores: permissions, conditional create, clocks.")
def check(json: Json = False) -> None:
    """Write, read, list and delete an object in each zone, and compare the clocks.

    Shows one line per step. If a permission is missing, names it. The object is removed again. A location
    without objects begins with the check: the object .began, which records this time, stays there.

    Exit codes: 0 if no step fails, 1 if a step fails, 2 for a usage error.
    """
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    results: list[dict[str, Any]] = []
    for place, found in checked(settings):
        results.append({"place": place, **asdict(found)})
        if not json:
            line(f"{found.verdict:<4}  {place}: {found.step}: {found.found}")
            if found.todo:
                line(f"      -> {found.todo}")
    if json:
        as_json(results)
    raise typer.Exit(int(any(result["verdict"] == "fail" for result in results)))


@app.command("usage", short_help="Count objects and bytes of each zone and layer.")
def usage(json: Json = False) -> None:
    """Count the objects and bytes of each zone and layer, at the current and at the previous location.

    Lists all objects: with a bucket, that is one request for 1,000 objects. Also counts unfinished uploads,
    where they can be listed: on disks and in S3.
    """
    from sensorflow import bootstrap
    from sensorflow.cli.backup import bar
    from sensorflow.flow.store_usage import usage as measured

    settings = bootstrap.settings()
    require_reachable(settings)
    rows = []
    with bar("usage", "files") as progress:
        for which, place, area, objects in _areas(settings):
            found = measured(objects, partial(_counted, progress, f"{which} {area}"))
            rows.append({"location": which, "area": area, "place": place, **asdict(found)})
    if json:
        as_json(rows)
        return
    heads = ("location", "area", "objects", "bytes", "unfinished", "place")
    table("", heads, [[row[head] for head in heads] for row in rows])
    total = sum(row["bytes"] for row in rows)
    line(f"{sum(row['objects'] for row in rows):,} objects, {size(total)}")


def _counted(progress: Callable[[str, int, int], object], name: str, count: int) -> None:
    progress(name, count, 0)


def _areas(settings: Settings) -> Iterator[tuple[str, str, str, ObjectStore]]:
    """Yield which location it is, the location, the name of the area, and its store."""
    from sensorflow import stores
    from sensorflow.settings.storage import AREAS, zone_of

    moved = settings.moved_zones()
    before = settings.before_move()
    for area in AREAS:
        place = located_area(settings, area)
        yield "current", place, area, stores.area(settings.after_move(), area)
    for area in AREAS if before else ():
        assert before is not None
        if zone_of(area) in moved:
            place = located_area(before, area)
            yield "previous", place, area, stores.area(before, area)


@app.command("migrate", short_help="Copy everything from storage.previous to the new location.")
def migrate(json: Json = False) -> None:
    """Copy all objects from the location `storage.previous` to the current location, while the fleet runs.

    Each copy is read back and verified by its SHA-256. An interrupted migration continues when you run the
    command again. Nothing is deleted at the previous location.

    Exit codes: 0 if all objects are at the current location, 1 if some are not, 2 for a usage error.
    """
    from sensorflow import bootstrap

    settings = bootstrap.settings()
    if settings.before_move() is None:
        raise UsageError(
            "nothing to migrate: set [storage] data to the new location and previous to the current one, "
            "restart all processes, then run this command; see docs/how-to/storage.md",
            Code.SETTINGS,
        )
    try:
        totals = _migrated(settings)
    except Transient as error:
        if error.code is Code.NOT_OWNED:
            raise UsageError(f"{error}; {error.remedy}", error.code) from error
        raise Transient(
            error.code,
            f"the migration is not finished: {error.message}; run it again to continue",
            **error.place,
        ) from error
    if json:
        as_json(_record(totals))
    else:
        _show(settings, totals)
    raise typer.Exit(int(totals.not_copied > 0 or not totals.found or bool(totals.missing)))


@app.command("claim", short_help="Make this project the owner of its locations.")
def claim(
    former: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="ID",
            help="Id of the project that owns the locations now. Default: only locations without an owner.",
        ),
    ] = "",
) -> None:
    """Make this project the owner of the locations in [storage], if their data belongs to it.

    This is needed if the database has got a new id, for example because it was restored from a dump of an
    older version. First stop all processes of the former owner: two projects at one location replace and
    remove each other's files.

    Exit codes: 0 if all locations belong to this project, 1 if some do not, 2 for a usage error.
    """
    from sensorflow import bootstrap, stores
    from sensorflow.adapters.postgres import project
    from sensorflow.cli.db import database

    settings = bootstrap.settings()
    refused = False
    with database(settings) as url:
        own = project.project(url).id
        for one in stores.location_owners(settings, partial(project.project, url)):
            owner = one.owner()
            if owner == own:
                line(f"{one.location}: belongs to this project already")
            elif owner is None or owner == former:
                one.replace()
                line(f"{one.location}: belongs to this project now (id {own})")
            else:
                refused = True
                line(f"{one.location}: not changed; it belongs to the project with the id {owner}")
    raise typer.Exit(int(refused))


def _migrated(settings: Settings) -> MigrationTotals:
    from sensorflow import stores
    from sensorflow.adapters.local import move_journal
    from sensorflow.adapters.postgres import project
    from sensorflow.adapters.postgres.kept_files import files_kept
    from sensorflow.cli.backup import bar
    from sensorflow.cli.db import database
    from sensorflow.flow.storage_migration import Move
    from sensorflow.flow.storage_migration import migrate as moved

    require_reachable(settings)
    path = settings.data_folder / move_journal.NAME
    with ExitStack() as stack:
        url = stack.enter_context(database(settings))
        get_project = partial(project.project, url)
        areas = stores.moved_areas(settings, get_project)
        moves = [Move(name, *both) for name, both in areas.items()]
        journal = stack.enter_context(move_journal.opened(path, locations(settings)))
        stack.enter_context(files_kept(url))
        progress = stack.enter_context(bar("migrate", "files"))
        totals = moved(moves, journal, progress)
        if not totals.not_copied:
            _keep_creation_times(settings, areas)
        if "landing" in settings.moved_zones():
            totals.missing = _missing(settings, get_project)
        if totals.found and not totals.not_copied and not totals.missing:
            journal.finish()
    return totals


def _missing(settings: Settings, get_project: GetProject) -> list[str]:
    """Return a message for each landed file of the ledger that is at neither location."""
    from sensorflow import bootstrap, stores
    from sensorflow.flow.landing import Landing
    from sensorflow.flow.storage_migration import missing_files

    landing = Landing(stores.store(settings, "landing", get_project))
    store = bootstrap.audit_store(settings)
    try:
        with store.snapshot() as snapshot:
            return missing_files(landing, snapshot.files())
    finally:
        store.close()


def _keep_creation_times(
    settings: Settings, moved: Mapping[str, tuple[ObjectStore, ObjectStore]]
) -> None:
    from sensorflow import stores
    from sensorflow.flow.storage_migration import set_created_at

    for objects, areas in stores.stores_of(settings, moved):
        times = [at for area in areas if (at := moved[area][0].created_at()) is not None]
        set_created_at(objects, min(times) if len(times) == len(areas) else None)


def _record(totals: MigrationTotals) -> dict[str, Any]:
    return {
        "objects": totals.found,
        **{str(fate): count for fate, count in totals.objects.items()},
        "copied_bytes": totals.bytes,
        "already_copied": totals.already,
        "problems": totals.problems,
        "missing": totals.missing,
    }


def _show(settings: Settings, totals: MigrationTotals) -> None:
    from sensorflow.adapters.local import move_journal
    from sensorflow.flow.storage_migration import Fate
    from sensorflow.settings.storage import AREAS, zone_of

    before = settings.before_move()
    assert before is not None
    places = [located_area(before, a) for a in AREAS if zone_of(a) in settings.moved_zones()]
    if not totals.found:
        line("nothing was copied, because there are no objects at the previous location:")
        for place in places:
            line(f"  {place}")
        line("correct storage.previous; if the project has no files yet, remove storage.previous")
        return
    count = {fate: f"{number:,}" for fate, number in totals.objects.items()}
    line(
        f"{count[Fate.COPIED]} objects copied ({size(totals.bytes)}), each read back and verified by its "
        f"SHA-256; {totals.already + totals.objects[Fate.PRESENT]:,} were already there, "
        f"{count[Fate.REPLACED]} have a newer object there, {count[Fate.DELETED]} were deleted meanwhile"
    )
    for text in totals.problems[:20]:
        line(f"not copied: {text}")
    for text in totals.missing[:20]:
        line(f"missing: {text}")
    if totals.missing:
        line(
            f"{len(totals.missing):,} landed files are at neither location: restore them from a backup,"
        )
        line("  or put the original files into the drop folder again (they may be in data/archive)")
    if totals.not_copied:
        _show_remedies(totals)
        return
    line("next:")
    line("  1. remove `previous` from [storage] on every host, and restart all processes")
    line("  2. run `sensorflow audit --checksum`")
    line("  3. if it finds nothing, remove the data at the previous location yourself:")
    for place in places:
        line(f"     {place}")
    line(f"  and {settings.data_folder / move_journal.NAME}")


def _show_remedies(totals: MigrationTotals) -> None:
    from sensorflow.flow.storage_migration import Fate

    line(f"{totals.not_copied:,} objects are not at the current location; keep `previous` set")
    if totals.objects[Fate.FAILED]:
        line("  failed: correct the cause, then run `sensorflow storage migrate` again")
    if totals.objects[Fate.DAMAGED]:
        line(
            "  damaged: restore these files at the previous location from a backup, or put the original"
        )
        line("  files into the drop folder again; then run `sensorflow storage migrate` again")
    if totals.objects[Fate.CONFLICT]:
        line(
            "  conflict: a process with the former settings has written this file. Restart all processes"
        )
        line(
            "  with the new settings, and run `sensorflow audit --checksum`, which says what to replay;"
        )
        line("  then remove these objects at the previous location, and migrate again")
