"""Generates the reference of the log events and of the events in a file's history. The meanings are the
comments on the events in the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from inspect import getsource

from manual.markdown import cell, table
from sensorflow.core.events import FileEvent
from sensorflow.telemetry import Event


def of_the_log() -> str:
    comments = _comments(Event)
    rows = [
        (f"`{e}`", e.level, cell(comments.get(e.name, "")), f"`{e.former}`" if e.former else "")
        for e in Event
    ]
    return table(("Event", "Level", "Meaning", "Former name"), rows)


def of_a_file() -> str:
    comments = _comments(FileEvent)
    return table(
        ("Event", "Meaning"), [(f"`{e}`", cell(comments.get(e.name, ""))) for e in FileEvent]
    )


def _comments(enum: type[StrEnum]) -> dict[str, str]:
    """Return the comments on the members of an enum: name of the member -> the comment on the lines before
    the member, and the comment behind it."""
    return dict(_commented(getsource(enum)))


def _commented(source: str) -> Iterator[tuple[str, str]]:
    before: list[str] = []
    name = ""
    for line in source.splitlines():
        if alone := re.fullmatch(r"\s+# (.*)", line):
            before.append(alone[1])
        elif found := re.match(r"\s+([A-Z_]+) = ", line):
            name, comment = found[1], re.search(r'"\)?,?.*?# (.*)$', line)
            text = " ".join([*before, *([comment[1]] if comment else [])])
            before = []
            yield name, text
        elif comment := re.search(r"# (.*)$", line):
            yield name, comment[1]
