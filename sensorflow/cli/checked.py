"""Suggests the next commands after `sensorflow check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli import follow_ups
from sensorflow.environment import folder as here
from sensorflow.errors import Code, row_remedy
from sensorflow.flow.check_options import sources_with
from sensorflow.shell import command

if TYPE_CHECKING:
    from sensorflow.flow.check import Checked
    from sensorflow.settings import Settings


def next_steps(
    paths: Sequence[Path], named: str | None, zone: str | None, found: Sequence[Checked], bad: bool
) -> Iterator[str]:
    """Yields the lines to print after the result. paths, named, zone: the arguments, --profile and --zone
    of the command. found: the results. bad: whether one of the files would not be loaded."""
    from sensorflow.cli.check import source_of
    from sensorflow.settings import find

    settings, source = source_of(paths[0])
    if passed := [f for f in found if f.refused and f.refused.startswith("sources.")]:
        yield f"to fix: change [sources.{passed[0].source}] in sensorflow.toml, or the file name"
    elif source is not None and named is None:
        if bad:
            profile = settings.profile_of(source)
            yield from _repair_hint(found, _where(source.profile, settings), profile.format)
        else:
            yield from _taken_in(settings)
    elif bad and named is not None:
        yield from _repair_hint(found, _where(named, settings), form_of(named, settings))
    elif bad:
        if not all(r.code is Code.TIMESTAMP_NO_ZONE for each in found for r in each.rejects):
            yield from _repair_hint(found, "")
        yield from _add_command(paths[0], zone, found)
    elif named is not None:
        yield from _by_name(paths, named, settings, find(here()) is not None)
    else:
        yield from _add_command(paths[0], zone, found)


def _taken_in(settings: Settings) -> Iterator[str]:
    up = follow_ups.is_up(settings)
    yield "next: nothing to do, `sensorflow up` ingests the file" if up else "next:"
    yield from follow_ups.running(settings)


def _by_name(paths: Sequence[Path], named: str, settings: Settings, project: bool) -> Iterator[str]:
    yield "next:"
    folders = settings.folders
    if name := next((name for name in sources_with(named, settings) if name in folders), None):
        yield f"  {follow_ups.drop(paths, settings, folders[name])}"
        if len(paths) == 1 and paths[0].is_file():
            again = command("sensorflow", "replay", paths[0].name)
            yield f"  {again}   # instead, if these bytes were loaded before"
        yield from follow_ups.running(settings)
        return
    if not project:
        yield "  sensorflow init"
    source = _name(Path(named.partition(":")[0]).stem, settings)
    yield f"  {command('sensorflow', 'sources', 'add', source, '--profile', named)}"


def _name(text: str, settings: Settings) -> str:
    """Returns a name for a new source, which is derived from `text` and differs from the names of all
    sources."""
    from sensorflow.profiles.files import plain_name

    plain = plain_name(text) or "logger"
    tries = (plain, *(f"{plain}-{number}" for number in range(2, 1000)))
    return next(name for name in tries if name not in settings.sources)


def _add_command(path: Path, zone: str | None, found: Sequence[Checked]) -> Iterator[str]:
    """Yields the lines with the command that adds a source with the proposed profile."""
    from sensorflow import bootstrap
    from sensorflow.flow.sniff import guess
    from sensorflow.settings import find

    file = path if path.is_file() else Path(found[0].file)
    name = _name(file.name.partition(".")[0], bootstrap.settings(anywhere=True))
    unknown = zone is None and guess(file).guess.needs_zone
    where = ["--zone", "Europe/Berlin" if zone is None else zone] if unknown or zone else []
    yield "next:" + (" (replace Europe/Berlin with the time zone of the logger)" if unknown else "")
    if find(here()) is None:
        yield "  sensorflow init"
    yield f"  {command('sensorflow', 'sniff', follow_ups.typed(file), '--add', name, *where)}"


def form_of(named: str, settings: Settings) -> str:
    from sensorflow import profiles

    return (settings.profile(named) or profiles.load(named)[1]).format


def _where(profile: str, settings: Settings) -> str:
    """Returns the location of a profile, as text for messages: a file, or a table in sensorflow.toml."""
    from sensorflow.profiles.files import is_path

    if (file := settings.profile_files.get(profile)) is not None:
        return str(follow_ups.relpath(file))
    if is_path(profile) or Path(profile).is_file():
        return profile
    return f"[profiles.{profile}] of sensorflow.toml"


def _repair_hint(found: Sequence[Checked], where: str, form: str = "") -> Iterator[str]:
    """Yields the lines with the remedies for the three most frequent codes of the rejects. where: location
    of the profile. form: format of the profile."""
    counts = Counter(r.code for each in found if each.error is None for r in each.rejects)
    advice = [(c, row_remedy(c, form)) for c, _ in counts.most_common(3)]
    if advice := [(code, do) for code, do in advice if do]:
        yield f"to fix{f' in {where}' if where else ' in the profile'}:"
        yield from (f"  {code}: {todo}" for code, todo in advice)
    elif where:
        yield f"to fix: change {where}, then run this command again"
