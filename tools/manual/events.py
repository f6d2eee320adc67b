"""The events of the log and of a file's history, with the comments beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from inspect import getsource

from manual.markdown import cell, table
from sensorflow.core.events import FileEvent
from sensorflow.telemetry import Event


def of_the_log() -> str:
    said = _comments(Event)
    rows = [
        (f"`{e}`", e.level, cell(said.get(e.name, "")), f"`{e.former}`" if e.former else "")
        for e in Event
    ]
    return table(("Event", "Level", "Meaning", "Former name"), rows)


def of_a_file() -> str:
    said = _comments(FileEvent)
    return table(("Event", "Meaning"), [(f"`{e}`", cell(said.get(e.name, ""))) for e in FileEvent])


def _comments(enum: type[StrEnum]) -> dict[str, str]:
    """The comment behind each word, or on the lines before it."""
    return dict(_said(getsource(enum)))


def _said(source: str) -> Iterator[tuple[str, str]]:
    before: list[str] = []
    name = ""
    for line in source.splitlines():
        if alone := re.fullmatch(r"\s+# (.*)", line):
            before.append(alone[1])
        elif found := re.match(r"\s+([A-Z_]+) = ", line):
            name, behind = found[1], re.search(r'"\)?,?.*?# (.*)$', line)
            text = " ".join([*before, *([behind[1]] if behind else [])])
            before = []
            yield name, text
        elif behind := re.search(r"# (.*)$", line):
            yield name, behind[1]
