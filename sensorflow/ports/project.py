"""The part of the ledger that identifies the project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Project:
    """id: the id of the project, which never changes: a database that is restored from a dump has the id of
    the dumped one. has_files: whether the ledger contains a file. stored: the zones in which there must be
    objects: "landing", "lake"."""

    id: str
    has_files: bool
    stored: frozenset[str] = frozenset()


GetProject: TypeAlias = Callable[[], Project]
"""A function that returns the project. Raises Transient DATABASE if the ledger is unavailable."""


class ProjectRecord(Protocol):
    """The project of a ledger."""

    def project(self) -> Project:
        """See `GetProject`."""
        ...
