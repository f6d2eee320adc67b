"""Check how a file would be loaded, and propose a profile for it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sensorflow import bootstrap
from sensorflow.api import given
from sensorflow.api.how import by_profile, of_source
from sensorflow.core.profile import Profile
from sensorflow.errors import UsageError
from sensorflow.flow import sniff as flow
from sensorflow.flow.check import Checked
from sensorflow.flow.dry_run import by_gate, dry_run
from sensorflow.settings import tolerance

REJECTS = 10_000
"""Maximum number of rejects that a check returns. Further rejects are only counted."""


def check(
    path: given.Pathlike,
    profile: given.GivenProfile | None = None,
    *,
    source: str | None = None,
    zone: str | None = None,
    max_rejects: str | None = None,
) -> Checked:
    """Check how a file would be loaded if it were put into a drop folder, as `sensorflow check` does.
    Changes nothing.

    profile, source, zone: see `read`. If there is no profile, a proposal is used, even if the proposal has
    doubts. max_rejects: the maximum share or number of rejects, such as "10%" or "5"; None for the limit of
    the source. If the file would not be loaded, no exception is raised. Instead, `would_load` is False, and
    `error` or `refused` contains the reason. Memory is bounded.
    """
    file, wanted = given.file(path), given.profile(profile)
    options = of_source(file, wanted, source)
    chosen = by_profile(file, wanted, options, zone)
    found = list(dry_run(file, options, chosen, zone, _tolerance(max_rejects), REJECTS))
    if len(found) != 1:
        raise UsageError(
            f"{file} is an archive of {len(found):,} files for source {options.name}: use the command "
            f"`sensorflow check` for archives"
        )
    gated_path = bootstrap.gated_path(file, options.settings)
    if gated_path is not None and (announced := by_gate(gated_path, found[0])) is not None:
        found[0].notes.append(f"gate: {announced}")
    return found[0]


def _tolerance(given: str | None) -> str | None:
    try:
        return None if given is None else tolerance(given)
    except ValueError as error:
        raise UsageError(f"max_rejects {given}: {error}") from error


@dataclass(frozen=True)
class Proposal:
    """A proposed profile for a file.

    text: the profile as TOML, with a comment that gives the reason for each line. doubts: the points that
    you must check or add. needs_zone: whether the time zone is one of these points. preview: the result of
    checking the file with the proposal; if the zone is unknown, the preview assumes UTC.
    """

    text: str
    doubts: tuple[str, ...]
    needs_zone: bool
    preview: Checked

    @property
    def table(self) -> Mapping[str, Any]:
        """The profile as a dict, as parsed from TOML."""
        return tomllib.loads(self.text)

    @property
    def profile(self) -> Profile:
        return flow.validated_profile(tomllib.loads(self.text))

    def __repr__(self) -> str:
        return self.text


def sniff(path: given.Pathlike, *, zone: str | None = None) -> Proposal:
    """Propose a profile for a file, as `sensorflow sniff` does.

    zone: the time zone of times without an offset; None if it is unknown. Raises SensorflowError if no
    profile can be proposed.
    """
    file = given.file(path)
    found = flow.guess(file, zone)
    doubts = found.guess.todo
    if found.guess.needs_zone:
        doubts = ("the times have no UTC offset: give their zone", *doubts)
    return Proposal(found.toml(), doubts, found.guess.needs_zone, flow.checked(file, found))
