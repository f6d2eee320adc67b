"""sensorflow sniff FOLDER: the kinds of files in it, and a source for each."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensorflow.cli.show import as_json, line, table
from sensorflow.cli.steps import typed
from sensorflow.core.names import composed
from sensorflow.errors import Misuse
from sensorflow.shell import command
from sensorflow.shown import shown

if TYPE_CHECKING:
    from sensorflow.flow.sniff import Proposal

FILES = 100_000
"""Names at most that are listed."""
LOOKS = 60
"""Files at most that are opened."""
EACH = 3
"""Files of one pattern of names that are opened."""
SHOWN = 20


@dataclass
class Kind:
    """Files that one profile reads. patterns: of their names -> how many files have such a name.
    names: of these files."""

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
    def strange(self) -> str | None:
        """A file's name in which the pattern of the sensor is not found."""
        found = self.proposal.profile().sensor
        if found is None or found.file_name is None:
            return None
        plain = re.compile(found.file_name)
        names = (name.rpartition("/")[2] for name in self.names)
        return next((name for name in names if not plain.search(composed(name))), None)


@dataclass
class Seen:
    """What a folder holds. mixed: patterns of names under which files of several kinds stand.
    failed: pattern -> (a file, why, how many have such a name). passed: patterns not looked at."""

    folder: Path
    files: int = 0
    looked_at: int = 0
    kinds: dict[Hashable, Kind] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    failed: dict[str, tuple[Path, str, int]] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)


def look(folder: Path, zone: str | None) -> Seen:
    """Open some files of each pattern of names. Raises Misuse where there are none."""
    from sensorflow.core.sniff import groups

    names = list(islice(_names(folder), FILES))
    if not names:
        raise Misuse(f"{folder}: no files in it")
    by = groups.by_pattern(names)
    chosen = set(groups.sample(list(by), LOOKS))
    each = max(1, min(EACH, LOOKS // len(by)))
    seen = Seen(folder, len(names), passed={p: len(n) for p, n in by.items() if p not in chosen})
    for pattern in (p for p in by if p in chosen):
        _look_at(seen, pattern, by[pattern], groups.sample(by[pattern], each), zone)
    _name(seen)
    return seen


def _names(folder: Path) -> Iterator[str]:
    """Of files, relative to the folder; those that begin with a dot, and what lies in such folders, are
    never taken in either."""
    found = (p for p in folder.rglob("*") if p.is_file())
    names = sorted((p.relative_to(folder) for p in found), key=lambda p: (len(p.parts), p))
    return (str(n) for n in names if not any(part.startswith(".") for part in n.parts))


def _look_at(
    seen: Seen, pattern: str, names: Sequence[str], chosen: Sequence[str], zone: str | None
) -> None:
    from sensorflow.core.sniff import groups
    from sensorflow.flow.sniff import guess

    here: dict[Hashable, int] = {}
    for name in chosen:
        path = seen.folder / name
        seen.looked_at += 1
        try:
            proposal = guess(path, zone)
        except Misuse as error:
            why = error.message.removeprefix(f"{path}: ")
            seen.failed.setdefault(pattern, (path, why, 0 if here else len(names)))
            continue
        key = groups.kind(proposal.guess)
        kind = seen.kinds.setdefault(key, Kind(proposal, path))
        kind.looked_at += 1
        here[key] = here.get(key, 0) + 1
    if here:
        most = max(here, key=lambda key: here[key])
        seen.kinds[most].patterns[pattern] = len(names)
        seen.kinds[most].names += names
        for key in here.keys() - {most}:
            seen.kinds[key].patterns.setdefault(pattern, 0)
        if pattern in seen.failed:
            path, why, _ = seen.failed[pattern]
            seen.failed[pattern] = (path, why, 1)
    if len(here) > 1:
        seen.mixed.append(pattern)


def _name(seen: Seen) -> None:
    """A name for the source of each kind: what its files' names have in common with no other's."""
    from sensorflow.profiles.files import plain_name

    taken: set[str] = set()
    for kind in seen.kinds.values():
        most = max(kind.patterns, key=lambda p: kind.patterns[p], default=kind.file.name)
        stem = most.partition(".")[0].replace("*", "").replace("?", "").strip("_-. ")
        plain = plain_name(stem) or plain_name(seen.folder.resolve().name) or "logger"
        tries = (plain, *(f"{plain}-{n}" for n in range(2, 1000)))
        kind.name = next(name for name in tries if name not in taken)
        taken.add(kind.name)


def sniff_folder(folder: Path, zone: str | None, json: bool) -> None:
    seen = look(folder, zone)
    if json:
        as_json(_as_dict(seen))
        return
    kinds = list(seen.kinds.values())
    line(
        f"{folder}: {seen.files:,} files, {seen.looked_at:,} looked at: {len(kinds)} "
        f"kind{'' if len(kinds) == 1 else 's'}"
    )
    rows = [
        (k.name, k.files, k.looked_at, ", ".join(list(k.patterns)[:4]), _form(k), _open(k))
        for k in kinds
    ]
    if rows:
        table("", ("source", "files", "looked at", "names", "format", "to be said"), rows)
    _print_rest(seen)
    for kind in kinds:
        _print(kind, zone)


def _print_rest(seen: Seen) -> None:
    if seen.failed:
        rows = [(p, n, shown(why)) for p, (_, why, n) in list(seen.failed.items())[:SHOWN]]
        table("not understood", ("names", "files", "why"), rows)
        if len(seen.failed) > SHOWN:
            line(f"… and {len(seen.failed) - SHOWN} more patterns of names")
    for kind in seen.kinds.values():
        if (name := kind.strange) is not None:
            line(f"note: {kind.name}: the sensor's pattern is not found in {shown(name)}")
    for pattern in seen.mixed:
        line(
            f"note: files called {shown(pattern)} are of several kinds: give them folders of their own"
        )
    if seen.passed:
        count = sum(seen.passed.values())
        line(
            f"note: {count:,} files of {len(seen.passed):,} other patterns of names were not looked at"
        )
    if seen.files == FILES:
        line(f"note: only the first {FILES:,} files were listed")


def _form(kind: Kind) -> str:
    keys = {one.key: one.value for one in kind.proposal.guess.settings}
    return str(keys.get("extends") or keys.get("format") or "")


def _open(kind: Kind) -> str:
    guess = kind.proposal.guess
    zone = ["zone"] if guess.needs_zone else []
    return ", ".join([*zone, *([f"{len(guess.todo)} TODO"] if guess.todo else [])]) or "nothing"


def _print(kind: Kind, zone: str | None) -> None:
    line()
    line(f"# {kind.name}: as sniffed of {shown(str(kind.file))}")
    line(kind.proposal.toml())
    line(f"# next: {_adding(kind, zone)}")


def _adding(kind: Kind, zone: str | None) -> str:
    where = ["--zone", zone or "ZONE"] if zone or kind.proposal.guess.needs_zone else []
    return command("sensorflow", "sniff", typed(kind.file), "--add", kind.name, *where)


def only_kind(folder: Path, zone: str | None) -> Kind:
    """The only kind of files that the folder holds. Raises Misuse where there are several or none, or where
    the proposal does not fit all names."""
    seen = look(folder, zone)
    kinds = list(seen.kinds.values())
    if not kinds:
        path, why, _ = next(iter(seen.failed.values()))
        raise Misuse(f"{folder}: nothing in it is understood; {path.name}: {why}")
    if len(kinds) > 1:
        each = "\n".join(f"  {_adding(kind, zone)}" for kind in kinds)
        raise Misuse(
            f"nothing was added: {folder} holds {len(kinds)} kinds of files, and a source reads one; add "
            f"each by one of its files:\n{each}"
        )
    if (name := kinds[0].strange) is not None:
        written = command("sensorflow", "sniff", typed(kinds[0].file), "--out", "profile.toml")
        raise Misuse(
            "nothing was added: the proposal takes the sensor from the file's name, by a pattern that is "
            f"not found in {shown(name)}; write the profile, correct its sensor, then type `sensorflow "
            f"sources add`:\n  {written}"
        )
    _print_rest(seen)
    return kinds[0]


def _as_dict(seen: Seen) -> dict[str, Any]:
    from sensorflow.cli.sniff import described

    kinds = [
        {
            "name": k.name,
            "files": k.files,
            "looked_at": k.looked_at,
            "patterns": k.patterns,
            **described(k.file, k.proposal),
        }
        for k in seen.kinds.values()
    ]
    failed = [
        {"pattern": p, "file": str(f), "why": why, "files": n}
        for p, (f, why, n) in seen.failed.items()
    ]
    return {
        "folder": str(seen.folder),
        "files": seen.files,
        "looked_at": seen.looked_at,
        "kinds": kinds,
        "not_understood": failed,
        "mixed": seen.mixed,
        "not_looked_at": seen.passed,
    }
