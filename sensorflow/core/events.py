"""The events in a file's history. There are no other events: a CHECK on ``file_events`` enforces this.

No event is ever removed from this list, because old histories contain it and older workers may still write
it. A migration must add a new event before it is used.
"""

from __future__ import annotations

from enum import StrEnum


class FileEvent(StrEnum):
    REGISTERED = "registered"  # the file is in the landing zone and in the ledger
    PUBLISHED = "published"  # the message for the file is in the queue
    CLAIMED = "claimed"  # a worker has claimed the file, with a lease
    STAGE_DONE = "stage done"  # a stage of a large file is done, and the next stage follows
    RETRIED = "will be tried again"  # an attempt failed, and the file is tried again
    LEASE_EXPIRED = "lease expired"  # the worker stopped renewing the lease
    MESSAGE_MISSING = "message missing"  # no worker claimed the file; its message is sent again
    LOADED = "loaded"  # the readings of the file are in the database
    UNPACKED = "unpacked"  # the members of the archive are registered
    SUPERSEDED = "superseded"  # a newer version has replaced this version as a whole
    REPLACED = "replaced"  # another file or version has replaced readings of this file
    # replaced readings stay removed after an undo, because the bytes for a replay are missing
    NOT_RETURNED = "readings not returned"
    CONDEMNED = "condemned"  # dead-lettered: the file failed permanently and will be quarantined
    QUARANTINED = "quarantined"  # the file is in quarantine, with a manifest
    REPLAYED = "replayed"  # on request, the file is pending again
    REPLAY_FAILED = "replay failed"  # a replay failed; the rows of the earlier load are unchanged
    UNDONE = "undone"  # on request, the readings of the file were removed
    EXPIRED = "expired"  # retention removed a layer of the file
    ORPHANS_REMOVED = "orphaned rows removed"  # `audit --repair` removed unwanted rows of the file
