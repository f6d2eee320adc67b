"""sensorflow loads sensor files from drop folders into a database, exactly once.

The pipeline, in the order of the data:

    flow.intake      find the complete files of all feeds
    flow.land        copy their bytes, hashed and synced, into the landing zone
    flow.register    add a row to the ledger for each version of a file
    flow.publish     send a message per file, without data
    flow.process     run the remaining stages of a file
    flow.validate    landed bytes -> bronze rows and rejected rows
    flow.transform   bronze -> canonical readings (silver)
    flow.load        silver -> the database, rows and ledger state in one transaction
    flow.quarantine  store files that cannot be loaded, with a manifest
    flow.housekeeping  send lost messages again, collect garbage, apply retention

``core`` consists of pure functions on Arrow data. ``ports`` declares the interfaces through which the flow
uses services such as the database. ``adapters`` implements these interfaces. ``bootstrap`` selects the
adapters and passes them to the flow.

Notebooks and other programs use the names in ``__all__``. These names are defined in ``api`` and other
modules, which are imported when a name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sensorflow.api.batches import Batches
    from sensorflow.api.checking import Proposal, check, sniff
    from sensorflow.api.client import Client
    from sensorflow.api.exporting import Export
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
    "Export",
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
    "api.exporting": ("Export",),
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
