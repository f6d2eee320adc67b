"""Options by which commands choose files, and the note that a list is not all."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sensorflow.errors import Misuse


def complete_source(incomplete: str) -> list[str]:
    """The sources of the project, for a shell; none where there is no project."""
    from sensorflow import bootstrap

    try:
        return [name for name in bootstrap.settings().sources if name.startswith(incomplete)]
    except Misuse:
        return []


def complete_state(incomplete: str) -> list[str]:
    from sensorflow.core.states import State

    return [state for state in State if state.startswith(incomplete)]


Source = Annotated[
    str | None,
    typer.Option(help="Only files of this source.", autocompletion=complete_source),
]


def cut(shown: int, total: int, json: bool = False) -> None:
    """Say that a list is not all; with JSON on stderr, where it spoils nothing."""
    if shown < total:
        from sensorflow.cli.show import line

        text = f"{shown:,} of {total:,} shown: --limit {total}"
        print(text, file=sys.stderr) if json else line(text)  # noqa: T201
