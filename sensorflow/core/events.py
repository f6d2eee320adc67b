"""The events of a file's history: a closed list, which the database repeats in a CHECK on ``file_events``.

A word that is here once stays here: histories of years hold it, and an older worker may write it beside a
newer one. A new word is a migration first.
"""

from __future__ import annotations

from enum import StrEnum


class FileEvent(StrEnum):
    REGISTERED = "registered"  # landed, and in the ledger
    PUBLISHED = "published"  # its message is at the broker
    CLAIMED = "claimed"  # by a worker, with a lease
    STAGE_DONE = "stage done"  # the next stage of a large file follows
    RETRIED = "will be tried again"  # after a failure
    LEASE_EXPIRED = "lease expired"  # its worker gave no sign of life
    MESSAGE_MISSING = "message missing"  # published, and not claimed: published again
    LOADED = "loaded"  # its readings are in the database
    UNPACKED = "unpacked"  # an archive: its members are registered
    SUPERSEDED = "superseded"  # by a newer version
    REPLACED = "replaced"  # a newer version or another file holds readings of it
    # the file that replaced them was undone, but there are no bytes to replay
    NOT_RETURNED = "readings not returned"
    CONDEMNED = "condemned"  # failed for good: will be quarantined
    QUARANTINED = "quarantined"  # with a manifest
    REPLAYED = "replayed"  # on request: it is pending again
    REPLAY_FAILED = "replay failed"  # its rows stay as they were
    UNDONE = "undone"  # on request: its readings were removed
    EXPIRED = "expired"  # retention removed a layer
    ORPHANS_REMOVED = "orphaned rows removed"  # by audit --repair
