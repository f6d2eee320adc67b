"""All commands, in the order of the help."""

from __future__ import annotations

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
    profiles,
    quarantine,
    rejects,
    replay,
    restore,
    retention,
    sniff,
    status,
    up,
    version,
    watch,
    worker,
)


def register(app: typer.Typer) -> None:
    app.command("init", short_help="Write a commented sensorflow.toml and folders.")(init.init)
    app.command("sniff", short_help="Propose a profile for a file.")(sniff.sniff)
    app.command("check", short_help="Read files dry: what would be loaded, what not.")(check.check)
    app.command("bench", short_help="Where the time of a file goes, here.")(bench.bench)
    app.add_typer(profiles.app, name="profiles")
    app.command("up", short_help="Run the whole stack here; Ctrl-C stops it.")(up.up)
    app.command("status", short_help="Where files stand; whether rows add up.")(status.status)
    app.command("audit", short_help="Prove that every reading is accounted for.")(audit.audit)
    app.add_typer(files.app, name="files")
    app.add_typer(rejects.app, name="rejects")
    app.add_typer(quarantine.app, name="quarantine")
    app.command("replay", short_help="Take files through again, from their bytes.")(replay.replay)
    app.command("undo", short_help="Take files' rows out again; replay reverses it.")(replay.undo)
    app.command("backfill", short_help="Load old files, behind the new ones.")(backfill.backfill)
    app.command("retention", short_help="How long what is kept.")(retention.retention)
    app.command("backup", short_help="Copy everything, while it runs.")(backup.backup)
    app.command("restore", short_help="Bring a backup back, where nothing is.")(restore.restore)
    app.command("doctor", short_help="Check everything; say what to do.")(doctor.doctor)
    app.command("watch", short_help="The ingest daemon, alone.")(watch.watch)
    app.command("worker", short_help="A worker, alone, autoscaled.")(worker.worker)
    app.add_typer(db.app, name="db")
    app.command("version")(version.version)
