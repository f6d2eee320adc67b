"""Seven bugs, each a change of exact text in a copy of the code. The product has no switches for them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

PARTS = ("sensorflow", "workers", "migrations")


@dataclass(frozen=True)
class Patch:
    """Text that must be there, and what takes its place, `least` times or more."""

    path: str
    old: str
    new: str
    least: int = 1


ACK_BEFORE_WORK = (Patch("workers/app.py", '"task_acks_late": True', '"task_acks_late": False'),)

NO_SWEEPER = (
    Patch(
        "sensorflow/flow/sweep.py",
        "swept = ledger.sweep(stale_after, queue.depth(), grace)",
        "swept = Swept(0, 0)",
    ),
)

NO_ON_CONFLICT = (
    Patch(
        "sensorflow/adapters/postgres/queries.sql",
        "ON CONFLICT (ts, dedupe_key) DO NOTHING\n",
        "",
    ),
)

DELETE_BY_ABSENCE = (
    Patch(
        "sensorflow/adapters/postgres/loading.py",
        "    if claim.version > 1 and load.on_change is OnChange.SUPERSEDE:\n",
        "    if claim.version > 1:\n",
    ),
)

TWO_TRANSACTIONS = (
    Patch(
        "sensorflow/adapters/postgres/loading.py",
        "    crash.point(crash.Point.COPIED)\n",
        "    c.connection.driver_connection.commit()\n    crash.point(crash.Point.COPIED)\n",
    ),
)

NO_FENCING = (
    Patch("sensorflow/adapters/postgres/queries.sql", " AND lease_token = :token", "", least=6),
)

_COPY = """\
        text = name.decode("utf-8", "surrogateescape")
        self._objects.put(f"{folder}/file/{text}", stream)
"""
_NOTE = """\
        note = _manifest(folder)
        if self._objects.head(note) is None:
            self._objects.put(note, io.BytesIO(json_of(manifest, indent=2).encode()))
"""
_POINT = "        crash.point(crash.Point.KEPT)\n"

MANIFEST_BEFORE_COPY = (
    Patch(
        "sensorflow/flow/quarantine_zone.py",
        _COPY + _POINT + _NOTE,
        _NOTE + _POINT + _COPY,
    ),
)


def tree_with(patches: tuple[Patch, ...], source: Path, target: Path) -> Path:
    """A copy of the code with the patches in it. Raises AssertionError when a text is not there."""
    for part in PARTS:
        shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    for patch in patches:
        path = target / patch.path
        text = path.read_text("utf-8")
        found = text.count(patch.old)
        assert found >= patch.least, f"{patch.path}: {found} times, not {patch.least}: {patch.old}"
        path.write_text(text.replace(patch.old, patch.new), "utf-8")
    return target
