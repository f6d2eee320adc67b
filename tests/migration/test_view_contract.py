"""The views for people and tools: their columns are a contract, and who may read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from test_roles import login, refused

CONTRACT = Path(__file__).with_name("views.txt")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sql-views.md"
VIEWS = CONTRACT.read_text().split("\n\n")
COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
 WHERE c.relkind = 'v' AND c.relname LIKE 'v\\_%' ORDER BY c.relname, a.attnum
"""


def contract(url: str) -> str:
    found: dict[str, list[str]] = {}
    with psycopg.connect(url) as connection:
        for view, column, kind in connection.execute(COLUMNS).fetchall():
            found.setdefault(view, [f"{view}:"]).append(f"    {column} {kind}")
    return "\n\n".join("\n".join(lines) for lines in found.values()) + "\n"


def test_the_columns_of_the_views_are_those_of_the_contract(database: str) -> None:
    """A column may be added at the end. No other change keeps the queries of users working."""
    assert contract(database) == CONTRACT.read_text()


def test_the_reference_lists_the_columns_of_the_contract() -> None:
    text = PAGE.read_text()
    documented = {}
    for view, section in re.findall(r"^## `(v_\w+)`.*?\n(.*?)(?=^## |\Z)", text, re.M | re.S):
        rows = re.findall(r"^\| `(\w+)` \| ([\w\[\] ]+?) \|", section, re.M)
        documented[view] = [f"    {column} {kind}" for column, kind in rows]
    expected = {lines[0].rstrip(":"): lines[1:] for lines in map(str.splitlines, VIEWS)}
    assert documented == expected


@pytest.fixture
def everyone(database: str) -> Iterator[str]:
    """The URL of a user without a role of ours."""
    yield from login(database, "pg_monitor")


def test_only_readers_may_read_the_views(database: str, everyone: str) -> None:
    readers = login(database, "sensorflow_reader")
    loaders = login(database, "sensorflow_loader")
    reader, loader = next(readers), next(loaders)
    for view in VIEWS:
        query = f"SELECT * FROM {view.partition(':')[0]}"
        with psycopg.connect(reader) as connection:
            assert connection.execute(query).fetchall() == []  # type: ignore[arg-type]
        for url in (loader, everyone):
            refused(url, query)
    for logins in (readers, loaders):
        next(logins, None)
