"""Registers all commands, in the order in which the help lists them."""

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
    export,
    files,
    init,
    logs,
    metrics,
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
    storage,
    version,
    watch,
    worker,
)
from sensorflow.cli.up import up


@cache  # an app gets each command only once
def register(app: typer.Typer) -> None:
    app.command("init", short_help="Create a project: sensorflow.toml and its folders.")(init.init)
    app.command("sniff", short_help="Propose a profile for a file.")(sniff.sniff)
    app.command("check", short_help="Dry run: show what would be loaded and rejected.")(check.check)
    app.command("bench", short_help="Measure how long each stage takes for a file.")(bench.bench)
    app.add_typer(profiles.app, name="profiles")
    app.add_typer(sources.app, name="sources")
    app.command("up", short_help="Run the whole stack; Ctrl-C stops it.")(up)
    app.command("status", short_help="Show files by state, lag, and the row balance.")(
        status.status
    )
    app.command("logs", short_help="Show the logs of all processes, in order of time.")(logs.logs)
    app.command("audit", short_help="Verify that every reading is accounted for.")(audit.audit)
    app.add_typer(files.app, name="files")
    app.add_typer(rejects.app, name="rejects")
    app.add_typer(quarantine.app, name="quarantine")
    app.command("export", short_help="Export readings or aggregates to a file.")(export.export)
    app.command("replay", short_help="Process files again from their landed bytes.")(replay.replay)
    app.command("undo", short_help="Remove the rows of files; replay restores them.")(replay.undo)
    app.command("backfill", short_help="Load old files at low priority.")(backfill.backfill)
    app.command("retention", short_help="Show retention; remove expired data.")(retention.retention)
    app.command("backup", short_help="Back up database, files and settings online.")(backup.backup)
    app.command("restore", short_help="Restore a backup into an empty project.")(restore.restore)
    app.add_typer(storage.app, name="storage")
    app.command("doctor", short_help="Check the installation; suggest fixes.")(doctor.doctor)
    app.command("metrics", short_help="Serve metrics for Prometheus, and health checks.")(
        metrics.metrics
    )
    app.command("watch", short_help="Run only the ingest daemon.")(watch.watch)
    app.command("worker", short_help="Run one worker with autoscaled processes.")(worker.worker)
    app.add_typer(service.app, name="service")
    app.add_typer(db.app, name="db")
    app.command("version")(version.version)
