"""Loads the SQL statements in the folder sql/. Each statement has a name, which is unique across all
files.

`{reading}` in a statement stands for the columns of raw_readings, in the order of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import sqlalchemy as sa

from sensorflow.core.columns import READING
from sensorflow.errors import Fenced
from sensorflow.ports.claims import Claim


@cache
def queries() -> dict[str, sa.TextClause]:
    subjects = [
        file for file in (files(__package__) / "sql").iterdir() if file.name.endswith(".sql")
    ]
    found = [named for subject in subjects for named in _named(subject.read_text("utf-8"))]
    assert len(dict(found)) == len(found), "two queries have one name"
    return dict(found)


def _named(text: str) -> Iterator[tuple[str, sa.TextClause]]:
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        bare = re.sub(r"^--.*\n", "", body, flags=re.MULTILINE).strip().rstrip(";")
        yield name, sa.text(bare.replace("{reading}", ", ".join(READING)))


def run(c: sa.Connection, query: str, **values: Any) -> sa.CursorResult[Any]:
    return c.execute(queries()[query], values)


def guarded(c: sa.Connection, query: str, claim: Claim, **values: Any) -> sa.CursorResult[Any]:
    """Run an UPDATE of the claimed file that requires the fencing token of the claim. Raises Fenced if the
    UPDATE does not change a row, because the claim is then no longer valid."""
    done = run(c, query, id=claim.file_id, token=claim.token, **values)
    if done.rowcount != 1:
        raise Fenced(
            f"file {claim.file_id} was claimed by another worker, or replaced, after the lease ended",
            token=claim.token,
        )
    return done
