"""sensorflow sniff FILE --add NAME: adds a source with a profile that is proposed for the file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli import follow_ups, project, sources
from sensorflow.cli.show import line
from sensorflow.core.sniff.filename import WHOLE_NAME, called
from sensorflow.errors import UsageError
from sensorflow.escaping import escape
from sensorflow.shell import command

if TYPE_CHECKING:
    from sensorflow.flow.check import Checked
    from sensorflow.flow.sniff import Proposal


MAX_DUPLICATE_SHARE = 0.01
"""Maximum share of readings that have the same sensor, time and type as another reading. If the share is
larger than this, the source is added only with --accept."""


@dataclass(frozen=True)
class AdoptOptions:
    """The options of `sniff --add`, except --zone. folder: the drop folder. out: file for the profile.
    names: names of the files that the source must process."""

    folder: Path | None = None
    after: str | None = None
    accept: bool = False
    out: Path | None = None
    names: Sequence[str] = ()


def adopt(path: Path, name: str, zone: str | None, options: AdoptOptions) -> None:
    """Add a source and its profile to sensorflow.toml. path: the file for which the profile is proposed.
    name: name of the source. Raises UsageError if the source or the profile exists, or if the file would
    not be loaded with the profile."""
    from sensorflow import bootstrap
    from sensorflow.cli.sniff import preview, write
    from sensorflow.flow.sniff import Proposal, guess

    file = project.settings_file()
    settings = bootstrap.settings()
    project.require_free(file, name, with_profile=options.out is None)
    after = sources.checked_after(options.after) if options.after else "archive"
    found = Proposal(called(guess(path, zone).guess, name))
    line(f"# [profiles.{name}], proposed from {escape(path.name)}. Review it.")
    line(found.toml())
    checked = preview(path, found)
    line()
    _require_answers(path, name, zone, found, options.accept)
    _require_rows(path, name, zone, checked)
    if not options.accept:
        _require_distinct(path, name, zone, checked)
    keys = {"include": included} if (included := include(options.names)) else {}
    new_source = project.AddedSource(
        name,
        sources.folder_of(options.folder, name, settings),
        name if options.out is None else project.relative(options.out, settings.home),
        {**keys, **({"after": after} if after != "archive" else {})},
        found.toml() if options.out is None else None,
        f"proposed from {escape(path.name)}",
    )
    if options.out is not None:
        write(options.out, found.toml())
    try:
        sources.added(file, new_source)
    except UsageError:
        if options.out is not None:
            options.out.unlink(missing_ok=True)
        raise
    for text in _by_file_name(path, name, found):
        line(text)
    if included:
        line(f"include = {included}: the default patterns do not match these names")
    for text in follow_ups.after_adding(bootstrap.settings(), name, [path]):
        line(text)


def _require_answers(
    path: Path, name: str, zone: str | None, found: Proposal, accept: bool
) -> None:
    """Raises UsageError if the proposal needs a zone, or has open questions and `accept` is False. The
    message contains the command to run."""
    again = ["sensorflow", "sniff", follow_ups.typed(path), "--add", name]
    where = ["--zone", zone] if zone else []
    if found.guess.needs_zone:
        example = command(*again, "--zone", "Europe/Berlin")
        raise UsageError(
            "nothing was added: the times have no UTC offset. Give their time zone with --zone (a name "
            f"such as Europe/Berlin, an offset such as +01:00, or UTC), for example\n  {example}"
        )
    if found.guess.todo and not accept:
        doubts = "\n".join(f"  TODO: {text}" for text in found.guess.todo)
        raise UsageError(
            f"nothing was added: the proposal has open questions:\n{doubts}\n"
            f"if the proposal is correct:\n  {command(*again, *where, '--accept')}\n"
            f"{_by_hand(path, name, zone, 'if not')}"
        )


def _by_hand(path: Path, name: str, zone: str | None, when: str) -> str:
    where = ["--zone", zone] if zone else []
    sniff = command("sensorflow", "sniff", follow_ups.typed(path), *where, "--out", f"{name}.toml")
    add = command("sensorflow", "sources", "add", name, "--profile", f"{name}.toml")
    return f"{when}, write the profile to a file, edit the file, and add the source:\n  {sniff}\n  {add}"


def _by_file_name(path: Path, name: str, found: Proposal) -> list[str]:
    """Returns the lines of a note if the profile uses the file name as the name of the sensor and the file
    name contains digits, for example of a date; else []."""
    sensor = next((one.value for one in found.guess.settings if one.key == "sensor"), None)
    stem = path.name.partition(".")[0]
    if sensor != {"file_name": WHOLE_NAME} or not re.search(r"\d", stem):
        return []
    return [
        f"note: the name of the sensor is the file name, here {escape(stem)}:",
        "  each file name becomes a sensor of its own. If all files are from one sensor, set",
        f"  sensor = {{ constant = {json.dumps(name)} }}   in [profiles.{name}]",
    ]


def _require_rows(path: Path, name: str, zone: str | None, checked: Checked) -> None:
    """Raises UsageError if the proposed profile would send this file to quarantine."""
    from sensorflow.settings import tolerates

    if checked.error is not None:
        reason = str(checked.error)
    elif not checked.valid:
        reason = "it has no valid readings"
    elif not tolerates("10%", checked.rejected, checked.read):
        reason = f"{checked.rejected:,} of {checked.read:,} readings are rejected"
    else:
        return
    raise UsageError(
        f"nothing was added: with this profile the file would not be loaded ({reason})\n"
        f"{_by_hand(path, name, zone, 'to correct the profile')}"
    )


def _require_distinct(path: Path, name: str, zone: str | None, checked: Checked) -> None:
    """Raises UsageError if too many readings have the same sensor, time and type as another reading; see
    `MAX_DUPLICATE_SHARE`."""
    same = checked.valid - checked.duplicates - checked.distinct
    if same <= MAX_DUPLICATE_SHARE * checked.valid:
        return
    where = ["--zone", zone] if zone else []
    again = command(
        "sensorflow", "sniff", follow_ups.typed(path), "--add", name, *where, "--accept"
    )
    raise UsageError(
        f"nothing was added: {same:,} of {checked.valid:,} readings repeat the sensor, time and type of "
        "another reading. The proposal may miss a column that distinguishes sensors or types\n"
        f"if the proposal is correct:\n  {again}\n{_by_hand(path, name, zone, 'if not')}"
    )


def include(names: Sequence[str]) -> list[str]:
    """Returns the patterns of `include` that the source needs for files with these names. Returns [] if the
    default patterns match the names. Names that match the default of `exclude` are ignored."""
    from sensorflow.core.stability import takes
    from sensorflow.settings import FolderSource

    fields = FolderSource.model_fields
    default, exclude = fields["include"].default, fields["exclude"].default
    keys = [name for name in names if takes(os.fsencode(name), ("*",), exclude)]
    if all(takes(os.fsencode(name), default, exclude) for name in keys):
        return []
    return sorted({_ending(name.rpartition("/")[2]) for name in keys})


def _ending(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    plain = dot and stem and ending.isalnum() and ending.isascii()
    return f"*.{ending.lower()}" if plain else "*"
