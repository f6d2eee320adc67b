"""The formats that a profile may name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator

from sensorflow.core.nearest import meant

DECODED = frozenset({"senml", "influx", "nem12"})
"""Formats that say themselves what is measured, when and by what."""

FORMATS = ("csv", "xlsx", "jsonl", "json", "xml", "parquet", *sorted(DECODED))

Reader = Callable[..., Iterator[Any]]
"""Bytes -> chunks: a function as in `core.formats`."""


class Others(Protocol):
    """Formats that are not of this package."""

    def names(self) -> Sequence[str]: ...

    def reader(self, name: str) -> Reader: ...


class _NoOthers:
    def names(self) -> Sequence[str]:
        return ()

    def reader(self, name: str) -> Reader:
        raise KeyError(name)


_others: Others = _NoOthers()


def bring(found: Others) -> None:
    """Hand in what looks other formats up: the core itself looks at no disk."""
    global _others
    _others = found


def others() -> Others:
    return _others


SHEETS = frozenset({"xlsm", "xls", "xlsb", "ods"})
"""Other kinds of spreadsheets: names for `xlsx`, whose reader goes by a file's content."""


def _format(name: str) -> str:
    if name in SHEETS:
        return "xlsx"
    if name not in FORMATS and name not in (brought := others().names()):
        known = (*FORMATS, *brought)
        hint = meant(name, known, f"known: {', '.join(known)}")
        raise ValueError(f"unknown format; {hint}")
    return name


Format = Annotated[str, AfterValidator(_format)]
