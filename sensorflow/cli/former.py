"""Accepts commands and options under their former names."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer

from sensorflow.errors import FormerName


def former_command(
    app: typer.Typer, group: str, former: str, name: str, command: Callable[..., None]
) -> None:
    """Also accept a command of a group under its former name, which the help does not show. The command
    then issues a `FormerName` warning."""

    @app.command(former, hidden=True)
    @wraps(command)
    def run(*given: Any, **options: Any) -> None:
        warn_former(f"{group} {former}", f"{group} {name}")
        command(*given, **options)


def warn_former(former: str, now: str) -> None:
    """Issue a `FormerName` warning. former, now: the former and the present words after `sensorflow`."""
    text = (
        f"`sensorflow {former}` is now called `sensorflow {now}`; change it before the next upgrade"
    )
    warnings.warn(FormerName(text), stacklevel=2)
