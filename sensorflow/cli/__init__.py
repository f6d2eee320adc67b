"""The command line, one file a command. Heavy parts are imported by the commands that need them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sensorflow import __version__
from sensorflow.errors import Misuse, SensorflowError

app = typer.Typer(
    name="sensorflow",
    help="Dropped sensor files become database rows, exactly once.",
    no_args_is_help=True,
    add_completion=False,
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


def main() -> None:
    """Run a command. A person's mistake is a line or two on stderr, never a traceback."""
    from sensorflow.cli import commands

    commands.register(app)
    try:
        app()
    except Misuse as error:
        print(f"sensorflow: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
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
