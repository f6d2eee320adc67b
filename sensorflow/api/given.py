"""Checks and converts arguments of the API: paths, profiles and times."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sensorflow import profiles
from sensorflow.core.profile import Profile
from sensorflow.errors import UsageError
from sensorflow.flow.dry_run import Named

Pathlike = str | os.PathLike[str]
GivenProfile = str | os.PathLike[str] | Mapping[str, Any] | Profile
"""The type of a profile argument: the name of a profile, the path of a TOML file, a dict with the keys of a
profile, or a `Profile`."""
GIVEN = "given"
"""The name for a profile that was passed as a dict or as a `Profile`."""
PROPOSED = "proposed"
"""The name for a profile that was proposed because no profile was passed."""
Time = datetime | str
"""The type of a time argument: a datetime with a zone, or an ISO 8601 string with an offset."""


def file(path: Pathlike) -> Path:
    """Returns `path` as a Path. Raises UsageError if it is not a regular file."""
    found = Path(path)
    if not found.exists():
        raise UsageError(f"{found}: no such file")
    if not found.is_file():
        raise UsageError(f"{found}: not a regular file")
    return found


def profile(given: GivenProfile | None) -> Named | None:
    """Returns a profile argument as a name, a path, or (name, profile); None for None. Raises UsageError if
    a dict is not a valid profile."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Profile):
        return GIVEN, given
    if isinstance(given, Mapping):
        table = profiles.resolved(GIVEN, {GIVEN: dict(given)})
        return GIVEN, profiles.validated(table, "profile")
    return os.fspath(given)


def instant(given: Time, name: str) -> datetime:
    """Returns a time argument as a datetime. name: name of the argument, for messages. Raises UsageError if
    the time is invalid or has no zone."""
    found = given
    if isinstance(found, str):
        try:
            found = datetime.fromisoformat(found.strip())
        except ValueError:
            raise UsageError(
                f"{name} {given!r}: not a time in ISO 8601, as in 2026-01-31T12:00Z"
            ) from None
    if not isinstance(found, datetime):
        raise UsageError(
            f"{name} {given!r}: give a datetime with a zone, or ISO 8601 with an offset"
        )
    if found.utcoffset() is None:
        raise UsageError(
            f"{name} {given!s}: the time has no zone; give one, as in 2026-01-31T12:00Z or "
            "datetime(2026, 1, 31, tzinfo=timezone.utc)"
        )
    return found


def several(given: str | Iterable[str] | None, name: str) -> list[str] | None:
    """Returns one or several strings as a list; None for None. name: name of the argument, for messages.
    Raises UsageError for a value that is not a string or contains non-printable characters."""
    if given is None:
        return None
    texts = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    for text in texts:
        if not isinstance(text, str) or not text.isprintable():
            raise UsageError(f"{name} {text!r}: give one or more strings of printable characters")
    return texts
