"""Quarantined files in a local folder: ``quarantine/<source>/<id>-v<version>-<n>/<name>``."""

from __future__ import annotations

import errno
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sensorflow import crash
from sensorflow.adapters.local.garbage import unfinished
from sensorflow.adapters.local.places import (
    began,
    below,
    make_root,
    open_below,
    require,
    storage_errors,
)
from sensorflow.adapters.local.writing import settle, temporary
from sensorflow.shown import json_of

BLOCK = 1 << 20
MANIFEST = "manifest.json"
FILES = "*/*/file"
"""The folders of the files themselves, which have the names that their senders gave."""


class LocalQuarantine:
    """See `ports.quarantine.QuarantineStore`. The file lies in ``file/`` under its own name, bytes kept."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, folder: str, name: bytes, stream: BinaryIO, manifest: dict[str, Any]) -> str:
        with storage_errors():
            make_root(self._root)
        with storage_errors(), below(self._root, folder) as place:
            # beside file/, so that nothing lies in there but the file
            with below(place, "file") as inner, temporary(place) as (copy, path):
                while block := stream.read(BLOCK):
                    copy.write(block)
                settle(copy, path, inner / os.fsdecode(name))
            crash.point(crash.Point.KEPT)
            if not (place / MANIFEST).exists():
                with temporary(place) as (copy, path):
                    copy.write(json_of(manifest, indent=2).encode())
                    settle(copy, path, place / MANIFEST)
        return folder

    def manifest(self, where: str) -> dict[str, Any]:
        with storage_errors(), open_below(self._root, f"{where}/{MANIFEST}") as stream:
            found = json.loads(stream.read().decode("utf-8"))
        assert isinstance(found, dict)
        return found

    def size(self, where: str) -> int | None:
        with storage_errors():
            kept = self._kept(where)
            return None if kept is None else kept.stat().st_size

    def open(self, where: str) -> BinaryIO:
        with storage_errors():
            kept = self._kept(where)
            if kept is None:
                raise FileNotFoundError(errno.ENOENT, "nothing kept", str(self._root / where))
            return open_below(self._root, str(kept.relative_to(self._root)))

    def _kept(self, where: str) -> Path | None:
        try:
            kept = [path for path in (self._root / where / "file").iterdir() if path.is_file()]
        except FileNotFoundError:
            require(self._root)
            return None
        return kept[0] if len(kept) == 1 else None

    def began(self) -> datetime | None:
        return began(self._root)

    def unfinished(self, older: float) -> list[str]:
        return unfinished(self._root, older, FILES)
