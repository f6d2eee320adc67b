"""The faults that an audit can find: kinds, stable codes and remedies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    LOST = "lost"  # in the ledger, but missing
    DUPLICATED = "duplicated"  # present more often than the ledger says
    ORPHANED = "orphaned"  # present, but no file in the ledger needs it
    MISMATCHED = "mismatched"  # present, but different from the ledger
    OVERDUE = "overdue"  # not done in time


class Fault(StrEnum):
    """The stable code of each fault that an audit can find. The first digit is the kind of fault."""

    LANDING_MISSING = "A101 landing-missing"
    MANIFEST_MISSING = "A102 manifest-missing"
    KEPT_MISSING = "A103 quarantined-file-missing"
    ROWS_MISSING = "A104 rows-missing"
    SILVER_MISSING = "A105 silver-missing"
    REPEATS_MISSING = "A106 repeats-missing"
    REJECTS_MISSING = "A107 rejects-missing"
    BRONZE_MISSING = "A108 bronze-missing"
    ROWS_EXTRA = "A201 rows-extra"
    MONTH_DOUBLED = "A202 month-doubled"
    ROWS_UNKNOWN = "A301 rows-of-unknown-file"
    ROWS_UNWANTED = "A302 rows-not-wanted"
    LAYER_UNKNOWN = "A303 lake-file-of-unknown-file"
    LAYER_UNWANTED = "A304 lake-file-not-wanted"
    LANDING_SIZE = "A401 landing-size"
    LANDING_HASH = "A402 landing-hash"
    BALANCE = "A403 balance"
    SILVER_UNREADABLE = "A404 silver-unreadable"
    SILVER_ROWS = "A405 silver-rows"
    ROWS_CHANGED = "A406 rows-changed"
    SILVER_CHANGED = "A407 silver-changed"
    COLUMNS_CHANGED = "A408 columns-changed"
    KEYS_CHANGED = "A409 keys-changed"
    READ_AGAIN = "A410 reads-differently"
    GROWING_CHANGED = "A411 growing-file-changed"
    KEPT_HASH = "A412 quarantined-file-changed"
    REJECTS_ROWS = "A413 rejects-changed"
    HISTORY_CHANGED = "A414 history-changed"
    DROP_OVERDUE = "A501 drop-overdue"
    LEASE_OVERDUE = "A502 lease-overdue"
    PUBLISH_OVERDUE = "A503 publish-overdue"
    CLOSE_OVERDUE = "A504 close-overdue"

    @property
    def kind(self) -> Kind:
        return _KINDS[self[1]]


_KINDS = dict(zip("12345", Kind, strict=True))

_DROP = (
    "drop the original file again (it may be in data/archive): its bytes land under the same name"
)
_REPLAY = "process the file again from its landed bytes: `sensorflow audit --repair`"
_FLEET = "check that the fleet is running (`sensorflow up`, or watch, worker and beat): `sensorflow doctor`"

TODO: dict[Fault, str] = {
    Fault.LANDING_MISSING: _DROP,
    Fault.MANIFEST_MISSING: _REPLAY,
    Fault.KEPT_MISSING: _REPLAY,
    Fault.ROWS_MISSING: _REPLAY,
    Fault.SILVER_MISSING: _REPLAY,
    Fault.REPEATS_MISSING: _REPLAY,
    Fault.REJECTS_MISSING: _REPLAY,
    Fault.BRONZE_MISSING: _REPLAY,
    Fault.ROWS_EXTRA: _REPLAY,
    Fault.MONTH_DOUBLED: "`sensorflow db seal --month` lists the rows; replay their files with "
    "`sensorflow replay`, then seal it again",
    Fault.ROWS_UNKNOWN: "find out who wrote the rows; sensorflow never removes rows without a ledger row",
    Fault.ROWS_UNWANTED: "if the landed bytes exist, `sensorflow audit --repair` removes the rows",
    Fault.LAYER_UNKNOWN: "the lake file may belong to another database; sensorflow never removes files "
    "without a ledger row",
    Fault.LAYER_UNWANTED: "if the landed bytes exist, `sensorflow audit --repair` removes the lake file",
    Fault.LANDING_SIZE: f"check the disk; {_DROP}",
    Fault.LANDING_HASH: f"check the disk; {_DROP}",
    Fault.BALANCE: f"the ledger's row was changed by hand; {_REPLAY}",
    Fault.SILVER_UNREADABLE: f"check the disk; {_REPLAY}",
    Fault.SILVER_ROWS: _REPLAY,
    Fault.ROWS_CHANGED: _REPLAY,
    Fault.SILVER_CHANGED: f"check the disk; {_REPLAY}",
    Fault.COLUMNS_CHANGED: _REPLAY,
    Fault.KEYS_CHANGED: _REPLAY,
    Fault.READ_AGAIN: "see `sensorflow files show`; if the new result is right, replay the file with "
    "`sensorflow replay`",
    Fault.GROWING_CHANGED: "the file was rewritten in place: the daemon reads it again from its start "
    "after it has not grown for ten minutes or more",
    Fault.KEPT_HASH: f"check the disk; {_REPLAY}",
    Fault.REJECTS_ROWS: f"check the disk; {_REPLAY}",
    Fault.HISTORY_CHANGED: "somebody changed file_events outside sensorflow; a backup of the database has "
    "the original events. sensorflow cannot repair this, and every audit reports it",
    Fault.DROP_OVERDUE: _FLEET,
    Fault.LEASE_OVERDUE: _FLEET,
    Fault.PUBLISH_OVERDUE: _FLEET,
    Fault.CLOSE_OVERDUE: "`sensorflow db seal` seals the partition now; beat seals it after an hour "
    "without loads",
}


@dataclass(frozen=True)
class Finding:
    """One deviation of the stored data from the ledger.

    file_id: the file's id in the ledger; None if the file has no ledger row. name: the file's name, or a
    path in the lake.
    """

    fault: Fault
    source: str
    file_id: int | None
    name: str
    expected: str
    found: str
    path: str = ""

    @property
    def kind(self) -> Kind:
        return self.fault.kind

    @property
    def todo(self) -> str:
        return TODO[self.fault]
