"""Seven bugs, each a change of a copy of the code. The product has no switches for them."""

from __future__ import annotations

import shutil
from pathlib import Path

from patches import Patch, apply

PARTS = ("sensorflow", "workers", "migrations")

ACK_BEFORE_WORK = (
    Patch("workers/app.py::configure", '"task_acks_late": True', '"task_acks_late": False'),
)

NO_SWEEPER = (
    Patch(
        "sensorflow/flow/reconcile.py::reconcile",
        "reconciled = ledger.reconcile(stale_after, _depth(publisher), grace)",
        "reconciled = Reconciled(0, 0)",
    ),
)

NO_ON_CONFLICT = (
    Patch(
        "sensorflow/adapters/postgres/sql/*.sql::merge_incoming",
        "ON CONFLICT (ts, dedupe_key) DO NOTHING",
        "",
    ),
)

LOAD = "sensorflow/adapters/postgres/loading.py::load"

DELETE_BY_ABSENCE = (
    Patch(
        LOAD,
        "if claim.version > 1 and load.on_change is OnChange.SUPERSEDE:",
        "if claim.version > 1:",
    ),
)

TWO_TRANSACTIONS = (
    Patch(
        LOAD,
        "failpoints.hit(failpoints.Failpoint.COPIED)",
        "c.connection.driver_connection.commit()\nfailpoints.hit(failpoints.Failpoint.COPIED)",
    ),
)

NO_FENCING = (
    Patch("sensorflow/adapters/postgres/sql/*.sql", " AND lease_token = :token", "", least=6),
)

_COPY = """\
text = name.decode("utf-8", "surrogateescape")
self._objects.put(f"{folder}/file/{text}", stream)
"""
_NOTE = """\
self._objects.create(_manifest(folder), to_json(manifest, indent=2).encode())
"""
_POINT = "failpoints.hit(failpoints.Failpoint.QUARANTINE_COPIED)\n"

MANIFEST_BEFORE_COPY = (
    Patch(
        "sensorflow/flow/quarantine_zone.py::QuarantineZone.put",
        _COPY + _POINT + _NOTE,
        _NOTE + _POINT + _COPY,
    ),
)


def tree_with(patches: tuple[Patch, ...], source: Path, target: Path) -> Path:
    """A copy of the code with the patches in it. Raises AssertionError when a patch does not apply."""
    for part in PARTS:
        shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    apply(target, patches)
    return target
