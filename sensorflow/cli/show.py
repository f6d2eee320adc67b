"""Prints the output of commands: readable tables, or JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from sensorflow.escaping import escape, to_json

WIDE = 400
MIN_WIDTH = 10
"""Minimum width of a text column on a narrow terminal, in characters."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def as_json(value: Any) -> None:
    """Print a value as JSON. Control characters are escaped in a way that a JSON parser reverses."""
    sys.stdout.write(to_json(value, indent=2, default=plain) + "\n")


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)


def line(text: str = "") -> None:
    """Print text to stdout. Control characters, for example from file names, are escaped."""
    sys.stdout.write(escape(text, keep="\n") + "\n")


def readings(count: int) -> str:
    """Returns a text such as "1 reading" or "2,000 readings"."""
    return f"{count:,} reading" if count == 1 else f"{count:,} readings"


def table(
    title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], optional: Sequence[str] = ()
) -> None:
    """Print a table. heads: titles of the columns. optional: titles of columns that are omitted if they are
    empty and the terminal is too narrow."""
    console, given = wide_console(), [list(row) for row in rows]
    rich_table = empty_table(title, heads, given)
    if optional and console.measure(rich_table).minimum > console.width - len(heads):
        empty = [i for i, h in enumerate(heads) if h in optional and not any(r[i] for r in given)]
        shown_columns = [i for i in range(len(heads)) if i not in empty]
        rich_table = empty_table(
            title, [heads[i] for i in shown_columns], [[r[i] for i in shown_columns] for r in given]
        )
    console.print(rich_table)


def wide_console() -> Any:
    """Returns a console with the width of the terminal; `WIDE` characters if stdout is not a terminal."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def empty_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """Returns a table of rich. Numbers are right-aligned and never wrapped. Text is wrapped if the terminal
    is narrow."""
    from rich.table import Table
    from rich.text import Text

    rich_table = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    given = [list(row) for row in rows]
    for index, head in enumerate(heads):
        numeric = any(isinstance(row[index], int | float) for row in given)
        longest = max((len(_cell(row[index])) for row in given), default=0)
        rich_table.add_column(
            head,
            justify="right" if numeric else "left",
            overflow="fold",
            min_width=longest if numeric else min(longest, MIN_WIDTH),
        )
    for row in given:
        rich_table.add_row(*(Text(_cell(value)) for value in row))
    return rich_table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return escape(str(value))


def facts(pairs: Mapping[str, Any]) -> None:
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        line(f"{name:<{width}}  {_cell(value)}")
