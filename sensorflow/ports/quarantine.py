"""Where files that cannot be loaded are kept for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any, BinaryIO, Protocol


class QuarantineStore(Protocol):
    """Where files that cannot be loaded are kept for people, each in a folder with its manifest."""

    def put(self, folder: str, name: bytes, stream: BinaryIO, manifest: dict[str, Any]) -> str:
        """Copy and sync the file, then the manifest; returns where. Never overwrites.

        `folder` is unique to the file's version and attempt; a second call for it after a crash
        completes the first.
        """
        ...

    def manifest(self, where: str) -> dict[str, Any]: ...

    def size(self, where: str) -> int | None:
        """Of the file kept there, in bytes; None when it is not there. Raises when the store is not."""
        ...

    def open(self, where: str) -> BinaryIO:
        """The file kept there. Raises Transient STORAGE when it is not there."""
        ...

    def began(self) -> datetime | None:
        """As `Landing.began`."""
        ...

    def unfinished(self, older: float) -> list[str]:
        """What writers left that were killed more than `older` seconds ago: it may be removed."""
        ...
