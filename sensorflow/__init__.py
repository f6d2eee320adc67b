"""sensorflow: dropped sensor files become database rows, exactly once.

The map of the flow, in the data's order:

    flow.intake      the complete files of all feeds, each source in its turn
    flow.land        copy their bytes, hashed and synced, into the landing zone
    flow.register    one ledger row for each version of a file's content
    flow.publish     one message a file, never data
    flow.process     take a file through the stages that are left
    flow.validate    landed bytes -> bronze rows and rejects
    flow.transform   bronze -> canonical readings (silver)
    flow.load        silver -> the database, rows and ledger state in one transaction
    flow.quarantine  files that cannot be loaded, with a manifest
    flow.housekeeping  publish again whatever is stale, and remove what is kept for a time only

``core`` is pure (Arrow in, Arrow out), ``ports`` names what the flow needs of the world,
``adapters`` provide it, ``bootstrap`` wires the two together.

For notebooks and other programs there are the names of ``__all__``, which ``api`` provides: they are
imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensorflow.api.batches import Batches
    from sensorflow.api.checking import Proposal, check, sniff
    from sensorflow.api.client import Client
    from sensorflow.api.reading import Batch, Result, batches, read
    from sensorflow.api.records import Audit, Change, File, Finding
    from sensorflow.core.profile import Profile
    from sensorflow.errors import Permanent, SensorflowError, Transient
    from sensorflow.flow.check import Checked
    from sensorflow.status import Status

__version__ = "0.3.0.dev0"

__all__ = [
    "Audit",
    "Batch",
    "Batches",
    "Change",
    "Checked",
    "Client",
    "File",
    "Finding",
    "Permanent",
    "Profile",
    "Proposal",
    "Result",
    "SensorflowError",
    "Status",
    "Transient",
    "batches",
    "check",
    "read",
    "sniff",
]

_PLACES = {
    "api.batches": ("Batches",),
    "api.checking": ("Proposal", "check", "sniff"),
    "api.client": ("Client",),
    "api.records": ("Audit", "Change", "File", "Finding"),
    "api.reading": ("Batch", "Result", "batches", "read"),
    "core.profile": ("Profile",),
    "errors": ("Permanent", "SensorflowError", "Transient"),
    "flow.check": ("Checked",),
    "status": ("Status",),
}
_WHERE = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
