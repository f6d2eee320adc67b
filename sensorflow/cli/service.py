"""sensorflow service: installs, removes and shows the systemd units of a project."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sensorflow.cli.show import Json, as_json, line, table
from sensorflow.environment import folder as here
from sensorflow.errors import UsageError
from sensorflow.shell import command, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from sensorflow.service.manager import Systemd
    from sensorflow.service.units import Plan

app = typer.Typer(
    help="Run the stack as systemd units, which start at boot and restart after a failure.",
    short_help="Run the stack as systemd units, which start at boot and restart after a failure.",
    no_args_is_help=True,
)

User = Annotated[
    bool, typer.Option("--user", help="Use units of your systemd user manager. Needs no root.")
]


@app.command(short_help="Write systemd units for this project.")
def install(
    user: User = False,
    parts: Annotated[
        str,
        typer.Option(
            "--parts",
            help="Comma-separated parts to run as units: daemon,worker,beat,flower. "
            "Needs database_url and broker_url. Default: one unit for `sensorflow up`.",
        ),
    ] = "",
    run_as: Annotated[
        str | None,
        typer.Option(
            "--run-as",
            help="User that runs the units. Default: owner of sensorflow.toml. Not with --user.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Unit name. Default: sensorflow-FOLDER.")
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="KEY=FILE",
            help="File with the value of a setting: database_url=/etc/sensorflow/db. Repeatable.",
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--print", help="Only print the units, and write nothing.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Also enable and start the units. Ignored with --print.")
    ] = False,
) -> None:
    """Write systemd units for this project: one for `sensorflow up`, or one per part with --parts."""
    from sensorflow.service import plan as plans
    from sensorflow.service.manager import Systemd, login
    from sensorflow.service.units import units

    _require_no_root(user, run_as, show)
    secrets = plans.secrets_of(secret or ())
    path, settings = plans.project(secrets)
    user_name = login() if user else plans.owner(path, run_as)
    given = plans.plan(
        path,
        settings,
        user=None if user else user_name,
        parts=plans.parts_of(parts),
        name=name,
        secrets=secrets,
    )
    texts = units(given)
    if show:
        for file, text in texts.items():
            sys.stdout.write(f"# {Systemd(user).folder / file}\n{text}\n")
        return
    manager = Systemd(user)
    manager.require()
    plans.require_usable(path, settings, user_name)
    manager.require_free(list(texts), path)
    _remove_others(manager, path, texts)
    manager.write(texts)
    for file in texts:
        line(f"wrote {manager.folder / file}")
    if now:
        manager.run_or_raise("enable", given.unit)
        manager.run_or_raise("restart", given.unit)
    _explain(given, manager, user_name, now)
    _warn(settings.data_folder, now)


def _require_no_root(user: bool, run_as: str | None, show: bool) -> None:
    if user and run_as is not None:
        raise UsageError(
            "--run-as cannot be combined with --user, because units of --user run as you"
        )
    if user and os.geteuid() == 0:
        raise UsageError(
            "root with --user would run the service as root: run this command as an ordinary user"
        )
    if not user and not show and os.geteuid() != 0:
        again = command(sys.argv[0], *sys.argv[1:])
        raise UsageError(
            f"only root can write system units: run `sudo {again}`, or add --user to write units of "
            "your own, or --print to show the system units without writing them"
        )


def _remove_others(manager: Systemd, path: Path, texts: dict[str, str]) -> None:
    """Disable and remove units of the project that an earlier `service install` has written and that are
    not in `texts`."""
    old = [unit for unit in manager.ours(path) if unit.name not in texts]
    if old:
        manager.run_or_raise("disable", "--now", *(unit.name for unit in old))
    for unit in old:
        unit.unlink()
        line(f"removed {unit}")


def _explain(plan: Plan, manager: Systemd, user_name: str, now: bool) -> None:
    from sensorflow.service.manager import is_lingering, journal
    from sensorflow.service.units import units

    sudo = "" if manager.user else "sudo "
    control = " ".join(manager.command)
    what = ", ".join(plan.parts) if plan.parts else "the whole stack, as `sensorflow up` runs it"
    line(
        f"\nThe service runs {what}, as user {user_name}. It starts at boot and restarts after 5 s."
    )
    line("The settings come from sensorflow.toml, not from environment variables of this shell.")
    if "beat" in plan.parts:
        line("Run beat on one host only. A second daemon is a standby.")
    line()
    if not now:
        line(f"  {sudo}{control} enable --now {plan.unit}")
        line("      starts the service now and at each boot")
    if manager.user and not is_lingering(user_name):
        line(f"  loginctl enable-linger {user_name}")
        line("      without this, your services run only while you are logged in")
    line(f"  {control} status {plan.unit}")
    line(f"  sensorflow service status{' --user' if manager.user else ''}")
    log = " ".join(journal(manager, list(units(plan))))
    line(f"  {log} --follow      or: sensorflow logs --follow")
    line(f"  {sudo}{control} restart {plan.unit}      after an upgrade")
    ours = quoted(sys.argv[0] if sudo else "sensorflow")
    line(f"  {sudo}{ours} service uninstall{' --user' if manager.user else ''}")


def _warn(data: Path, now: bool) -> None:
    from sensorflow.embedded import state
    from sensorflow.environment import PREFIX, RESERVED

    stack = None if now else state.running(data)
    if stack is not None and os.environ.get("INVOCATION_ID") is None:
        line(
            f"\nThe stack is already running (pid {stack.pid}): stop it before you start the service."
        )
    names = sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and not RESERVED.fullmatch(name.removeprefix(PREFIX))
    )
    if names:
        line(
            f"\nThe service ignores these variables: {', '.join(names)}. Set them in sensorflow.toml."
        )


@app.command()
def uninstall(user: User = False) -> None:
    """Stop, disable and remove the units of this project. Keeps the data."""
    manager, path, names = _installed(user)
    if not user and os.geteuid() != 0:
        raise UsageError("only root can remove system units: run this command with sudo")
    manager.require()
    manager.run_or_raise("disable", "--now", *names)
    for name in names:
        (manager.folder / name).unlink()
        line(f"removed {manager.folder / name}")
    manager.run_or_raise("daemon-reload")
    line(f"the data in {path.parent} was kept")


@app.command()
def status(user: User = False, json: Json = False) -> None:
    """Show the state of the units of this project. Exit code 1 if a unit is not running."""
    manager, _, names = _installed(user)
    manager.require()
    found = manager.facts(names)
    if json:
        as_json(found)
    else:
        rows = [
            (
                fact["Id"],
                f"{fact['ActiveState']} ({fact['SubState']})",
                fact["UnitFileState"],
                "" if fact.get("MainPID", "0") == "0" else fact["MainPID"],
                fact.get("NRestarts", ""),
                fact["ActiveEnterTimestamp"],
            )
            for fact in found
        ]
        table("", ("unit", "state", "at boot", "pid", "restarts", "since"), rows)
    if any(fact["ActiveState"] != "active" for fact in found):
        raise typer.Exit(1)


def _installed(user: bool) -> tuple[Systemd, Path, list[str]]:
    """Returns the systemd manager, the path of sensorflow.toml, and the names of the units of the project.
    Raises UsageError if there are no units."""
    from sensorflow.service.manager import Systemd
    from sensorflow.settings import required_file

    path = required_file(here())
    manager = Systemd(user)
    if names := [unit.name for unit in manager.ours(path.absolute())]:
        return manager, path.absolute(), names
    other = Systemd(not user).ours(path.absolute())
    hint = (
        f"; there are {'system units: omit --user' if user else 'units of your user: add --user'}"
    )
    todo = hint if other else ": `sensorflow service install` writes them"
    raise UsageError(f"no units of {path.absolute()} in {manager.folder}{todo}")
