"""sensorflow sniff"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def sniff(path: Path) -> None:
    raise NotImplementedError


def guess(path: Path) -> Any:
    raise NotImplementedError
