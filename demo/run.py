"""The demo (`make demo`): loads real and generated files with the whole stack, then proves that no reading
was lost.

The files are the weather files of the PyPI package vega_datasets and generated plant data. Among the
generated files are a corrupt file, a file that is only half written for a while, a file that is dropped
twice, and a file that is sent again with corrections. The exit status is 0 only if every reading is
accounted for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plant
import project
import vega_datasets
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sensorflow import bootstrap
from sensorflow.cli import status
from sensorflow.cli.show import empty_table, wide_console
from sensorflow.core.account import Totals
from sensorflow.core.states import State
from sensorflow.embedded import state
from sensorflow.ports.files import FileView

SENSORFLOW = [sys.executable, "-m", "sensorflow"]
WEATHER = Path(vega_datasets.__file__).parent / "_data"
REAL = [
    plant.GeneratedFile(source, name, (WEATHER / name).read_bytes(), readings)
    for source, name, readings in (
        ("weather", "seattle-weather.csv", 4 * 1461),
        ("temperatures", "seattle-temps.csv", 8759 - 2),  # two times do not exist or exist twice
    )
]
PATIENCE = 120.0
OPEN = (State.PENDING, State.RUNNING)

console = wide_console()


@dataclass(frozen=True)
class Size:
    """The size of the generated data. files: number of small files. rows: readings in each small file.
    large: readings in the large file."""

    files: int = 40
    rows: int = 2_000
    large: int = 200_000


def main(folder: Path = project.PROJECT, size: Size = Size()) -> int:
    project.make(folder)
    (folder / "sensorflow.toml").write_text(project.SETTINGS, "utf-8")
    os.chdir(folder)
    for source in project.SOURCES:
        for left in (folder / "drop" / source).iterdir():
            left.unlink()
    began = time.monotonic()
    stack = start(folder)
    try:
        ok, balance = run(folder, size)
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(60)
    console.print(f"{time.monotonic() - began:.1f} s in total; `make up` starts the stack again")
    sys.stdout.flush()
    print(balance)
    return 0 if ok else 1


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start `sensorflow up` on an empty database. Returns the process when the stack is ready."""
    console.print("[bold]starting[/] PostgreSQL, Valkey, daemon, workers, beat, Flower")
    log = (folder / "up.log").open("wb")
    stack = subprocess.Popen(
        [*SENSORFLOW, "up", "--reset", "--yes"], stdout=log, stderr=subprocess.STDOUT
    )
    settings = bootstrap.settings()
    wait(lambda: state.running(settings.data_folder) is not None, stack, folder)
    return stack


def wait(
    done: Callable[[], bool],
    stack: subprocess.Popen[bytes] | None,
    folder: Path,
    pause: float = 0.1,
) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if stack is not None and stack.poll() is not None:
            sys.exit("the stack has ended:\n" + (folder / "up.log").read_text())
        if time.monotonic() > deadline:
            sys.exit(f"not done after {PATIENCE:.0f} s; logs are in {folder / 'data/logs'}")
        time.sleep(pause)


def drop(generated: plant.GeneratedFile) -> None:
    """Drop a file as a careful sender does: write it under another name, then rename it."""
    target = Path("drop", generated.source, generated.name)
    part = target.with_name(target.name + ".part")
    part.write_bytes(generated.content)
    part.rename(target)


def run(folder: Path, size: Size) -> tuple[bool, str]:
    ledger = bootstrap.ledger(bootstrap.settings(), "demo")
    first = plant.csv("resent.csv", size.rows, 900)
    twice = plant.csv("twice.csv", size.rows, 901)
    late = plant.csv("half-written.csv", size.rows, 902)
    many = [plant.csv(f"plant-{n:03}.csv", size.rows, n) for n in range(size.files)]
    files = [
        *many,
        first,
        twice,
        plant.GeneratedFile("plant", "twice-again.csv", twice.content, 0),
        plant.corrupt(plant.csv("whole.csv", size.rows, 903)),
        plant.csv("large.csv", size.large, 904),
        plant.json_lines("kiln.jsonl.gz", size.large // 40, 905),
        plant.parquet("meter.parquet", size.large // 10, 906),
    ]
    last = plant.corrected(first)
    # number of readings that the database must contain at the end
    expected = sum(generated.readings for generated in [*REAL, *files]) + late.readings

    def counts() -> tuple[int, int]:
        totals = ledger.totals().values()
        return sum(t.files - sum(getattr(t, s) for s in OPEN) for t in totals), sum(
            t.rows_loaded for t in totals
        )

    with Progress(
        TextColumn("{task.description:<6}"),
        BarColumn(40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        bar_files = progress.add_task("files", total=len(files) + 3)
        bar_rows = progress.add_task("rows", total=expected)

        def reached(finished: int) -> bool:
            done, rows = counts()
            progress.update(bar_files, completed=done)
            progress.update(bar_rows, completed=rows)
            return done >= finished

        half = Path("drop", late.source, late.name).open("wb")  # noqa: SIM115 - held open on purpose
        half.write(late.content[: len(late.content) // 2])
        half.flush()
        for generated in [*REAL, *files]:
            drop(generated)
        # the second name of `twice` is an alias, no file of its own
        wait(lambda: reached(len(files) + 1), None, folder)
        early = [v for v in ledger.files(limit=1000) if v.name == late.name]
        half.write(late.content[len(late.content) // 2 :])
        half.close()
        drop(last)
        wait(lambda: reached(len(files) + 3), None, folder)
    return report(ledger, expected, early)


def report(ledger: Any, expected: int, early: list[FileView]) -> tuple[bool, str]:
    """Show the results for every file. Returns (whether all checks passed, the line with the balance).
    expected: number of readings that the database must contain. early: the ledger's files for the
    half-written file before it was complete; there must be none."""
    views = sorted(ledger.files(limit=1000), key=lambda v: (v.source, v.name, v.version))
    show_files(ledger, views)
    counts = query(
        "the warmest days of Seattle, from the database",
        """SELECT (ts AT TIME ZONE 'America/Los_Angeles')::date AS day, value AS temperature, unit
             FROM raw_readings WHERE reading_type = 'temperature_max'
            ORDER BY value DESC, ts LIMIT 3""",
    )
    (rows,) = query("", "SELECT count(*) FROM raw_readings", show=False)[0]
    show_quarantine(ledger)
    show_aliases(ledger, views)
    totals = ledger.totals()
    proof = subprocess.run(
        [*SENSORFLOW, "audit", "--checksum"], capture_output=True, text=True, check=False
    )
    verdict = (proof.stdout.splitlines() or [proof.stderr])[-1]
    checks = {
        f"the database contains the {expected:,} expected readings": rows == expected,
        "the half-written file was not registered before it was complete": not early,
        "the corrected file replaced every reading of the first version": counts is not None
        and any(v.counts.loaded == v.counts.replaced > 0 for v in views),
        "the corrupt file is in quarantine": any(v.state is State.QUARANTINED for v in views),
        "no file is pending or running": not any(v.state in OPEN for v in views),
        f"result of sensorflow audit --checksum: {verdict.removeprefix('audit: ')}": not proof.returncode,
    }
    console.print()
    for what, ok in checks.items():
        console.print(("[green]ok[/]    " if ok else "[red]WRONG[/] ") + what)
    sums = sum(totals.values(), Totals())
    refused = sums.rows_rejected
    console.print(f"      {refused} readings were rejected and stored with the reason: their times")
    console.print("      do not exist, or exist twice, because the clock of Seattle was changed")
    console.print()
    return sums.balanced and all(checks.values()), status.balance(totals)


def show_files(ledger: Any, views: list[FileView]) -> None:
    """Show a table with one row per file. The many similar plant files share one row."""
    lines: list[list[Any]] = []
    many = [v for v in views if v.name.startswith("plant-")]
    for view in [v for v in views if v not in many]:
        name = f"{view.name} v{view.version}" if view.version > 1 else view.name
        lines.append([view.source, name, str(view.state), *numbers([view]), *times(ledger, [view])])
    if many:
        name = f"{many[0].name} … {many[-1].name} ({len(many)} files)"
        states = "/".join(sorted({str(v.state) for v in many}))
        lines.append(["plant", name, states, *numbers(many), *times(ledger, many)])
    heads = ("source", "file", "state", "read", "loaded", "rejected", "dupl.", "replaced")
    console.print()
    console.print(empty_table("", (*heads, "validate ms", "transform ms", "load ms"), lines))


def numbers(views: list[FileView]) -> list[int]:
    counts = [v.counts for v in views]
    return [
        sum(getattr(c, name) for c in counts)
        for name in ("read", "loaded", "rejected", "duplicate", "replaced")
    ]


def times(ledger: Any, views: list[FileView]) -> list[int | None]:
    """Return, for each stage, the sum of its durations over the files in milliseconds; None if no file has
    passed the stage."""
    seconds: dict[str, float] = {}
    for view in views:
        for event in ledger.history(view.file_id):
            if event.seconds is not None:
                seconds[event.stage] = seconds.get(event.stage, 0.0) + event.seconds
    return [
        round(1000 * seconds[s]) if s in seconds else None
        for s in ("validate", "transform", "load")
    ]


def query(title: str, sql: str, show: bool = True) -> list[Any]:
    import psycopg

    with psycopg.connect(bootstrap.database_url(bootstrap.settings())) as connection:
        cursor = connection.execute(sql)
        rows = cursor.fetchall()
        if show:
            heads = [column.name for column in cursor.description or ()]
            console.print(f"\n[bold]{title}[/]")
            console.print(empty_table("", heads, rows))
    return rows


def show_quarantine(ledger: Any) -> None:
    store = bootstrap.quarantine(bootstrap.settings(), ledger)
    for view in ledger.files(State.QUARANTINED):
        found = store.manifest(view.quarantined_to)
        console.print(f"\n[bold]quarantined[/] {view.name}: manifest.json says")
        for name in ("code", "message", "what_to_do"):
            console.print(f"  {name:<10}  {found['error'][name]}", markup=False)
        console.print(f"  {'replay':<10}  {found['replay']}", markup=False)


def show_aliases(ledger: Any, views: list[FileView]) -> None:
    for view in views:
        for arrival in ledger.arrivals(view.file_id):
            if arrival.kind == "alias":
                text = f"{arrival.name} has the bytes of {view.name}: recorded, not loaded again"
                console.print(f"[bold]alias[/] {text}")


if __name__ == "__main__":
    sys.exit(main())
