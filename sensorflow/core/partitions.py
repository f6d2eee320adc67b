"""Paths of files in the lake, in Hive-style partition folders."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol


class Layer(StrEnum):
    BRONZE = "bronze"
    REJECTS = "rejects"
    SILVER = "silver"


class _File(Protocol):
    """The fields of a ledger record that determine the path."""

    @property
    def source(self) -> str: ...
    @property
    def sensor_type(self) -> str: ...
    @property
    def received_at(self) -> datetime: ...
    @property
    def file_id(self) -> int: ...
    @property
    def version(self) -> int: ...


@dataclass(frozen=True, slots=True)
class LayerFile:
    """Identifies the rows of a file in the lake, by fields that never change.

    A task that runs again therefore finds or overwrites its earlier output. received_at: the time at which
    the file was landed (timezone-aware).
    """

    source: str
    sensor_type: str
    received_at: datetime
    file_id: int
    version: int

    @classmethod
    def of(cls, file: _File) -> LayerFile:
        return cls(file.source, file.sensor_type, file.received_at, file.file_id, file.version)


def layer_path(layer: Layer, file: LayerFile) -> str:
    """Return the path of a file's rows in a layer, relative to the lake's root.

    `ingest_date` is the UTC day on which the file was landed.
    """
    day = file.received_at.astimezone(UTC).date().isoformat()
    leaf = f"file-{file.file_id}-v{file.version}.parquet"
    if layer is Layer.SILVER:
        return f"silver/ingest_date={day}/sensor_type={file.sensor_type}/{leaf}"
    return f"{layer}/source={file.source}/ingest_date={day}/{leaf}"


_LEAF = re.compile(r"file-(\d{1,18})-v(\d{1,9})\.parquet")


def file_of(path: str) -> tuple[Layer, int, int] | None:
    """Return (layer, file id, version) for a path made by `layer_path`; None for any other path."""
    first, _, rest = path.partition("/")
    leaf = _LEAF.fullmatch(rest.rpartition("/")[2])
    if leaf is None or first not in list(Layer):
        return None
    return Layer(first), int(leaf[1]), int(leaf[2])
