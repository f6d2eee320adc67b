"""Decoders as broken parsers are: one ends its process, one holds the interpreter's lock for ever."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import BinaryIO

from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import Chunk
from sensorflow.core.profile import Profile


def chunks(stream: BinaryIO, _profile: Profile, _resolve: Resolve) -> Iterator[Chunk]:
    """Whoever reads a file with it is gone before the first row."""
    stream.read(1)
    os.kill(os.getpid(), signal.SIGKILL)
    yield from ()


def stuck(stream: BinaryIO, _profile: Profile, _resolve: Resolve) -> Iterator[Chunk]:
    """No other thread of the process runs any more, that which keeps the lease neither."""
    stream.read(1)
    re.match(r"(x+x+)+y", "x" * 64)
    yield from ()
