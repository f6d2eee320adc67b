"""Repair the findings of an audit: `plan` lists the repairs, `apply` makes them. The only copy of any data
is never changed.

If data that is needed is wrong, the file is replayed from its landed bytes. Data that is no longer needed
is removed, but only if the landed original is intact. Data that no ledger row refers to is left unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from sensorflow.core.findings import Fault, Finding
from sensorflow.core.names import canonical
from sensorflow.core.states import State
from sensorflow.errors import SensorflowError, Transient
from sensorflow.flow.audit.context import AuditContext
from sensorflow.flow.audit.deep import digest
from sensorflow.flow.audit.layers import is_unwanted
from sensorflow.flow.audit.report import Report
from sensorflow.ports.audit import FileRecord


class RepairAction(StrEnum):
    REPLAY = "replay"  # the workers process the file again
    REMOVE_ROWS = "remove rows"
    REMOVE_FILE = "remove lake file"
    NOTHING = "nothing"  # sensorflow cannot repair it


_REPLAYED = frozenset(
    {
        Fault.MANIFEST_MISSING,
        Fault.KEPT_MISSING,
        Fault.ROWS_MISSING,
        Fault.SILVER_MISSING,
        Fault.REJECTS_MISSING,
        Fault.BRONZE_MISSING,
        Fault.KEPT_HASH,
        Fault.REJECTS_ROWS,
        Fault.REPEATS_MISSING,
        Fault.ROWS_EXTRA,
        Fault.BALANCE,
        Fault.SILVER_UNREADABLE,
        Fault.SILVER_ROWS,
        Fault.ROWS_CHANGED,
        Fault.SILVER_CHANGED,
        Fault.COLUMNS_CHANGED,
        Fault.KEYS_CHANGED,
    }
)
_ACTIONS = dict.fromkeys(_REPLAYED, RepairAction.REPLAY) | {
    Fault.ROWS_UNWANTED: RepairAction.REMOVE_ROWS,
    Fault.LAYER_UNWANTED: RepairAction.REMOVE_FILE,
}


@dataclass(frozen=True)
class RepairStep:
    """The repair of one finding. is_allowed: whether the repair may be made. done: whether the repair was
    made. reason: why the repair may not be made, or a description of a repair that may be made."""

    action: RepairAction
    finding: Finding
    is_allowed: bool
    reason: str
    done: bool = False


def plan(context: AuditContext, report: Report) -> list[RepairStep]:
    """Returns the repair for each finding, with at most one replay per file. Does not change anything."""
    steps: list[RepairStep] = []
    replayed: set[int] = set()
    for found in report.findings:
        action = _ACTIONS.get(found.fault, RepairAction.NOTHING)
        if action is RepairAction.REPLAY and found.file_id in replayed:
            continue
        step = _step(context, action, found)
        if action is RepairAction.REPLAY and found.file_id is not None:
            replayed.add(found.file_id)
        steps.append(step)
    return steps


def _step(context: AuditContext, action: RepairAction, found: Finding) -> RepairStep:
    record = context.records_by_id.get(found.file_id or 0)
    if action is RepairAction.NOTHING or record is None:
        reason = "no row of the ledger refers to it" if record is None else found.todo
        return RepairStep(RepairAction.NOTHING, found, False, reason)
    reason = _obstacle(context, action, record)
    return RepairStep(action, found, not reason, reason or _describe(context, action, record))


def _obstacle(context: AuditContext, action: RepairAction, record: FileRecord) -> str:
    """Returns the reason why the repair is not allowed; empty if it is allowed."""
    if record.in_flight:
        return f"the file is {record.state}: wait until it is finished"
    if action is RepairAction.REPLAY and "rows" in record.expired:
        return "retention has removed the file's rows, and a replay would load them again"
    if _original(context, record):
        return ""
    if action is RepairAction.REMOVE_FILE and any(
        _original(context, b) for b in _successors(context, record)
    ):
        return ""
    return "the landed original is missing or was changed: this may be the only copy"


def _original(context: AuditContext, record: FileRecord) -> bool:
    """Whether the file's landed bytes exist and are unchanged."""
    try:
        return digest(context.services.landing, record.landing) == record.sha256
    except Transient:
        return False


def _successors(context: AuditContext, record: FileRecord) -> list[FileRecord]:
    """Returns the loaded versions that replaced a superseded file."""
    if record.state is not State.SUPERSEDED:
        return []
    name = canonical(record.key)
    return [
        b
        for b in context.records_by_id.values()
        if (b.source, canonical(b.key), b.state) == (record.source, name, State.LOADED)
        and b.version > record.version
    ]


def _describe(context: AuditContext, action: RepairAction, record: FileRecord) -> str:
    if action is not RepairAction.REPLAY:
        return "the landed original is intact"
    source = context.services.settings.sources.get(record.source)
    loaded = record.state is State.LOADED
    if (
        source
        and loaded
        and context.services.settings.profile_of(source).hash != record.profile_hash
    ):
        return "from its landed bytes, with the current profile, which has changed since the load"
    return "from its landed bytes"


def apply(context: AuditContext, steps: list[RepairStep]) -> list[RepairStep]:
    """Apply the allowed repairs. Skips files that have changed since the audit."""
    return [_apply(context, step) if step.is_allowed else step for step in steps]


def _apply(context: AuditContext, step: RepairStep) -> RepairStep:
    file_id = step.finding.file_id
    assert file_id is not None
    try:
        if step.action is RepairAction.REPLAY:
            done = context.services.ledger.replay(file_id)
        elif step.action is RepairAction.REMOVE_ROWS:
            done = context.store.remove_rows(file_id) > 0
        else:
            done = _remove(context, file_id, step.finding.path)
    except SensorflowError as error:
        return replace(step, reason=str(error))
    return replace(
        step,
        done=done,
        reason=step.reason
        if done
        else "the file has changed since the audit, or the action failed",
    )


def _remove(context: AuditContext, file_id: int, place: str) -> bool:
    """Remove one file of the lake while the file's row in the ledger is locked. Returns whether it was
    removed."""
    found = context.services.lake.stored_at(place)
    with context.store.locked(file_id) as record:
        if record is None or found is None or _obstacle(context, RepairAction.REMOVE_FILE, record):
            return False
        if not is_unwanted(context, record, found):
            return False
        context.services.lake.discard(found)
        return True
