"""The metrics that sensorflow exports. `Metric` is the complete list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

STAGE_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    1800.0,
)
"""Upper bounds, in seconds, of the buckets for the duration of a stage."""
LATENCY_BUCKETS = (
    0.25,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    900.0,
    3600.0,
    14400.0,
    86400.0,
)
"""Upper bounds, in seconds, of the buckets for the time from the discovery of a file to its first load."""


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Place(StrEnum):
    """The exporter of a metric. FLEET: `sensorflow metrics` exports the metric, for the whole fleet.
    PROCESS: each process with a `metrics_port` exports the metric, for itself."""

    FLEET = "fleet"
    PROCESS = "process"


_COUNTER, _GAUGE, _HISTOGRAM = Kind
_FLEET, _PROCESS = Place


class Metric(StrEnum):
    """All metrics. A value is the name of the metric. kind, place: see `Kind` and `Place`. labels: the
    names of the labels. unit: the unit of the values; "" for numbers without a unit. meaning: the help
    text."""

    kind: Kind
    place: Place
    labels: tuple[str, ...]
    unit: str
    meaning: str

    def __new__(
        cls, name: str, kind: Kind, place: Place, labels: Sequence[str], unit: str, meaning: str
    ) -> Self:
        made = str.__new__(cls, name)
        made._value_ = name
        made.kind, made.place, made.labels = kind, place, tuple(labels)
        made.unit, made.meaning = unit, meaning
        return made

    FILES = (
        *("sensorflow_files", _GAUGE, _FLEET, ("source", "state"), ""),
        "Files by source and state.",
    )
    QUARANTINED_FILES = (
        *("sensorflow_quarantined_files", _GAUGE, _FLEET, ("source", "code"), ""),
        "Files that are in quarantine, by error code.",
    )
    BACKLOG_FILES = (
        *("sensorflow_backlog_files", _GAUGE, _FLEET, ("source",), ""),
        "Pending and running files.",
    )
    BACKLOG_BYTES = (
        *("sensorflow_backlog_bytes", _GAUGE, _FLEET, ("source",), "bytes"),
        "Total size of pending and running files.",
    )
    BACKLOG_SECONDS = (
        *("sensorflow_backlog_seconds", _GAUGE, _FLEET, (), "seconds"),
        "Estimated seconds of work, for one process, of the files that can be processed now.",
    )
    SOURCE_BACKLOG_SECONDS = (
        *("sensorflow_source_backlog_seconds", _GAUGE, _FLEET, ("source",), "seconds"),
        "The part of sensorflow_backlog_seconds that is for this source.",
    )
    BACKLOG_OLDEST = (
        *("sensorflow_backlog_oldest_seconds", _GAUGE, _FLEET, ("source",), "seconds"),
        "Age of the oldest pending or running file, since its registration or replay; 0 if there is none.",
    )
    SOURCE_PAUSED = (
        *("sensorflow_source_paused", _GAUGE, _FLEET, ("source",), ""),
        "1 if an operator has paused the source, so that its files wait; else 0.",
    )
    SOURCE_WITHOUT_ROOM = (
        *("sensorflow_source_without_room", _GAUGE, _FLEET, ("source",), ""),
        "1 if a daemon cannot take in files of the source, because a disk has no room for them; else 0.",
    )
    ROWS = (
        *("sensorflow_rows", _GAUGE, _FLEET, ("source", "outcome"), ""),
        "Readings of all files, by present outcome: loaded, rejected, duplicate or not_loaded.",
    )
    ROWS_LOADED = (
        *("sensorflow_rows_loaded_total", _COUNTER, _FLEET, ("source",), ""),
        "Readings that loads have committed. A replay is counted again.",
    )
    FILE_EVENTS = (
        *("sensorflow_file_events_total", _COUNTER, _FLEET, ("source", "event"), ""),
        "Events in the histories of files.",
    )
    RETRIES = (
        *("sensorflow_retries_total", _COUNTER, _FLEET, ("source", "code"), ""),
        "Failed attempts after which the file is tried again, by error code.",
    )
    QUARANTINES = (
        *("sensorflow_quarantines_total", _COUNTER, _FLEET, ("source", "code"), ""),
        "Files that were quarantined, by error code.",
    )
    STAGE_SECONDS = (
        *("sensorflow_stage_duration_seconds", _HISTOGRAM, _FLEET, ("stage",), "seconds"),
        "Duration of a stage of a file.",
    )
    LATENCY = (
        *("sensorflow_arrival_to_commit_seconds", _HISTOGRAM, _FLEET, ("source",), "seconds"),
        "Time from the discovery of a file to the commit of its first load. Without backfilled files.",
    )
    EVENT_TIME_BEHIND = (
        *("sensorflow_event_time_behind_seconds", _GAUGE, _FLEET, ("source",), "seconds"),
        "Age of the newest reading in the database.",
    )
    LAST_FILE_AGE = (
        *("sensorflow_last_file_age_seconds", _GAUGE, _FLEET, ("source",), "seconds"),
        "Time since the newest file was landed.",
    )
    WORKERS_WANTED = (
        *("sensorflow_workers_wanted", _GAUGE, _FLEET, (), ""),
        "Worker processes that the fleet needs for its backlog. May exceed the maximum of the fleet.",
    )
    WORKERS_PRESENT = (
        *("sensorflow_workers_present", _GAUGE, _FLEET, ("host",), ""),
        "Worker processes that are running.",
    )
    PROCESSES = (
        *("sensorflow_processes", _GAUGE, _FLEET, ("role", "status"), ""),
        "Loops of processes, by heartbeat: working, paused, or silent (no heartbeat for 30 s).",
    )
    BROKER_MESSAGES = (
        *("sensorflow_broker_messages", _GAUGE, _FLEET, ("queue",), ""),
        "Messages in the queue that no worker has received.",
    )
    STORED_BYTES = (
        *("sensorflow_stored_bytes", _GAUGE, _FLEET, ("zone",), "bytes"),
        "Size of the landing zone according to the ledger, and of other zones on a local disk.",
    )
    DATABASE_BYTES = (
        *("sensorflow_database_bytes", _GAUGE, _FLEET, (), "bytes"),
        "Size of the database.",
    )
    READINGS_BYTES = (
        *("sensorflow_readings_bytes", _GAUGE, _FLEET, (), "bytes"),
        "Size of the table raw_readings with its indexes.",
    )
    DISK_FREE = (
        *("sensorflow_disk_free_bytes", _GAUGE, _FLEET, (), "bytes"),
        "Free space on the disk of the data folder.",
    )
    DISK_FULL_SECONDS = (
        *("sensorflow_disk_full_seconds", _GAUGE, _FLEET, (), "seconds"),
        "Time until the data folder's disk is full by the last hour's trend; +Inf if it is not filling.",
    )
    GOLD_LAG = (
        *("sensorflow_gold_lag_seconds", _GAUGE, _FLEET, (), "seconds"),
        "Time since the oldest change of readings that the aggregates do not contain yet; 0 without one.",
    )
    DATABASE_UP = (
        *("sensorflow_database_up", _GAUGE, _FLEET, (), ""),
        "1 if the database answers and has the expected schema, else 0.",
    )
    BROKER_UP = (
        *("sensorflow_broker_up", _GAUGE, _FLEET, (), ""),
        "1 if the broker answers, else 0.",
    )
    LEDGER_AGE = (
        *("sensorflow_ledger_age_seconds", _GAUGE, _FLEET, (), "seconds"),
        "Age of the values that come from the ledger.",
    )
    LOG_EVENTS = (
        *("sensorflow_log_events_total", _COUNTER, _PROCESS, ("event", "level"), ""),
        "Log events of this process and its children, including those below log_level.",
    )
    PROCESS_MEMORY = (
        *("sensorflow_process_memory_bytes", _GAUGE, _PROCESS, ("part",), "bytes"),
        "Resident memory. Parts: parent, children. Children share pages with the parent.",
    )
    PROCESS_CPU = (
        *("sensorflow_process_cpu_seconds_total", _COUNTER, _PROCESS, ("part",), "seconds"),
        "CPU time. Parts: parent, children (including children that have ended).",
    )
    PROCESS_CHILDREN = (
        *("sensorflow_process_children", _GAUGE, _PROCESS, (), ""),
        "Child processes.",
    )
    PROCESS_SOCKETS = (
        *("sensorflow_process_open_sockets", _GAUGE, _PROCESS, (), ""),
        "Open sockets of the parent.",
    )
    LOOP_UP = (
        *("sensorflow_loop_up", _GAUGE, _PROCESS, ("role",), ""),
        "1 if the loop makes progress, else 0.",
    )


@dataclass(frozen=True)
class Histogram:
    """The values of a histogram. bounds: the upper bound of each bucket. counts: the number of values in
    each bucket, followed by the number of values above all bounds. total: the sum of all values."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True)
class Sample:
    """A value of a metric. labels: the values of the metric's labels, in the order of `Metric.labels`."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Histogram

    def __post_init__(self) -> None:
        assert len(self.labels) == len(self.metric.labels), self
        assert isinstance(self.value, Histogram) == (self.metric.kind is Kind.HISTOGRAM), self
