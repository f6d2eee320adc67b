"""Propose a profile for a file, and preview the file with it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorflow import profiles
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.profile import Profile
from sensorflow.core.sniff import Guess
from sensorflow.core.sniff import sniff as propose
from sensorflow.errors import UsageError
from sensorflow.flow.check import Checked, check
from sensorflow.flow.time_limit import TimeLimitExceeded, time_limit

SECONDS = 10
"""Maximum seconds of processor time for a proposal."""
REJECTS = 5
"""Number of rejects in a preview."""


@dataclass(frozen=True)
class Proposal:
    """A proposed profile. Its TOML text is parsed in the same way as a profile that a person has
    written."""

    guess: Guess

    def toml(self) -> str:
        return self.guess.toml()

    def profile(self) -> Profile:
        return validated_profile(tomllib.loads(self.toml()))


def validated_profile(table: dict[str, Any]) -> Profile:
    """Returns the profile that a table of keys defines, including the keys of the profiles that it extends.
    Raises UsageError if the table is invalid."""
    return profiles.validated(profiles.resolved("sniffed", {"sniffed": table}), "sniffed")


def guess(path: Path, zone: str | None = None) -> Proposal:
    """Propose a profile for a file. Raises UsageError with the file's name if no profile can be
    proposed."""
    if not path.is_file():
        raise UsageError(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as stream, time_limit(SECONDS):
            return Proposal(propose(stream, zone, path.name, validated_profile))
    except TimeLimitExceeded:
        raise UsageError(
            f"{path}: recognizing its format takes longer than {SECONDS} s; write a profile by hand "
            "(docs/reference/profile.md) and try it with sensorflow check --profile"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.code) from error


def checked(path: Path, found: Proposal) -> Checked:
    """Dry-run the file with the proposed profile. Assumes UTC if the time zone is unknown."""
    assumed = Proposal(found.guess.in_zone("UTC", ""))
    place = FilePath(path.name, path.name)
    with path.open("rb") as stream:
        return check(stream, str(path), ("sniffed", assumed.profile()), place, Drift(), REJECTS)
