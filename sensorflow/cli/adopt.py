"""sensorflow sniff FILE --add NAME: from a file to a source that reads it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensorflow.cli import project, sources, steps
from sensorflow.cli.show import line
from sensorflow.core.sniff.filename import WHOLE, called
from sensorflow.errors import Misuse
from sensorflow.shell import command
from sensorflow.shown import shown

if TYPE_CHECKING:
    from sensorflow.flow.check import Checked
    from sensorflow.flow.sniff import Proposal


SAME = 0.01
"""The part of a file's readings that may be of the same sensor, time and type as another, unasked."""


@dataclass(frozen=True)
class Wanted:
    """The options beside the zone. names: of the files that the source is to take."""

    folder: Path | None = None
    after: str | None = None
    accept: bool = False
    out: Path | None = None
    names: Sequence[str] = ()


def adopt(path: Path, name: str, zone: str | None, wanted: Wanted) -> None:
    """Raises Misuse where something is in the way, or Exit(1) where the profile would not read the file."""
    from sensorflow import bootstrap
    from sensorflow.cli.sniff import preview, write
    from sensorflow.flow.sniff import Proposal, guess

    file = project.settings_file()
    settings = bootstrap.settings()
    project.require_free(file, name, with_profile=wanted.out is None)
    after = sources.checked_after(wanted.after) if wanted.after else "archive"
    found = Proposal(called(guess(path, zone).guess, name))
    line(f"# [profiles.{name}], as sniffed of {shown(path.name)}: see whether it is right.")
    line(found.toml())
    checked = preview(path, found)
    line()
    _require_answers(path, name, zone, found, wanted.accept)
    _require_rows(path, name, zone, checked)
    if not wanted.accept:
        _require_distinct(path, name, zone, checked)
    keys = {"include": included} if (included := include(wanted.names)) else {}
    made = project.Added(
        name,
        sources.folder_of(wanted.folder, name, settings),
        name if wanted.out is None else project.relative(wanted.out, settings.home),
        {**keys, **({"after": after} if after != "archive" else {})},
        found.toml() if wanted.out is None else None,
        f"for files such as {shown(path.name)}, as sniffed",
    )
    if wanted.out is not None:
        write(wanted.out, found.toml())
    try:
        sources.added(file, made)
    except Misuse:
        if wanted.out is not None:
            wanted.out.unlink(missing_ok=True)
        raise
    for text in _by_file_name(path, name, found):
        line(text)
    if included:
        line(f"include = {included}: such names are not among the default ones")
    for text in steps.after_adding(bootstrap.settings(), name, [path]):
        line(text)


def _require_answers(
    path: Path, name: str, zone: str | None, found: Proposal, accept: bool
) -> None:
    """Raises Misuse, with what to type, where a person has something to say yet."""
    again = ["sensorflow", "sniff", steps.typed(path), "--add", name]
    where = ["--zone", zone] if zone else []
    if found.guess.needs_zone:
        example = command(*again, "--zone", "Europe/Berlin")
        raise Misuse(
            "nothing was added: the times carry no offset, so say which clock they follow (a name "
            f"such as Europe/Berlin, an offset such as +01:00, or UTC), as in\n  {example}"
        )
    if found.guess.todo and not accept:
        doubts = "\n".join(f"  TODO: {text}" for text in found.guess.todo)
        raise Misuse(
            f"nothing was added: the proposal is unsure of this:\n{doubts}\n"
            f"if it is right as it stands:\n  {command(*again, *where, '--accept')}\n"
            f"{_by_hand(path, name, zone, 'if not')}"
        )


def _by_hand(path: Path, name: str, zone: str | None, when: str) -> str:
    where = ["--zone", zone] if zone else []
    sniff = command("sensorflow", "sniff", steps.typed(path), *where, "--out", f"{name}.toml")
    add = command("sensorflow", "sources", "add", name, "--profile", f"{name}.toml")
    return f"{when}, write it to a file, edit that, and add it:\n  {sniff}\n  {add}"


def _by_file_name(path: Path, name: str, found: Proposal) -> list[str]:
    """What to say where each file's name, a date or a counter in it and all, is a sensor."""
    sensor = next((one.value for one in found.guess.settings if one.key == "sensor"), None)
    stem = path.name.partition(".")[0]
    if sensor != {"file_name": WHOLE} or not re.search(r"\d", stem):
        return []
    return [
        f"note: the sensor is called by the whole name of its file, here {shown(stem)}:",
        "  a file of another name is another sensor. If all are of one:",
        f"  sensor = {{ constant = {json.dumps(name)} }}   in [profiles.{name}]",
    ]


def _require_rows(path: Path, name: str, zone: str | None, checked: Checked) -> None:
    """Raises Misuse where this very file would go to quarantine."""
    from sensorflow.settings import tolerates

    if checked.error is not None:
        why = str(checked.error)
    elif not checked.valid:
        why = "no reading of it would be loaded"
    elif not tolerates("10%", checked.rejected, checked.read):
        why = f"{checked.rejected:,} of {checked.read:,} readings are rejected"
    else:
        return
    raise Misuse(
        f"nothing was added: by this profile the file would not be loaded ({why})\n"
        f"{_by_hand(path, name, zone, 'the profile needs a change')}"
    )


def _require_distinct(path: Path, name: str, zone: str | None, checked: Checked) -> None:
    """Raises Misuse where sensor, time and type together do not tell readings apart."""
    same = checked.valid - checked.duplicates - checked.distinct
    if same <= SAME * checked.valid:
        return
    where = ["--zone", zone] if zone else []
    again = command("sensorflow", "sniff", steps.typed(path), "--add", name, *where, "--accept")
    raise Misuse(
        f"nothing was added: {same:,} of {checked.valid:,} readings have the sensor, time and type of "
        "another one, so the proposal may miss what tells sensors or types apart\n"
        f"if it is right as it stands:\n  {again}\n{_by_hand(path, name, zone, 'if not')}"
    )


def include(names: Sequence[str]) -> list[str]:
    """The patterns for files called like these; none where the default ones take them all, or whatever is
    included leaves them out."""
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
