"""What two runs of the same code differ in. All of it stands here, each with its reason."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from same.compare import flat
from same.side import RunRecord, TreeUnderTest

VALUES = (
    # (area, place, reason): a value that is there is written *, one that is not stays as it is
    ("table files", r"\.lease_token$", "from a sequence, which attempts that come to nothing advance too"),
    ("table files", r"\.tidy$", "true when a file is looked at for the last time, some minutes later"),
    ("table \\w+", r"\.(fingerprint|checked|inode|mark)$", "device, inode and ctime of a file"),
    ("table \\w*leases", r"\.(owner|process|token)$", "of the process that held it"),
    ("table file_events", r"\.(id|seconds)$", "of different files none is the first; a duration"),
    ("table file_histories", r"\.(last_event|after|head|base)$", "hashes of times and of event ids"),
    ("table file_histories", r"\.events$", "counts what LEFT_OUT leaves out; events are compared"),
    ("object", r"/\.began$", "the process that writes there"),
    ("message", r"\.(delivery_tag|correlation_id|reply_to|root_id|task_id|origin|parent_id|group)$",
     "drawn at random by Celery"),
    ("message", r"\.headers\.id$|\.tid$", "drawn at random by Celery"),
    ("message", r"\.(expires|timelimit)$", "a time"),
    ("command", r"\.(seconds|age|oldest|last_file_age|last_reading_age|rows_per_second)$", "durations"),
    ("command", r"\.lease_token$", "as above"),
    ("command", r" audit .*\$0\.(snapshot|history\.(digest|events))$", "as above; a snapshot's number"),
)  # fmt: skip
LEFT_OUT = (
    # (area, reason)
    ("table heartbeats", "of the processes that run, and how they were a second ago"),
)
PUBLISHED = "published"
"""An event that is recorded only if no worker has claimed the file by then: compared of files that were
published while no worker ran, which are those of the source `outbox`."""
TOGETHER = re.compile(r"together with file \d+")
"""Why a small file was claimed, if it was known to wait when another one was: likewise."""


class Normalizer:
    """The two lists, for one side."""

    def __init__(self, side: TreeUnderTest, version: str) -> None:
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
            (
                r"\b\d+:\d+:\d+:\d{19}(?::\d{19})?\b",
                "<fingerprint>",
                "device, inode and ctime of a file",
            ),
            (re.escape(version), "<version>", "the version of the code"),
            (
                rf"\b(?:{days})[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?",
                "<time>",
                "now",
            ),
            (rf"\b(?:{days})\b", "<day>", "today, as in ingest_date"),
            (
                rf"{re.escape(socket.gethostname())}(?::\d+)?",
                "<host>",
                "and the number of a process",
            ),
        ]
        self._written = [written for _, written, _ in self._texts]
        self._pattern = re.compile("|".join(f"({p})" for p, _, _ in self._texts))
        self._places: dict[str, re.Pattern[str] | None] = {}

    def text(self, text: str) -> str:
        return self._pattern.sub(lambda m: self._written[(m.lastindex or 1) - 1], text)

    def _left_out(self, area: str) -> re.Pattern[str] | None:
        """Places of an area whose values are not compared."""
        if area not in self._places:
            patterns = [place for name, place, _ in VALUES if re.fullmatch(name, area)]
            self._places[area] = re.compile("|".join(patterns)) if patterns else None
        return self._places[area]

    def value(self, area: str, place: str, value: Any) -> Any:
        left_out = self._left_out(area)
        if value is not None and left_out is not None and left_out.search(place):
            return "*"
        if isinstance(value, str):
            return self.text(value)
        return value  # rows hold nothing of today


DURATION = re.compile(
    r"(-?\b\d+(\.\d+)? ?(µs|ms|s|min|h|[KMGT]iB free)|\b(an?|\d+) (second|minute|hour)s?)( ago)?\b|just now"
)
"""Of commands: durations, ages of today, and room on disks."""
SECONDS = re.compile(r"(?<=  )\d+\.\d{3}(?=  )")
"""A column of the history that `files show` prints."""
RATE = re.compile(r"((?<= ago  )|(?<=<duration>  ))[\d,.]+(?=  \d+$)")
"""Rows per second of the last minute, in the table of `status`."""


def normalized_lines(text: str, history: bool) -> list[str]:
    """Lines of a command, but for durations, and the widths of columns that follow them."""
    lines = [re.sub(r"[ ─━-]{2,}", "  ", line).strip() for line in text.splitlines()]
    if history and "  outbox/" not in text:
        lines = [TOGETHER.sub("", line).strip() for line in lines if f"  {PUBLISHED}  " not in line]
    lines = [SECONDS.sub("<seconds>", DURATION.sub("<duration>", line)) for line in lines]
    return [RATE.sub("<rate>", line) for line in lines]


def normal(side: TreeUnderTest, record: RunRecord, version: str) -> dict[str, dict[str, Any]]:
    """What `compare.differences` takes."""
    rules, found = Normalizer(side, version), {}
    for area, place, value in _values(record):
        kind = area.partition(": ")[2] or area
        if isinstance(value, str) and kind == "command" and place.endswith(("stdout", "stderr")):
            value = normalized_lines(rules.text(value), " files show " in place)
        elif isinstance(value, str) and " doctor " in place:
            value = DURATION.sub("<duration>", value)
        found.setdefault(area, {})[rules.text(place)] = rules.value(kind, place, value)
    return found


def _values(record: RunRecord) -> Iterator[tuple[str, str, Any]]:
    for label, state in record.states.items():
        for area, places in state.items():
            if any(re.fullmatch(name, area) for name, *_ in LEFT_OUT):
                continue
            for place, value in _ranked(area, places).items():
                yield from _leaves(f"{label}: {area}", place, value)
    for label, messages in record.messages.items():
        # of what is published while commands run none is the first
        for number, message in enumerate(sorted(messages, key=_shown), 1):
            yield from _leaves(f"{label}: message", f"{number}", message)
    for name, output in record.commands.items():
        for place, value in output.items():
            if place == "json":
                for number, document in enumerate(value):
                    for inner, leaf in flat(_settled(document), f"${number}"):
                        yield "command", f"{name} {inner}", leaf
            else:
                yield "command", f"{name} {place}", value
    for name, code in record.ends.items():
        yield "process", name, code


def _settled(document: Any) -> Any:
    """A JSON document without PUBLISHED and TOGETHER in its history."""
    if not isinstance(document, dict) or "history" not in document:
        return document
    history = document["history"]
    if not isinstance(history, list) or document.get("source") == "outbox":
        return document
    lines = [
        {**event, "why": None} if TOGETHER.fullmatch(event["why"] or "") else event
        for event in history
        if event["what"] != PUBLISHED
    ]
    return {**document, "history": lines}


def _shown(message: dict[str, Any]) -> tuple[str, str]:
    return message["queue"], str(message["headers"].get("argsrepr"))


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
    passed = {
        place.rpartition("].")[0]
        for place, value in places.items()
        if place.endswith("].what") and value == PUBLISHED and " outbox/" not in place
    }
    ranks: dict[str, dict[str, int]] = {}
    found = {}
    for place, value in places.items():  # by their ids
        row, _, column = place.rpartition("].")
        if row in passed:
            continue
        number, _, name = row.removeprefix("[").partition(" ")
        rank = ranks.setdefault(name, {}).setdefault(number, len(ranks[name]) + 1)
        if column == "why" and TOGETHER.fullmatch(value or "") and " outbox/" not in place:
            value = None
        found[f"[{name} event {rank}].{column}"] = value
    return found
