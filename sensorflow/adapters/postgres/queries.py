"""The statements of queries.sql, by name."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

import sqlalchemy as sa


@cache
def queries() -> dict[str, sa.TextClause]:
    text = (files(__package__) / "queries.sql").read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: sa.text(re.sub(r"^--.*\n", "", body, flags=re.MULTILINE).strip().rstrip(";"))
        for name, body in zip(parts[::2], parts[1::2], strict=True)
    }
