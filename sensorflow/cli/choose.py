"""What commands are given by name: sources, files, states, codes. An unknown one is an error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.core.nearest import meant, nearest
from sensorflow.errors import Misuse

if TYPE_CHECKING:
    from sensorflow.ports.catalog import Catalog
    from sensorflow.ports.files import FileView
    from sensorflow.settings import Settings

RECENT = 2000
"""The newest files, among which a name that is near to an unknown one is looked for."""


def complete_source(incomplete: str) -> list[str]:
    """The sources of the project, for a shell; none where there is no project."""
    from sensorflow import bootstrap

    try:
        return [name for name in bootstrap.settings().sources if name.startswith(incomplete)]
    except Misuse:
        return []


def complete_state(incomplete: str) -> list[str]:
    from sensorflow.core.states import State

    return [state for state in State if state.startswith(incomplete)]


Source = Annotated[
    str | None,
    typer.Option(help="Only files of this source.", autocompletion=complete_source),
]


def near(given: str, known: Iterable[str]) -> str:
    """The name that was meant, or all that there are."""
    names = list(dict.fromkeys(map(str, known)))
    there = f"there are: {', '.join(names[:10])}" if names else "there are none yet"
    return meant(given, names, there)


def require(option: str, given: str, what: str, known: Iterable[str]) -> None:
    """Raises Misuse unless `given` is known."""
    names = list(known)
    if given not in names:
        raise Misuse(f"{option} {given}: no such {what}; {near(given, names)}")


def require_source(settings: Settings, ledger: Catalog, source: str | None) -> None:
    """A source of the settings, or one that is gone from them and still has files."""
    if source is not None and source not in settings.sources:
        require("--source", source, "source", [*settings.sources, *ledger.totals()])


def code_of(given: str | None) -> str | None:
    """The code, with its name, that is given as number or name: F204, f204, or timestamp-missing."""
    from sensorflow.errors import Code

    if given is None:
        return None
    for code in Code:
        if given.lower() in (code.lower(), *code.lower().split()):
            return str(code)
    known = [part for code in Code for part in code.split()]
    raise Misuse(f"--code {given}: no such code; {_near_code(given, known)}")


def _near_code(given: str, known: Sequence[str]) -> str:
    found = nearest(given, known, 0.8) or nearest(given.upper(), known, 0.8)
    return f"did you mean {found}?" if found else "docs/reference/errors.md has them all"


def file_of(ledger: Catalog, given: str) -> FileView:
    """The file of a number, or the newest version of a name. Raises Misuse where there is none."""
    named = versions_of(ledger, given)
    if not named:
        raise unknown_file(ledger, given)
    sources = {view.source for view in named}
    if len(sources) > 1:
        ids = ", ".join(f"{v.file_id} of {v.source}" for v in _newest(named))
        raise Misuse(f"{given}: several sources have a file of that name; give its number: {ids}")
    return max(named, key=lambda view: view.version)


def versions_of(ledger: Catalog, given: str) -> list[FileView]:
    """The file of a number; else all versions of a name, or one of them: `name@2`."""
    if is_id(given) and (found := ledger.file(int(given))):
        return [found]
    if found_ := ledger.named(given):
        return found_
    name, _, number = given.rpartition("@")
    named = ledger.named(name) if name and number.isdecimal() else []
    return [view for view in named if view.version == int(number)]


def is_id(given: str) -> bool:
    """Whether it may be the number of a file, as the ledger counts them."""
    return given.isascii() and given.isdecimal() and int(given) < 2**63


def _newest(views: Sequence[FileView]) -> list[FileView]:
    newest = {view.source: view for view in sorted(views, key=lambda view: view.version)}
    return list(newest.values())


def unknown_file(ledger: Catalog, given: str) -> Misuse:
    """What to raise of a file that is not there."""
    if given.isdecimal():
        last = ledger.files(limit=1)
        most = f"they go up to {last[0].file_id}" if last else "there are none yet"
        return Misuse(f"no file {given}: {most}; see `sensorflow files ls`")
    names = {view.name for view in ledger.files(limit=RECENT)}
    parts = {name.rsplit("/", 1)[-1]: name for name in names}
    if same := parts.get(given):
        hint = f"did you mean {same!r}?"
    elif found := nearest(given, [*names, *parts]):
        hint = f"did you mean {parts.get(found, found)!r}?"
    else:
        hint = "see `sensorflow files ls`"
    return Misuse(f"no file {given!r}; {hint}")


def cut(shown: int, total: int, json: bool = False) -> None:
    """Say that a list is not all; with JSON on stderr, where it spoils nothing."""
    if shown < total:
        from sensorflow.cli.show import line

        text = f"{shown:,} of {total:,} shown: --limit {total}"
        print(text, file=sys.stderr) if json else line(text)  # noqa: T201
