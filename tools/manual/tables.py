"""Generates the reference of the database tables from the declared schema."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.dialects import postgresql

from manual import columns
from manual.markdown import table
from sensorflow.adapters.postgres.schema import metadata


def reference() -> str:
    """Return the reference as Markdown. Raises KeyError if `columns` does not describe a table or a
    column."""
    return "\n\n".join(_parts())


def _parts() -> Iterator[str]:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for name, meaning in columns.TABLES.items():
        yield f"### `{name}` {{ #{name} }}"
        yield meaning
        rows = [
            (f"`{c.name}`", str(c.type.compile(dialect)).lower(), columns.meaning(name, c.name))
            for c in metadata.tables[name].columns
        ]
        yield table(("Column", "Type", "Meaning"), rows)
