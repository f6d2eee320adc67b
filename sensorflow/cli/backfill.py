"""sensorflow backfill"""

from __future__ import annotations

import glob
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sensorflow.cli.controls import paused
from sensorflow.cli.selection import complete_source
from sensorflow.cli.show import line
from sensorflow.cli.times import SINCE, instant
from sensorflow.core.nearest import nearest
from sensorflow.errors import UsageError
from sensorflow.flow.choose import require

if TYPE_CHECKING:
    from sensorflow.flow.backfill import Progress
    from sensorflow.settings import Settings


def backfill(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER|PATTERN", help="A folder, or a pattern such as '2024-*/*.csv'."
        ),
    ],
    source: Annotated[
        str,
        typer.Option(help="The source that these files belong to.", autocompletion=complete_source),
    ],
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Only files modified since TIME: {SINCE}")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only files modified before TIME, in the notation of --since."
        ),
    ] = None,
    ahead: Annotated[
        int,
        typer.Option(
            min=1, help="Wait while this many files of backfills and replays are unfinished."
        ),
    ] = 200,
    rate: Annotated[float | None, typer.Option(min=0.01, help="Maximum files per second.")] = None,
) -> None:
    """Load old files at lower priority than new ones. Resumable: run the same command again.

    The files are not moved or deleted. The name of each file is its path in the folder. Workers must be
    running, for example by `sensorflow up`.
    """
    from sensorflow import bootstrap, tracing
    from sensorflow.flow.backfill import Backfill, Window

    settings = bootstrap.settings()
    require("--source", source, "source", settings.sources)
    root, patterns = _below(paths)
    _require_outside_data(settings, root)
    window = Window(
        patterns,
        None if since is None else instant(since, "--since"),
        None if until is None else instant(until, "--until"),
    )
    ledger = bootstrap.ledger(settings, "backfill")
    feed = bootstrap.old_files(settings, source, root, ledger)
    landing = bootstrap.landing(settings, ledger)
    work = Backfill(settings, feed, window, landing, ledger, ahead, rate)
    total = sum(1 for _ in work.files())
    if not total:
        asked = " and matches these paths and times" if patterns or since or until else ""
        raise UsageError(
            f"no file in {root} matches the source {source}{asked}; check include and exclude of the source"
        )
    for text in paused(ledger, {source}):
        line(text)
    try:
        with tracing.running("backfill"):
            _run(work, total)
    except KeyboardInterrupt:
        line(f"stopped after {work.progress.seen:,} of {total:,} files. Nothing is lost:")
        line("registered files will be loaded; run the same command again for all other files")
        raise typer.Exit(130) from None
    _print_progress(work.progress)


def _below(paths: list[str]) -> tuple[Path, tuple[str, ...]]:
    """Returns the common folder of all paths, and the patterns of the files to select, relative to this
    folder. An empty tuple of patterns selects all files. Raises UsageError."""
    fixed = [_fixed(path) for path in paths]
    root = Path(os.path.commonpath([folder for folder, _ in fixed]))
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder")
    patterns = []
    for folder, rest in fixed:
        below = os.path.relpath(folder, root)
        patterns.append(os.path.normpath(os.path.join(glob.escape(below), rest or "*")))  # noqa: PTH118
    return root, () if patterns == ["*"] else tuple(patterns)


def _fixed(path: str) -> tuple[str, str]:
    """Splits a path into (folder, pattern relative to this folder). Raises UsageError if the folder or file
    does not exist."""
    absolute = os.path.abspath(path)  # noqa: PTH100
    if os.path.isdir(absolute):  # noqa: PTH112
        return absolute, ""
    if os.path.exists(absolute):  # noqa: PTH110
        folder, last = os.path.split(absolute)
        return folder, glob.escape(last)
    folder, rest = absolute, ""
    while glob.has_magic(folder) and not os.path.isdir(folder):  # noqa: PTH112
        folder, _, last = folder.rpartition("/")
        rest = f"{last}/{rest}" if rest else last
        folder = folder or "/"
    if not os.path.isdir(folder):  # noqa: PTH112
        raise UsageError(
            f"{folder}: no such {'folder' if rest else 'file or folder'}{_suggestion(folder)}"
        )
    return folder, rest


def _suggestion(missing: str) -> str:
    """Returns a suggestion for the message about a missing file or folder: an existing name that is
    similar. "" if there is none."""
    above, name = os.path.split(missing)
    if not os.path.isdir(above):  # noqa: PTH112
        return ""
    try:
        found = nearest(name, os.listdir(above))  # noqa: PTH208
    except OSError:
        return ""
    return f"; did you mean {os.path.join(above, found)}?" if found else ""  # noqa: PTH118


def _require_outside_data(settings: Settings, root: Path) -> None:
    folders = {f"sources.{n}": settings.path(s.path) for n, s in settings.folders.items()}
    folders["data"] = settings.data_folder
    for name, folder in folders.items():
        real = folder.resolve()
        if root.resolve().is_relative_to(real) or real.is_relative_to(root.resolve()):
            raise UsageError(
                f"{root} overlaps the folder of {name} ({folder}), which the daemon reads: "
                "give a folder outside of it"
            )


def _run(work: Any, total: int) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("backfill", total=total)

        def print_progress(p: Progress) -> None:
            what = f"{p.entry:,} in the pipeline"
            bar.update(task, completed=min(p.finished, total), description=what)

        work.run(print_progress)


def _print_progress(p: Progress) -> None:
    line(
        f"done: {p.registered:,} files registered and finished, {p.known:,} already known, "
        f"{p.aliases:,} identical to another file"
    )
    for name, reason in list(p.skipped.items())[:20]:
        line(f"skipped: {name}: {reason}")
    if p.skipped:
        line(f"{len(p.skipped):,} files were skipped; run the same command to try them again")
        raise typer.Exit(1)
