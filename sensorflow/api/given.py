"""What callers give: paths, profiles, times."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sensorflow import profiles
from sensorflow.core.profile import Profile
from sensorflow.errors import Misuse
from sensorflow.flow.dry_run import Named

Pathlike = str | os.PathLike[str]
GivenProfile = str | os.PathLike[str] | Mapping[str, Any] | Profile
"""A name, a TOML file, a table of keys as in TOML, or a profile."""
GIVEN = "given"
"""The name of a profile that has none."""
PROPOSED = "proposed"
"""The name of one that was not given at all."""
Time = datetime | str
"""With a zone: an aware datetime, or ISO 8601 with an offset."""


def file(path: Pathlike) -> Path:
    """Raises Misuse for what is no regular file."""
    found = Path(path)
    if not found.exists():
        raise Misuse(f"{found}: no such file")
    if not found.is_file():
        raise Misuse(f"{found}: not a regular file")
    return found


def profile(given: GivenProfile | None) -> Named | None:
    """Raises Misuse for a table that is no profile."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Profile):
        return GIVEN, given
    if isinstance(given, Mapping):
        table = profiles.resolved(GIVEN, {GIVEN: dict(given)})
        return GIVEN, profiles.validated(table, "profile")
    return os.fspath(given)


def instant(given: Time, name: str) -> datetime:
    """Raises Misuse for what is no time, or has no zone."""
    found = given
    if isinstance(found, str):
        try:
            found = datetime.fromisoformat(found.strip())
        except ValueError:
            raise Misuse(
                f"{name} {given!r}: no time in ISO 8601, as in 2026-01-31T12:00Z"
            ) from None
    if not isinstance(found, datetime):
        raise Misuse(f"{name} {given!r}: give a datetime with a zone, or ISO 8601 with an offset")
    if found.utcoffset() is None:
        raise Misuse(
            f"{name} {given!s}: has no zone; give one, as in 2026-01-31T12:00Z or "
            "datetime(2026, 1, 31, tzinfo=timezone.utc)"
        )
    return found


def several(given: str | Iterable[str] | None, name: str) -> list[str] | None:
    """One or several texts as a list; None for all. Raises Misuse for what no text of a database is."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else list(given)
    for text in texts:
        if not isinstance(text, str) or not text.isprintable():
            raise Misuse(f"{name} {text!r}: give a text, or several")
    return texts
