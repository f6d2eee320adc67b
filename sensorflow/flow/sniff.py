"""A profile that is proposed for a file, and what it makes of the file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensorflow import profiles
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.place import Place
from sensorflow.core.profile import Profile
from sensorflow.core.sniff import Guess
from sensorflow.core.sniff import sniff as propose
from sensorflow.errors import Misuse
from sensorflow.flow.check import Checked, check
from sensorflow.flow.limited import Late, within

SECONDS = 10
"""Of the processor that a proposal may take."""
REJECTS = 5
"""Rejects that a preview shows."""


@dataclass(frozen=True)
class Proposal:
    """A guess that can be read by: through its TOML, as a person would."""

    guess: Guess

    def toml(self) -> str:
        return self.guess.toml()

    def profile(self) -> Profile:
        return made(tomllib.loads(self.toml()))


def made(table: dict[str, Any]) -> Profile:
    """The profile of a table, with what it extends. Raises Misuse."""
    return profiles.validated(profiles.resolved("sniffed", {"sniffed": table}), "sniffed")


def guess(path: Path, zone: str | None = None) -> Proposal:
    """Raises Misuse, naming the file, where nothing can be proposed."""
    if not path.is_file():
        raise Misuse(f"{path}: {'not a regular file' if path.exists() else 'no such file'}")
    try:
        with path.open("rb") as stream, within(SECONDS):
            return Proposal(propose(stream, zone, path.name, made))
    except Late:
        raise Misuse(
            f"{path}: finding out what is in it takes longer than {SECONDS} s; write a profile by hand "
            "(docs/reference/profile.md) and try it with sensorflow check --profile"
        ) from None
    except OSError as error:
        raise Misuse(f"{path}: cannot be read: {error.strerror or error}") from error
    except Misuse as error:
        raise Misuse(f"{path}: {error.message}", error.code) from error


def checked(path: Path, found: Proposal) -> Checked:
    """What the profile makes of the file. Without a zone the clock is taken for UTC."""
    assumed = Proposal(found.guess.in_zone("UTC", ""))
    place = Place(path.name, path.name)
    with path.open("rb") as stream:
        return check(stream, str(path), ("sniffed", assumed.profile()), place, Drift(), REJECTS)
