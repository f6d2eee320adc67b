"""The progress of a file while a stage reads it."""

from __future__ import annotations

import io
import tempfile
from typing import BinaryIO

import pytest

from sensorflow.flow.meter import Meter
from sensorflow.ports.claims import ReadSoFar


@pytest.mark.parametrize("copy", [io.BytesIO, tempfile.TemporaryFile])
def test_the_position_in_a_copy_of_landed_bytes_is_known(copy: type[BinaryIO]) -> None:
    """The bytes of a bucket are copied to memory, or to a file if they are large."""
    with copy() as stream:
        stream.write(bytes(100))
        stream.seek(0)
        meter = Meter()
        meter.begin(100, stream)
        stream.read(100)
        assert meter.read() == ReadSoFar(100, 0)
    assert meter.read() == ReadSoFar(None, 0)
