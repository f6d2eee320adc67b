"""python -m same: see `make same`."""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from same import corpus, proof
from same.compare import Difference, declared, differences
from same.normal import normal
from same.project import REAL, lay
from same.side import RunRecord, TreeUnderTest
from same.steps import Step
from servers import place_for_servers

from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.valkey import Valkey

ROOT = Path(__file__).resolve().parents[2]
SHOWN = 50
NAMES = ("before", "after_")
"""Of the sides' folders: of one length, so that texts are cut at the same place."""


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers and sides end with us
    options = _options()
    if not REAL.is_dir():
        print(f"no folder {REAL}; set SENSORFLOW_REAL_DATA")
        return 2
    with tempfile.TemporaryDirectory(prefix="same-") as folder:
        trees = [Path(folder) / name / "tree" for name in NAMES]
        of_working_tree(trees[1])
        if options.proof:
            of_working_tree(trees[0])
            proof.plant(trees[1])
            sides, records = both(Path(folder), trees, corpus.few())
            return 1 if proof.proven(found(sides, records)) else 0
        of_revision(options.base, trees[0])
        _compare_dependencies(*trees)
        sides, records = both(Path(folder), trees, corpus.steps())
        if options.keep:
            _keep(options.keep, sides, records)
        return report(sides, records, options.expect)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m same", description=__doc__)
    parser.add_argument("base", nargs="?", help="the commit that the working tree is compared with")
    parser.add_argument("--expect", default="", help="a regular expression of declared differences")
    parser.add_argument("--keep", type=Path, help="where both states are kept, as pickles")
    parser.add_argument("--proof", action="store_true", help="find planted bugs instead")
    options = parser.parse_args()
    if not (options.base or options.proof):
        parser.error("give a commit: make same BASE=main~3")
    return options


def of_revision(revision: str, tree: Path) -> None:
    tree.mkdir(parents=True)
    packed = subprocess.run(
        ["git", "-C", str(ROOT), "archive", revision], stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-x", "-C", str(tree)], input=packed.stdout, check=True)


def of_working_tree(tree: Path) -> None:
    """All that git has or would have, as it is now."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"],
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)


def _compare_dependencies(before: Path, after: Path) -> None:
    """Both run with what is installed here."""
    for name in ("requirements/dev.txt", "requirements/embedded.txt"):
        old, new = before / name, after / name
        if old.exists() != new.exists() or (old.exists() and old.read_text() != new.read_text()):
            print(f"same: {name} differs: both sides run with the packages of {sys.prefix}")


def both(
    folder: Path, trees: list[Path], steps: list[Step]
) -> tuple[list[TreeUnderTest], list[RunRecord]]:
    """Both trees through the corpus, at the same time."""
    with servers() as running_servers:
        sides = [
            _side(folder / name, tree, url, broker, steps)
            for name, tree, (url, broker) in zip(NAMES, trees, running_servers, strict=True)
        ]
        return sides, _records(folder, sides)


def _keep(folder: Path, sides: list[TreeUnderTest], records: list[RunRecord]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, side, seen in zip(NAMES, sides, records, strict=True):
        version_ = version(side.tree)
        (folder / f"{name}.pickle").write_bytes(pickle.dumps((side, seen, version_)))


def report(sides: list[TreeUnderTest], records: list[RunRecord], expect: str) -> int:
    left, expected = declared(found(sides, records), expect)
    for difference in left[:SHOWN]:
        print(difference)
    if len(left) > SHOWN:
        print(f"... and {len(left) - SHOWN} more")
    first, *_ = records[0].states.values()
    last = {
        **list(records[0].states.values())[-1],
        "reading": first["reading"],
        "lake": first["lake"],
    }
    counts = {
        "files": len({place.partition("]")[0] for place in last["table files"]}),
        "readings": sum(map(len, last["reading"].values())) - len(last["reading"]["columns"]),
        "ledger_rows": sum(
            len({place.partition("]")[0] for place in places})
            for area, places in last.items()
            if area.startswith("table ")
        ),
        "events": len({place.partition("]")[0] for place in last["table file_events"]}),
        "silver": sum(p.startswith("silver") and p.endswith("rows") for p in last["lake"]),
        "messages": sum(map(len, records[0].messages.values())),
        "json": sum(len(command.get("json", ())) for command in records[0].commands.values()),
    }
    shown = " ".join(f"{name}={count}" for name, count in counts.items())
    ending = f" declared={expected} ({expect})" if expect else ""
    seconds = max(seen.seconds for seen in records)
    print(f"same: {shown} differences={len(left)}{ending} in {seconds:.0f} s")
    return 1 if left else 0


def found(sides: list[TreeUnderTest], records: list[RunRecord]) -> list[Difference]:
    states = [normal(s, t, version(s.tree)) for s, t in zip(sides, records, strict=True)]
    return list(differences(*states))


def version(tree: Path) -> str:
    return (
        (tree / "sensorflow" / "__init__.py").read_text().split('__version__ = "')[1].split('"')[0]
    )


@contextmanager
def servers() -> Iterator[list[tuple[str, str]]]:
    """(database, broker) of each side."""
    with place_for_servers() as place, ExitStack() as stack:
        postgres = Postgres(place.root, place.logs)
        stack.callback(_end, postgres, signal.SIGQUIT)
        postgres.start()
        started = []
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            for name in ("fsync", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
            for name in NAMES:
                connection.execute(f"CREATE DATABASE same_{name}")
                valkey = Valkey(_make_folder(place.root / name), place.logs)
                stack.callback(_end, valkey, signal.SIGKILL)
                valkey.start()
                started.append((f"{postgres.url.rsplit('/', 1)[0]}/same_{name}", valkey.url))
        yield started


def _make_folder(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def _end(server: Any, by: signal.Signals) -> None:
    """Nothing of it is kept."""
    server.process.stop = by
    server.process.terminate(30)


def _side(folder: Path, tree: Path, url: str, broker: str, steps: list[Step]) -> TreeUnderTest:
    project = folder / "project"
    project.mkdir(parents=True)
    lay(project, tree)
    return TreeUnderTest(tree, project, url, broker, steps)


def _records(folder: Path, sides: list[TreeUnderTest]) -> list[RunRecord]:
    running = []
    for name, side in zip(NAMES, sides, strict=True):
        given, out = folder / f"{name}.given", folder / f"{name}.taken"
        given.write_bytes(pickle.dumps(side))
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPATH"] = os.pathsep.join((str(side.tree), str(ROOT / "tests")))
        command = [sys.executable, "-m", "same.side", str(given), str(out)]
        process = subprocess.Popen(command, env=env, cwd=folder)
        running.append((process, out))
    try:
        while any(process.poll() is None for process, _ in running):
            if any(process.poll() for process, _ in running):
                break
            time.sleep(0.1)
        if any(process.poll() for process, _ in running):
            raise SystemExit("same: a side did not come to its end; see above")
    finally:
        for process, _ in running:
            process.terminate()
            process.wait()
    return [pickle.loads(out.read_bytes()) for _, out in running]


if __name__ == "__main__":
    sys.exit(main())
