"""What two runs of the same code differ in. All of it stands here, each with its reason."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from same.compare import flat
from same.side import Side, Taken

VALUES = (
    # (area, place, reason): a value that is there is written *, one that is not stays as it is
    ("table files", r"\.lease_token$", "tokens are drawn from a sequence that retries advance too"),
    ("table \\w+", r"\.(fingerprint|checked|inode|mark|process|token)$", "inode, ctime, processes"),
    ("table \\w*leases", r"\.(owner|process|token)$", "of the process that held it"),
    ("table file_events", r"\.(id|seconds)$", "files have no order among each other; a duration"),
    ("table file_histories", r"\.(last_event|after|head|base)$", "hashes of times and of event ids"),
    ("table heartbeats", r".*", "of the processes that run: how often and since when"),
    ("message", r"\.(delivery_tag|correlation_id|reply_to|root_id|id|task_id|origin|parent_id|group)$",
     "drawn at random by Celery"),
    ("message", r"\.(expires|timelimit)$", "a time"),
    ("command", r"\.(seconds|age|oldest|last_file_age|last_reading_age|rows_per_second)$", "a duration"),
)  # fmt: skip
WHOLE = (
    # places of JSON that are left out whole, with all that is below them
    ("command", r"\$0\.activity\.\w+\.(oldest|rows_per_second)", "a duration"),
)


class Normal:
    """The two lists, for one side."""

    def __init__(self, side: Side, version: str) -> None:
        today = datetime.now(UTC).date()
        days = "|".join(str(today - timedelta(days=n)) for n in (0, 1))
        address = re.escape(side.url.rpartition("@")[2])
        broker = re.escape(side.broker.rpartition("@")[2])
        self._texts = [
            # (pattern, written, reason)
            (re.escape(str(side.project)), "<project>", "each side has a folder of its own"),
            (re.escape(str(side.tree)), "<tree>", "and its code"),
            (address, "<database>", "and its database"),
            (broker, "<broker>", "and its broker"),
            (re.escape(version), "<version>", "the version of the code"),
            (rf"\b(?:{days})[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?", "<time>", "now"),
            (rf"\b(?:{days})\b", "<day>", "today, as in ingest_date"),
            (rf"{re.escape(socket.gethostname())}(:\d+)?", "<host>", "and the number of a process"),
        ]
        self._patterns = [(re.compile(p), written) for p, written, _ in self._texts]

    def text(self, text: str) -> str:
        for pattern, written in self._patterns:
            text = pattern.sub(written, text)
        return text

    def value(self, area: str, place: str, value: Any) -> Any:
        if value is not None and any(
            re.fullmatch(a, area) and re.search(p, place) for a, p, _ in VALUES
        ):
            return "*"
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.text(v) if isinstance(v, str) else v for v in value]
        return value


def said(text: str) -> list[str]:
    """Lines of a command, but for durations, sizes of disks, and the widths of columns that follow them."""
    text = re.sub(r"\b\d+(\.\d+)? ?(µs|ms|s|min|h)\b", "<duration>", text)
    return [re.sub(r"[ ─━-]{2,}", "  ", line).strip() for line in text.splitlines()]


def normal(side: Side, taken: Taken, version: str) -> dict[str, dict[str, Any]]:
    """What `compare.differences` takes."""
    rules, found = Normal(side, version), {}
    for area, place, value in _values(taken):
        kind = area.partition(": ")[2] or area
        if isinstance(value, str) and kind == "command" and place.endswith(("stdout", "stderr")):
            value = said(rules.text(value))
        found.setdefault(area, {})[rules.text(place)] = rules.value(kind, place, value)
    return found


def _values(taken: Taken) -> Iterator[tuple[str, str, Any]]:
    for label, state in taken.states.items():
        for area, places in state.items():
            for place, value in _ranked(area, places).items():
                yield from _leaves(f"{label}: {area}", place, value)
    for label, messages in taken.messages.items():
        for number, message in enumerate(messages, 1):
            yield from _leaves(f"{label}: message", f"{number}", message)
    for name, kept in taken.commands.items():
        for place, value in kept.items():
            yield "command", f"{name} {place}", value
    for name, code in taken.ends.items():
        yield "process", name, code


def _leaves(area: str, place: str, value: Any) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, dict):
        for inner, leaf in flat(value, place):
            yield area, inner, leaf
    else:
        yield area, place, value


def _ranked(area: str, places: dict[str, Any]) -> dict[str, Any]:
    """Events are numbered within their file: of different files none is the first."""
    if area != "table file_events":
        return places
    ranks: dict[str, dict[str, int]] = {}
    found = {}
    for place, value in places.items():  # by their ids
        row, _, column = place.rpartition("].")
        number, _, name = row.removeprefix("[").partition(" ")
        rank = ranks.setdefault(name, {}).setdefault(number, len(ranks[name]) + 1)
        found[f"[{name} event {rank}].{column}"] = value
    return found
