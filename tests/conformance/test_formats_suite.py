"""The contract of a format, on one of a package, on a built-in one of lines, and on one of documents."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from installed import install

from sensorflow.core.profile import Profile
from sensorflow.testing.conformance.formats import *  # noqa: F403
from sensorflow.testing.conformance.formats import Sample

BEGAN = 1772323200
LONG = {"time": "time", "sensor": "sensor", "type": "type", "value": "value", "unit": "unit"}


def records(count: int) -> bytes:
    return b"".join(struct.pack("<IHHd", BEGAN + n, 7, 1 + n % 2, n / 4) for n in range(count))


def reading_texts(n: int) -> tuple[str, str, str, str, str]:
    at = datetime.fromtimestamp(BEGAN + n, UTC).isoformat()
    return at, "s7", "temperature", str(n / 4), "degC"


def csv(count: int) -> bytes:
    lines = [",".join(reading_texts(n)) for n in range(count)]
    return "\n".join(["time,sensor,type,value,unit", *lines, ""]).encode()


def jsonl(count: int) -> bytes:
    return b"".join(
        json.dumps(dict(zip(LONG, reading_texts(n), strict=True))).encode() + b"\n"
        for n in range(count)
    )


WRITERS = {"records": records, "csv": csv, "jsonl": jsonl}


@pytest.fixture(params=WRITERS)
def sample(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sample]:
    name = request.param
    if name == "records":
        monkeypatch.syspath_prepend(install("sensorflow-records", tmp_path / "site"))
    keys = {} if name == "records" else LONG
    yield Sample(Profile.model_validate({"format": name, **keys}), WRITERS[name])
    sys.modules.pop("sensorflow_records", None)
