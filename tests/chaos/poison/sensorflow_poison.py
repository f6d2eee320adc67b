"""A decoder as a broken parser is one: whoever reads a file with it is gone before the first row."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import BinaryIO

from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.layout import Resolve
from sensorflow.core.profile import Profile


def chunks(stream: BinaryIO, _profile: Profile, _resolve: Resolve) -> Iterator[Chunk]:
    stream.read(1)
    os.kill(os.getpid(), signal.SIGKILL)
    yield from ()
