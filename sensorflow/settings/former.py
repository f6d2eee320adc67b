"""Accepts settings under their former names for one version, and reports them.

Each class of settings lists the former names of its keys in the attribute `former`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sensorflow.core.profile.strict import Strict
from sensorflow.environment import Variables
from sensorflow.errors import Code, UsageError
from sensorflow.settings.sources import Source


@dataclass(frozen=True)
class FormerKey:
    """A setting that was given under its former name. where: the file or environment variable that contains
    the setting. former, key: the former and the present name, such as `sources.plant.settle`."""

    where: str
    former: str
    key: str

    def __str__(self) -> str:
        name = self.key.rpartition(".")[2]
        return (
            f"{self.where}: {self.former} is now called {name}; rename it before the next upgrade"
        )


def rename(
    model: type[Strict], given: dict[str, Any], variables: Variables, where: Callable[[str], str]
) -> tuple[FormerKey, ...]:
    """Replace former names of keys by present names in `given`, including the tables of sources. Returns
    the keys that were renamed.

    model: the class of the settings. where: returns the file or variable that sets a key. Raises UsageError
    if a key is set under both names.
    """
    tables: list[tuple[str, type[Strict], dict[str, Any]]] = [("", model, given)]
    sources = given.get("sources")
    for name, table in sources.items() if isinstance(sources, dict) else ():
        if isinstance(table, dict):
            tables.append((f"sources.{name}.", Source.chosen(table), table))
    return tuple(
        found
        for above, kind, table in tables
        for found in _renamed(above, kind, table, variables, where)
    )


def _renamed(
    above: str,
    model: type[Strict],
    table: dict[str, Any],
    variables: Variables,
    where: Callable[[str], str],
) -> Iterator[FormerKey]:
    for key, former in model.former.items():
        if former not in table:
            continue
        found = FormerKey(where(above + former), above + former, above + key)
        if key in table:
            places = " and ".join(dict.fromkeys((found.where, where(found.key))))
            raise UsageError(
                f"{places}: {found.former} is the former name of {key}, and both are set; "
                f"remove {found.former}",
                Code.SETTINGS,
            )
        table[key] = table.pop(former)
        variables.rename(found.former, found.key)
        yield found
