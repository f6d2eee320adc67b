"""All commands, in the order of the help."""

from __future__ import annotations

from functools import cache

import typer

from sensorflow.cli import (
    audit,
    backfill,
    backup,
    bench,
    check,
    db,
    doctor,
    files,
    init,
    logs,
    profiles,
    quarantine,
    rejects,
    replay,
    restore,
    retention,
    service,
    sniff,
    sources,
    status,
    version,
    watch,
    worker,
)
from sensorflow.cli.up import up


@cache  # once an app
def register(app: typer.Typer) -> None:
    app.command("init", short_help="Write a commented sensorflow.toml and folders.")(init.init)
    app.command("sniff", short_help="Propose a profile for a file.")(sniff.sniff)
    app.command("check", short_help="Read files dry: what would be loaded, what not.")(check.check)
    app.command("bench", short_help="Measure where a file's time goes on this machine.")(
        bench.bench
    )
    app.add_typer(profiles.app, name="profiles")
    app.add_typer(sources.app, name="sources")
    app.command("up", short_help="Run the whole stack here; Ctrl-C stops it.")(up)
    app.command("status", short_help="Where files stand; how far behind; do rows add up?")(
        status.status
    )
    app.command("logs", short_help="Show what all processes log, in order of time.")(logs.logs)
    app.command("audit", short_help="Prove that every reading is accounted for.")(audit.audit)
    app.add_typer(files.app, name="files")
    app.add_typer(rejects.app, name="rejects")
    app.add_typer(quarantine.app, name="quarantine")
    app.command("replay", short_help="Take files through again, from their bytes.")(replay.replay)
    app.command("undo", short_help="Take files' rows out again; replay reverses it.")(replay.undo)
    app.command("backfill", short_help="Load old files, behind the new ones.")(backfill.backfill)
    app.command("retention", short_help="How long data is kept; remove what is due.")(
        retention.retention
    )
    app.command("backup", short_help="Copy database, files and settings, while it runs.")(
        backup.backup
    )
    app.command("restore", short_help="Bring a backup back, where nothing is.")(restore.restore)
    app.command("doctor", short_help="Check everything; say what to do.")(doctor.doctor)
    app.command("watch", short_help="Run the ingest daemon alone.")(watch.watch)
    app.command("worker", short_help="Run one worker, autoscaled.")(worker.worker)
    app.add_typer(service.app, name="service")
    app.add_typer(db.app, name="db")
    app.command("version")(version.version)
