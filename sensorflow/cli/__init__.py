"""The command line, one file a command. Heavy parts are imported by the commands that need them."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from sensorflow import __version__
from sensorflow.errors import Misuse, SensorflowError

app = typer.Typer(
    name="sensorflow",
    help="Dropped sensor files become database rows, exactly once.",
    epilog="Exit codes: 0 done, 1 failed or findings, 2 called wrongly. More: docs/reference/commands.md",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sensorflow {__version__}")
        raise typer.Exit


@app.callback()
def sensorflow(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Dropped sensor files become database rows, exactly once."""


PATIENCE = 1.0
"""Seconds for threads that are left at the end of a command."""


def main() -> None:
    """Run a command. A person's mistake is a line or two on stderr, never a traceback."""
    others = set(threading.enumerate())
    try:
        _run()
    except SystemExit as end:
        left = [thread for thread in threading.enumerate() if thread not in others]
        _leave(end.code if isinstance(end.code, int) else 0 if end.code is None else 1, left)
        raise


def _leave(code: int, left: list[threading.Thread]) -> None:
    """Ends the process where Python would wait for a thread for ever. No command leaves one; a decoder of
    another package may, as may a library."""
    until = time.monotonic() + PATIENCE
    for thread in left:
        if not thread.daemon:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                with suppress(OSError, ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(code)


def _run() -> None:
    from sensorflow.cli import commands

    commands.register(app)
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Abort:
        sys.exit(1)
    except Misuse as error:
        print(f"sensorflow: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except UnicodeEncodeError as error:
        print(f"sensorflow: {error.object!a} is not UTF-8: give text that is", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except OSError as error:
        from sensorflow.disk import explained

        if (told := explained(error)) is None:
            raise
        print(f"sensorflow: {told}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except SensorflowError as error:
        print(f"sensorflow: {error}", file=sys.stderr)  # noqa: T201
        if error.code.startswith("I"):
            print("run `sensorflow doctor` to see what is wrong", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        sys.exit(_misread(error))


def _misread(error: Any) -> int:
    """A command line that cannot be read, as one line; a command without anything after it, as its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "sensorflow"
    message = " ".join(error.format_message().split()).rstrip(".")
    print(f"sensorflow: {message}; see `{path} --help`", file=sys.stderr)  # noqa: T201
    return 2
