"""The identity of a file's trace: the format of trace ids, and the ids of the spans that processes
share.

A trace id is 16 bytes, as in W3C Trace Context: the start of the trace in microseconds since 1970
(8 bytes, big-endian), then 8 random bytes. From the trace id alone, every process of the fleet
knows the id and the start of the root span, which is sent only when the file is finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

RANDOM_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Trace:
    """The trace of a claimed file. trace_id: 16 bytes. sent_at: the time when the file's message
    was sent; None if it is unknown, or if the file was claimed after the lease of another worker
    expired."""

    trace_id: bytes
    claimed_at: datetime
    sent_at: datetime | None = None

    @property
    def hex(self) -> str:
        return self.trace_id.hex()


def make_trace_id(started: datetime, random: bytes) -> bytes:
    """Return the id of a trace that started at this time (with a time zone). random: 8 random bytes.

    >>> make_trace_id(datetime(2026, 2, 1, tzinfo=UTC), bytes(7) + b"x").hex()
    '000649bb93f6c0000000000000000078'
    """
    return ((started - _EPOCH) // _MICROSECOND).to_bytes(8) + random


def root_span_id(trace_id: bytes) -> int:
    """Return the id of the root span. It is the first half of the trace id, so that other processes
    can name the root span as a parent before it exists."""
    return int.from_bytes(trace_id[:8])


def started_ns(trace_id: bytes) -> int:
    """Return the start of a trace in nanoseconds since 1970."""
    return int.from_bytes(trace_id[:8]) * 1000


def in_ns(at: datetime) -> int:
    """Return a time in nanoseconds since 1970, exactly."""
    return (at - _EPOCH) // _MICROSECOND * 1000
