"""Look up files, sources and codes that a user names. Errors for unknown names suggest similar ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sensorflow.core.listing import pattern
from sensorflow.core.nearest import did_you_mean, nearest
from sensorflow.core.states import State
from sensorflow.errors import Code, UsageError
from sensorflow.escaping import escape

if TYPE_CHECKING:
    from sensorflow.ports.catalog import Catalog
    from sensorflow.ports.files import FileView
    from sensorflow.ports.ledger import Ledger
    from sensorflow.settings import Settings

SHOWN = 10
"""Number of known names in a message about an unknown one."""
RECENT = 2000
"""Number of newest files searched for a name similar to an unknown one."""


def suggestion(given: str, known: Iterable[str]) -> str:
    """Returns a suggestion: the known name that is most similar to `given`, or else all known names."""
    names = list(dict.fromkeys(map(str, known)))
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    known_names = (
        f"there are: {', '.join(map(escape, names[:SHOWN]))}{more}"
        if names
        else "there are none yet"
    )
    return did_you_mean(given, names, known_names)


def require(option: str, given: str, what: str, known: Iterable[str]) -> None:
    """Raises UsageError unless `given` is known."""
    names = list(known)
    if given not in names:
        raise UsageError(f"{option} {given}: no such {what}; {suggestion(given, names)}")


def require_pattern(option: str, name: str | None) -> None:
    """Raises UsageError if `name` is not a pattern for file names."""
    try:
        re.compile(pattern(name or ""))
    except re.error as error:
        raise UsageError(f"{option} {name}: not a pattern for file names: {error}") from error


def require_source(
    settings: Settings, ledger: Catalog, source: str | None, option: str = "--source"
) -> None:
    """Raises UsageError unless the settings have the source or the ledger has files of this source."""
    if source is not None and source not in settings.sources:
        require(option, source, "source", [*settings.sources, *ledger.totals()])


def code_of(given: str | None) -> str | None:
    """Returns the full code, such as F204 timestamp-missing, for a number or a name in any case, such as
    f204. Returns None for None. Raises UsageError if there is no such code."""
    if given is None:
        return None
    for code in Code:
        if given.lower() in (code.lower(), *code.lower().split()):
            return str(code)
    known = [part for code in Code for part in code.split()]
    raise UsageError(f"--code {given}: no such code; {_near_code(given, known)}")


def _near_code(given: str, known: Sequence[str]) -> str:
    found = nearest(given, known, 0.8) or nearest(given.upper(), known, 0.8)
    return f"did you mean {found}?" if found else "docs/reference/errors.md lists all codes"


def file_of(ledger: Catalog, given: str) -> FileView:
    """Returns the file with this id, or the newest version of this name. Raises UsageError if there is no
    such file, or if several sources have a file of this name."""
    named = versions_of(ledger, given)
    if not named:
        raise unknown_file(ledger, given)
    sources = {view.source for view in named}
    if len(sources) > 1:
        ids = ", ".join(f"{v.file_id} of {v.source}" for v in _newest(named))
        raise UsageError(
            f"{given}: several sources have a file of this name; give the file id: {ids}"
        )
    return max(named, key=lambda view: view.version)


def versions_of(ledger: Catalog, given: str) -> list[FileView]:
    """Returns the file with this id, all versions of a name, or one version of a name (`name@2`)."""
    if is_id(given) and (found := ledger.file(int(given))):
        return [found]
    if found_ := ledger.named(given):
        return found_
    name, _, number = given.rpartition("@")
    named = ledger.named(name) if name and number.isdecimal() else []
    return [view for view in named if view.version == int(number)]


def is_id(given: str) -> bool:
    """Whether a string may be the id of a file."""
    return given.isascii() and given.isdecimal() and int(given) < 2**63


def unknown_file(ledger: Catalog, given: str) -> UsageError:
    """Returns the error to raise for a file that does not exist."""
    if given.isdecimal():
        last = ledger.files(limit=1)
        limit = f"the highest id is {last[0].file_id}" if last else "there are no files yet"
        return UsageError(f"no file {given}: {limit}; see `sensorflow files ls`")
    names = {view.name for view in ledger.files(limit=RECENT)}
    parts = {name.rsplit("/", 1)[-1]: name for name in names}
    if same := parts.get(given):
        hint = f"did you mean {same!r}?"
    elif found := nearest(given, [*names, *parts]):
        hint = f"did you mean {parts.get(found, found)!r}?"
    else:
        hint = "see `sensorflow files ls`"
    return UsageError(f"no file {given!r}; {hint}")


def chosen(
    ledger: Ledger,
    files: list[str],
    source: str | None,
    since: datetime | None,
    states: tuple[str, ...],
) -> list[FileView]:
    """Returns the files with these ids or names. If `files` is empty, returns all files that match the
    other arguments. Raises UsageError for a file that does not exist.

    A name selects the newest version in each source that has it, and all parts of a growing file. `name@2`
    selects the second version, `name@2-9` a range of versions.
    """
    if not files:
        return ledger.select(states, source, since)
    found: list[FileView] = []
    for name in files:
        numbered = ledger.file(int(name)) if is_id(name) else None
        named = [numbered] if numbered else _named(ledger, name, source)
        if not named:
            raise unknown_file(ledger, name)
        found += named
    return found


def _named(ledger: Ledger, given: str, source: str | None) -> list[FileView]:
    if found := _newest(ledger.named(given, source)):
        return _whole_chains(ledger, found)
    name, at, number = given.rpartition("@")
    first, _, last = number.partition("-")
    if not at or not first.isdecimal() or not (last or first).isdecimal():
        return []
    named = ledger.named(name, source)
    if not last:
        return [v for v in named if v.version == int(first)]
    wanted = range(int(first), int(last) + 1)
    return [v for v in named if v.version in wanted and v.state in (State.LOADED, State.PENDING)]


def _newest(views: list[FileView]) -> list[FileView]:
    newest: dict[str, FileView] = {}
    for view in views:
        known = newest.get(view.source)
        if known is None or view.version > known.version:
            newest[view.source] = view
    return list(newest.values())


def _whole_chains(ledger: Ledger, views: list[FileView]) -> list[FileView]:
    """Returns the files. Replaces each part of a growing file by all parts of that file, in the file's
    order."""
    from sensorflow.flow.segments import segments  # slow import

    found: list[FileView] = []
    chains = ledger.chains([view.file_id for view in views])
    for view in views:
        chain = chains.get(view.file_id)
        if chain is None:
            found.append(view)
            continue
        ids = (segment.file_id for segment in segments(ledger, chain.root, chain.size))
        found += filter(None, map(ledger.file, ids))
    return found
