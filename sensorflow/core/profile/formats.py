"""The formats that a profile may name."""

from __future__ import annotations

import difflib
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

from pydantic import AfterValidator

DECODED = frozenset({"senml", "influx", "nem12"})
"""Formats that say themselves what is measured, when and by what."""

FORMATS = ("csv", "xlsx", "jsonl", "json", "xml", "parquet", *sorted(DECODED))

PLUGINS = "sensorflow.decoders"
"""The group of entry points that bring further formats: each a function as in `formats`."""


def plugins() -> dict[str, EntryPoint]:
    """Decoders of other packages, by name."""
    return {point.name: point for point in entry_points(group=PLUGINS)}


SHEETS = frozenset({"xlsm", "xls", "xlsb", "ods"})
"""Other kinds of spreadsheets: names for `xlsx`, whose reader goes by a file's content."""


def _format(name: str) -> str:
    if name in SHEETS:
        return "xlsx"
    if name not in FORMATS and name not in plugins():
        near = difflib.get_close_matches(name, FORMATS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(FORMATS)}"
        raise ValueError(f"no such format; {hint}")
    return name


Format = Annotated[str, AfterValidator(_format)]
