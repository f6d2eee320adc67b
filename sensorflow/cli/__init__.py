"""The command line. Each command has a module of its own, and imports large dependencies only when it runs,
so that other commands start fast."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import warnings
from contextlib import suppress
from typing import Annotated, Any

import typer

from sensorflow import __version__, complete_stream
from sensorflow.errors import FormerName, SensorflowError, UsageError

app = typer.Typer(
    name="sensorflow",
    help="Load sensor files into a database, exactly once.",
    epilog="Exit codes: 0 success, 1 failure or findings, 2 usage error. See docs/reference/commands.md",
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Load sensor files into a database, exactly once."""


_SHOW_WARNING = warnings.showwarning
PATIENCE = 1.0
"""Seconds to wait for threads that still run at the end of a command."""


def main() -> None:
    """Run a command, and exit with its exit code. A user's mistake or an expected error is printed on
    stderr as one or two lines, without a traceback. If stdout does not accept all output, the exit code is
    not 0."""
    others = set(threading.enumerate())
    warnings.showwarning = _show_warning
    complete_stream.install()
    try:
        _run()
    except SystemExit as end:
        given = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        code = given if _flushed() else given or 1
        left = [thread for thread in threading.enumerate() if thread not in others]
        _leave(code, left)
        if code != given:
            sys.exit(code)
        raise


def _flushed() -> bool:
    """Write the output that is still in a buffer. Returns False, and reports the error, if stdout does not
    accept it."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _report_incomplete(error)
        return False
    return True


def _report_incomplete(error: OSError) -> None:
    """Print why stdout did not accept all output; nothing if its reader has closed it, as `head` does."""
    complete_stream.discard()
    if not isinstance(error, BrokenPipeError) and error.errno != errno.EPIPE:
        print(f"sensorflow: {error}", file=sys.stderr)  # noqa: T201


def _show_warning(
    message: Warning | str, category: type[Warning], *place: Any, **more: Any
) -> None:
    """Print a `FormerName` warning as one line on stderr, and any other warning as Python does."""
    if issubclass(category, FormerName):
        print(f"sensorflow: warning: {message}", file=sys.stderr)  # noqa: T201
    else:
        _SHOW_WARNING(message, category, *place, **more)


def _leave(code: int, left: list[threading.Thread]) -> None:
    """End the process if a thread is still running after `PATIENCE` seconds, because Python would wait for
    it forever. sensorflow ends its own threads, but decoders of other packages may not do so.

    code: the exit code. left: threads that the command has started and that are still running.
    """
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
    except UsageError as error:
        print(f"sensorflow: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except (BrokenPipeError, complete_stream.IncompleteOutput) as error:
        _report_incomplete(error)
        sys.exit(1)
    except UnicodeEncodeError as error:
        print(f"sensorflow: the argument {error.object!a} is not valid UTF-8", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except OSError as error:
        from sensorflow.disk import explained

        if (message := explained(error)) is None:
            raise
        print(f"sensorflow: {message}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except SensorflowError as error:
        print(f"sensorflow: {error}", file=sys.stderr)  # noqa: T201
        if error.code.startswith("I"):
            print("run `sensorflow doctor` to find the cause", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        sys.exit(_misread(error))


def _misread(error: Any) -> int:
    """Print an error in the arguments as one line, or the help if there were no arguments. Returns the exit
    code, 2."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "sensorflow"
    message = " ".join(error.format_message().split()).rstrip(".")
    print(f"sensorflow: {message}; see `{path} --help`", file=sys.stderr)  # noqa: T201
    return 2
