"""Defines the option --source and the completion of options, and prints a note if a list is truncated."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sensorflow.errors import UsageError


def complete_source(incomplete: str) -> list[str]:
    """Returns the names of sources for shell completion; [] if there is no project."""
    from sensorflow import bootstrap

    try:
        sources = bootstrap.settings(warn=False).sources
        return [name for name in sources if name.startswith(incomplete)]
    except UsageError:
        return []


def complete_state(incomplete: str) -> list[str]:
    from sensorflow.core.states import State

    return [state for state in State if state.startswith(incomplete)]


Source = Annotated[
    str | None,
    typer.Option(help="Only files of this source.", autocompletion=complete_source),
]


def cut(shown: int, total: int, json: bool = False) -> None:
    """Print a note if a list is truncated. json: whether the output is JSON; the note is then printed on
    stderr, so that stdout is valid JSON."""
    if shown < total:
        from sensorflow.cli.show import line

        text = f"{shown:,} of {total:,} shown; add --limit {total} to see all"
        print(text, file=sys.stderr) if json else line(text)  # noqa: T201
