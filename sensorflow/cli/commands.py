"""All commands, in the order of the help."""

from __future__ import annotations

import typer

from sensorflow.cli import db, doctor, files, init, quarantine, status, up, version, watch, worker


def register(app: typer.Typer) -> None:
    app.command("init")(init.init)
    app.command("up")(up.up)
    app.command("status")(status.status)
    app.add_typer(files.app, name="files")
    app.add_typer(quarantine.app, name="quarantine")
    app.command("doctor")(doctor.doctor)
    app.command("watch")(watch.watch)
    app.command("worker")(worker.worker)
    app.add_typer(db.app, name="db")
    app.command("version")(version.version)
