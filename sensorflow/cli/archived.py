"""Prints archives and their members."""

from __future__ import annotations

from sensorflow.cli.show import line, table
from sensorflow.ports.catalog import Catalog, Member
from sensorflow.ports.files import FileView

MAX_SHOWN = 20


def shared(view: FileView, found: dict[int, list[Member]]) -> list[str]:
    """Returns a note about the members of an undone archive that stay loaded, because they also arrived in
    another way. found: archive id -> these members."""
    stay = found.get(view.file_id, [])
    names = ", ".join(m.name for m in stay[:5]) + (", …" if len(stay) > 5 else "")
    return (
        [f"  {len(stay):,} of its files also arrived in another way and stay loaded: {names}"]
        if stay
        else []
    )


def print_members(ledger: Catalog, view: FileView) -> None:
    """Print the members of an archive."""
    members = ledger.members(view.file_id)
    rows = []
    for member in members[:MAX_SHOWN]:
        file = ledger.file(member.file_id)
        if file is not None:
            a = file.account
            rows.append(
                [member.file_id, member.name, file.version, str(file.state), a.read, a.loaded]
            )
    line()
    heads = ("id", "file", "version", "state", "read", "loaded")
    table(f"the archive contains {len(members):,} files", heads, rows)
    if len(members) > MAX_SHOWN:
        line(f"and {len(members) - MAX_SHOWN:,} more: sensorflow files ls --name '{view.name}!*'")
