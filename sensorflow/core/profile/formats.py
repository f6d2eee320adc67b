"""The formats that a profile may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator

from sensorflow.core.nearest import did_you_mean

DECODED = frozenset({"senml", "influx", "nem12"})
"""Formats whose files contain type, time and sensor of each value. A profile for such a format does not
define them."""

FORMATS = ("csv", "xlsx", "jsonl", "json", "xml", "parquet", *sorted(DECODED))

Reader = Callable[..., Iterator[Any]]
"""A function that converts bytes to chunks, as described in `core.formats`."""


class ExternalFormats(Protocol):
    """The formats that other Python packages provide."""

    def names(self) -> Sequence[str]: ...

    def reader(self, name: str) -> Reader: ...


class _NoExternalFormats:
    def names(self) -> Sequence[str]:
        return ()

    def reader(self, name: str) -> Reader:
        raise KeyError(name)


_others: ExternalFormats = _NoExternalFormats()


def register_external_formats(found: ExternalFormats) -> None:
    """Register the formats of other packages. The caller searches the installed packages for formats,
    because the core does not access the disk."""
    global _others
    _others = found


def external_formats() -> ExternalFormats:
    return _others


SHEETS = frozenset({"xlsm", "xls", "xlsb", "ods"})
"""Alternative names for the format `xlsx`, whose reader detects the type of a spreadsheet from the
content."""


def _format(name: str) -> str:
    if name in SHEETS:
        return "xlsx"
    if name not in FORMATS and name not in (external := external_formats().names()):
        known = (*FORMATS, *external)
        hint = did_you_mean(name, known, f"known: {', '.join(known)}")
        raise ValueError(f"unknown format; {hint}")
    return name


Format = Annotated[str, AfterValidator(_format)]
