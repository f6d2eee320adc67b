"""The events in a file's history. There are no other events: a CHECK on ``file_events`` enforces this.

No event is ever removed from the list, because old histories contain it and older workers may still write
it. A new event needs a migration first.
"""

from __future__ import annotations

from enum import StrEnum


class FileEvent(StrEnum):
    REGISTERED = "registered"  # landed, and in the ledger
    PUBLISHED = "published"  # its message is at the broker
    CLAIMED = "claimed"  # by a worker, with a lease
    STAGE_DONE = "stage done"  # the next stage of a large file follows
    RETRIED = "will be tried again"  # after a failure
    LEASE_EXPIRED = "lease expired"  # its worker stopped renewing it
    MESSAGE_MISSING = "message missing"  # published, and not claimed: published again
    LOADED = "loaded"  # its readings are in the database
    UNPACKED = "unpacked"  # an archive: its members are registered
    SUPERSEDED = "superseded"  # by a newer version
    REPLACED = "replaced"  # a newer version or another file has replaced readings of it
    # the file that replaced them was undone, but there are no bytes to replay
    NOT_RETURNED = "readings not returned"
    CONDEMNED = "condemned"  # dead-lettered: it failed permanently and will be quarantined
    QUARANTINED = "quarantined"  # with a manifest
    REPLAYED = "replayed"  # on request: it is pending again
    REPLAY_FAILED = "replay failed"  # its rows stay as they were
    UNDONE = "undone"  # on request: its readings were removed
    EXPIRED = "expired"  # retention removed a layer
    ORPHANS_REMOVED = "orphaned rows removed"  # by audit --repair
