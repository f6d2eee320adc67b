"""Checks the drop folders and the data folder that the settings name, and reports how to fix problems."""

from __future__ import annotations

import os
from pathlib import Path

from sensorflow.disk import explained, nearest, owned, user
from sensorflow.errors import Code, UsageError
from sensorflow.settings import Settings
from sensorflow.shell import quoted


def require_folders(settings: Settings) -> None:
    """Check all drop folders. Raises UsageError for the first folder that does not exist, or from which
    this user cannot read or move files."""
    for name, source in settings.folders.items():
        if found := folder_fault(settings.path(source.path), source.after):
            message, todo = found
            key = f"sources.{name}.path = {str(source.path)!r}"
            raise UsageError(f"{key}: {message}; {todo}", Code.SETTINGS)


def folder_fault(folder: Path, after: str = "keep") -> tuple[str, str] | None:
    """Return (fault, remedy) for a drop folder; None if the folder is usable. after: the setting `after` of
    the source."""
    path = quoted(folder)
    try:
        if not folder.exists():
            above = next(p for p in (folder, *folder.parents) if p.exists() or p.is_symlink())
            if not above.is_dir():
                return f"{above} is a file or a broken link, not a folder", "name a folder"
            return f"no folder {folder}", f"create it with `mkdir -p {path}`"
        if not folder.is_dir():
            return f"{folder} is a file, not a folder", "name the folder that contains it"
    except OSError as error:
        return (
            f"{folder}: {error.strerror}",
            "give this user the permission to enter its parent folders",
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        return f"user {user()} may not read {folder}", f"`chmod u+rx {path}` as its owner"
    if after != "keep" and not os.access(folder, os.W_OK):
        return (
            f"user {user()} may not move files out of {folder}",
            f'`chmod u+w {path}` as its owner, or set after = "keep"',
        )
    return None


def data_fault(folder: Path) -> tuple[str, str] | None:
    """Return (fault, remedy) for the data folder; None if the folder is usable or can be created."""
    existing = nearest(folder)
    if not existing.is_dir():
        return f"{existing} is a file, not a folder", "remove it, or set data to another folder"
    if os.access(existing, os.W_OK | os.X_OK):
        return None
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return (
            f"{existing} is on a read-only file system",
            "set data to a writable folder",
        )
    return f"user {user()} may not write to {existing}", owned(existing)


def require_data(settings: Settings) -> None:
    """Create the data folder. Raises UsageError if it cannot be created or written."""
    folder = settings.data_folder
    try:
        if (fault := data_fault(folder)) is None:
            return folder.mkdir(parents=True, exist_ok=True)
        message = "; ".join(fault)
    except OSError as error:
        message = explained(error) or f"{folder}: {error.strerror}"
    raise UsageError(f"data = {str(settings.data)!r}: {message}", Code.SETTINGS)
