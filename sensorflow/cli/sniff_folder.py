"""sensorflow sniff FOLDER: finds the kinds of files in a folder, and proposes a profile for each kind."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorflow.cli.follow_ups import typed
from sensorflow.cli.show import as_json, line, table
from sensorflow.core.names import composed
from sensorflow.errors import UsageError
from sensorflow.escaping import escape
from sensorflow.shell import command

if TYPE_CHECKING:
    from sensorflow.flow.sniff import Proposal

FILES = 100_000
"""Maximum number of files in the folder that are considered."""
MAX_OPENED_FILES = 60
"""Maximum number of files to open."""
MAX_FILES_PER_PATTERN = 3
"""Maximum number of files to open per name pattern."""
MAX_SHOWN = 20


@dataclass
class FileKind:
    """A kind of file: the files of a folder that one profile can read.

    proposal: the profile. file: the file for which the profile was proposed. name: name for the source.
    looked_at: number of files of this kind that were opened. patterns: name pattern -> number of files
    whose names match. names: names of all files of this kind, relative to the folder.
    """

    proposal: Proposal
    file: Path
    name: str = ""
    looked_at: int = 0
    patterns: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        return sum(self.patterns.values())

    @property
    def why_unreadable(self) -> str | None:
        """The name of a file from which the profile cannot read the sensor, because its pattern does not
        match the name. None if there is no such file."""
        found = self.proposal.profile().sensor
        if found is None or found.file_name is None:
            return None
        plain = re.compile(found.file_name)
        names = (name.rpartition("/")[2] for name in self.names)
        return next((name for name in names if not plain.search(composed(name))), None)


@dataclass
class FolderReport:
    """The kinds of files in a folder.

    files: number of files in the folder. looked_at: number of files that were opened. kinds: the kinds, by
    an internal key. mixed: name patterns with files of several kinds. failed: name patterns of files that
    were not recognized -> (one of the files, reason, number of files). passed: name patterns from which no
    file was opened -> number of files.
    """

    folder: Path
    files: int = 0
    looked_at: int = 0
    kinds: dict[Hashable, FileKind] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    failed: dict[str, tuple[Path, str, int]] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)


def look(folder: Path, zone: str | None) -> FolderReport:
    """Open some files of each name pattern, and return the kinds of files. zone: time zone of times without
    an offset. Raises UsageError if the folder has no files."""
    from sensorflow.core.sniff import groups

    names = list(islice(_names(folder), FILES))
    if not names:
        raise UsageError(f"{folder}: the folder has no files")
    by = groups.by_pattern(names)
    chosen = set(groups.sample(list(by), MAX_OPENED_FILES))
    each = max(1, min(MAX_FILES_PER_PATTERN, MAX_OPENED_FILES // len(by)))
    seen = FolderReport(
        folder, len(names), passed={p: len(n) for p, n in by.items() if p not in chosen}
    )
    for pattern in (p for p in by if p in chosen):
        _look_at(seen, pattern, by[pattern], groups.sample(by[pattern], each), zone)
    _name(seen)
    return seen


def _names(folder: Path) -> Iterator[str]:
    """Yields the paths of all files relative to the folder, without hidden files and folders, which the
    intake ignores."""
    found = (p for p in folder.rglob("*") if p.is_file())
    names = sorted((p.relative_to(folder) for p in found), key=lambda p: (len(p.parts), p))
    return (str(n) for n in names if not any(part.startswith(".") for part in n.parts))


def _look_at(
    report: FolderReport,
    pattern: str,
    names: Sequence[str],
    chosen: Sequence[str],
    zone: str | None,
) -> None:
    from sensorflow.core.sniff import groups
    from sensorflow.flow.sniff import guess

    folder_counts: dict[Hashable, int] = {}
    for name in chosen:
        path = report.folder / name
        report.looked_at += 1
        try:
            proposal = guess(path, zone)
        except UsageError as error:
            reason = error.message.removeprefix(f"{path}: ")
            report.failed.setdefault(pattern, (path, reason, 0 if folder_counts else len(names)))
            continue
        key = groups.kind(proposal.guess)
        kind = report.kinds.setdefault(key, FileKind(proposal, path))
        kind.looked_at += 1
        folder_counts[key] = folder_counts.get(key, 0) + 1
    if folder_counts:
        limit = max(folder_counts, key=lambda key: folder_counts[key])
        report.kinds[limit].patterns[pattern] = len(names)
        report.kinds[limit].names += names
        for key in folder_counts.keys() - {limit}:
            report.kinds[key].patterns.setdefault(pattern, 0)
        if pattern in report.failed:
            path, reason, _ = report.failed[pattern]
            report.failed[pattern] = (path, reason, 1)
    if len(folder_counts) > 1:
        report.mixed.append(pattern)


def _name(report: FolderReport) -> None:
    """Set the name of each kind to the constant part of its most frequent name pattern. The names are made
    unique."""
    from sensorflow.profiles.files import plain_name

    used_names: set[str] = set()
    for kind in report.kinds.values():
        limit = max(kind.patterns, key=lambda p: kind.patterns[p], default=kind.file.name)
        stem = limit.partition(".")[0].replace("*", "").replace("?", "").strip("_-. ")
        plain = plain_name(stem) or plain_name(report.folder.resolve().name) or "logger"
        tries = (plain, *(f"{plain}-{n}" for n in range(2, 1000)))
        kind.name = next(name for name in tries if name not in used_names)
        used_names.add(kind.name)


def sniff_folder(folder: Path, zone: str | None, json: bool) -> None:
    seen = look(folder, zone)
    if json:
        as_json(_as_dict(seen))
        return
    kinds = list(seen.kinds.values())
    line(
        f"{folder}: {seen.files:,} files, {seen.looked_at:,} sampled: {len(kinds)} "
        f"kind{'' if len(kinds) == 1 else 's'}"
    )
    rows = [
        (k.name, k.files, k.looked_at, ", ".join(list(k.patterns)[:4]), _form(k), _open(k))
        for k in kinds
    ]
    if rows:
        table("", ("source", "files", "sampled", "names", "format", "open questions"), rows)
    _print_rest(seen)
    for kind in kinds:
        _print(kind, zone)


def _print_rest(report: FolderReport) -> None:
    if report.failed:
        rows = [
            (p, n, escape(reason)) for p, (_, reason, n) in list(report.failed.items())[:MAX_SHOWN]
        ]
        table("not recognized", ("names", "files", "why"), rows)
        if len(report.failed) > MAX_SHOWN:
            line(f"… and {len(report.failed) - MAX_SHOWN} more name patterns")
    for kind in report.kinds.values():
        if (name := kind.why_unreadable) is not None:
            line(f"note: {kind.name}: the sensor pattern does not match {escape(name)}")
    for pattern in report.mixed:
        line(
            f"note: files named {escape(pattern)} are of several kinds: move each kind to its own folder"
        )
    if report.passed:
        count = sum(report.passed.values())
        line(
            f"note: {count:,} files of {len(report.passed):,} other name patterns were not sampled"
        )
    if report.files == FILES:
        line(f"note: only the first {FILES:,} files were listed")


def _form(kind: FileKind) -> str:
    keys = {one.key: one.value for one in kind.proposal.guess.settings}
    return str(keys.get("extends") or keys.get("format") or "")


def _open(kind: FileKind) -> str:
    guess = kind.proposal.guess
    zone = ["zone"] if guess.needs_zone else []
    return ", ".join([*zone, *([f"{len(guess.todo)} TODO"] if guess.todo else [])]) or "nothing"


def _print(kind: FileKind, zone: str | None) -> None:
    line()
    line(f"# {kind.name}: proposed from {escape(str(kind.file))}")
    line(kind.proposal.toml())
    line(f"# next: {_add_command(kind, zone)}")


def _add_command(kind: FileKind, zone: str | None) -> str:
    where = ["--zone", zone or "ZONE"] if zone or kind.proposal.guess.needs_zone else []
    return command("sensorflow", "sniff", typed(kind.file), "--add", kind.name, *where)


def only_kind(folder: Path, zone: str | None) -> FileKind:
    """Returns the kind of the files in the folder. Raises UsageError if there are several kinds or none, or
    if the profile cannot read the sensor from all file names."""
    seen = look(folder, zone)
    kinds = list(seen.kinds.values())
    if not kinds:
        path, reason, _ = next(iter(seen.failed.values()))
        raise UsageError(f"{folder}: no file format was recognized; {path.name}: {reason}")
    if len(kinds) > 1:
        each = "\n".join(f"  {_add_command(kind, zone)}" for kind in kinds)
        raise UsageError(
            f"nothing was added: {folder} has {len(kinds)} kinds of files, but a source reads one. Add "
            f"each kind with one of its files:\n{each}"
        )
    if (name := kinds[0].why_unreadable) is not None:
        written = command("sensorflow", "sniff", typed(kinds[0].file), "--out", "profile.toml")
        raise UsageError(
            "nothing was added: the proposal takes the sensor from the file name, with a pattern that does "
            f"not match {escape(name)}. Write the profile, correct its sensor, then run `sensorflow "
            f"sources add`:\n  {written}"
        )
    _print_rest(seen)
    return kinds[0]


def _as_dict(report: FolderReport) -> dict[str, Any]:
    from sensorflow.cli.sniff import described

    kinds = [
        {
            "name": k.name,
            "files": k.files,
            "looked_at": k.looked_at,
            "patterns": k.patterns,
            **described(k.file, k.proposal),
        }
        for k in report.kinds.values()
    ]
    failed = [
        {"pattern": p, "file": str(f), "why": reason, "files": n}
        for p, (f, reason, n) in report.failed.items()
    ]
    return {
        "folder": str(report.folder),
        "files": report.files,
        "looked_at": report.looked_at,
        "kinds": kinds,
        "not_understood": failed,
        "mixed": report.mixed,
        "not_looked_at": report.passed,
    }
