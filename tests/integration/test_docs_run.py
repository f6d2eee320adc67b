"""What the docs show of sessions and queries is so: sessions are run and compared, queries are run.

A page has a folder of its own. Files that it shows (a block with a title) are in it; a page of an operator
finds a project with three files: loaded, quarantined, undone.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import warm
from manual import blocks
from manual.blocks import Block

from sensorflow import bootstrap
from sensorflow.adapters.feeds.folder.feed import file_of
from sensorflow.adapters.postgres.gold import Gold
from sensorflow.adapters.postgres.ledger import PostgresLedger
from sensorflow.core.stability import Stat
from sensorflow.core.states import Stage
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.process import process
from sensorflow.flow.register import Found, register
from sensorflow.ports.queue import Task

PAGES = blocks.pages()
SESSIONS = [page for page in PAGES if any(b.kind == "console" for b in blocks.blocks(page))]
QUERIES = [block for page in PAGES for block in blocks.blocks(page) if block.kind == "sql"]
SETTINGS = """\
database_url = "{database}"
broker_url = "redis://127.0.0.1:1/0"
[sources.readings]
path = "drop/readings"
profile = "long"
"""
HEAD = "time,sensor,type,value,unit\n"
ROW = "2026-01-31T12:0{}:00Z,tank-{},temperature,{},degC\n"
FILES = {
    "first.csv": HEAD + ROW.format(0, 7, "21.5") + ROW.format(1, 7, "21.6"),
    "bad.csv": HEAD + ROW.format(0, 8, "x") + ROW.format(1, 8, "y") + ROW.format(2, 8, "21.7"),
    "gone.csv": HEAD + ROW.format(0, 9, "3.5"),
}
VARYING = (
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d UTC|2026-1\d-\d\d \d\d:\d\d:\d\d", "WHEN"),
    (r"\d+ (s|min|h|days) ago", "AGO"),
    (r"[ \t]+", " "),
)


def operated(folder: Path, database: str) -> None:
    (folder / "drop" / "readings").mkdir(parents=True)
    (folder / "sensorflow.toml").write_text(SETTINGS.format(database=database))
    settings, ledger = bootstrap.settings(folder), PostgresLedger(database, "docs")
    services = bootstrap.services(settings, "docs", ledger)
    try:
        for number, (name, text) in enumerate(FILES.items()):
            now, size = datetime.now(UTC), len(text)
            landed = services.landing.put(io.BytesIO(text.encode()))
            file = file_of("readings", name.encode(), Stat(1, number, size, 0, number))
            file_id = register(ledger, settings, Found(file, landed, now, now)).file_id
            if (
                process(services, Task([file_id]), lambda _: nullcontext())[0].outcome
                is not Outcome.LOADED
            ):
                process(services, Task([file_id], Stage.QUARANTINE), lambda _: nullcontext())
    finally:
        ledger.close()
    ran("sensorflow undo gone.csv --reason test", folder)
    refresher = Gold(database, "docs")
    while refresher.is_pending():
        refresher.refresh_once(1000)
    refresher.close()


def ran(command: str, folder: Path) -> str:
    """What a person would see."""
    program, *words = shlex.split(command)
    assert program == "sensorflow"
    own = {name: value for name, value in os.environ.items() if not name.startswith("SENSORFLOW_")}
    env = {**own, "COLUMNS": "200", "PATH": f"{Path(sys.executable).parent}:{own['PATH']}"}
    done = warm.run(["sensorflow", *words], env, folder)
    return (done.stdout + done.stderr).decode()


def steps(block: Block) -> Iterator[tuple[str, str]]:
    """Each command with what it prints."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def plain(text: str) -> str:
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def fits(shown: str, printed: str) -> bool:
    """`…` stands for anything."""
    pattern = ".*".join(re.escape(part.strip(" ")) for part in plain(shown).split("…"))
    return re.fullmatch(pattern.replace(r"\n.*", r"\n?.*"), plain(printed), re.DOTALL) is not None


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.name)
def test_a_session_prints_what_its_page_shows(page: Path, emptied: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = blocks.blocks(page)
    for block in found:
        if block.title:
            (tmp_path / block.title).write_text(block.text, "utf-8")
    if not any(block.title for block in found):
        operated(tmp_path, emptied)
    for block in found:
        for command, shown in steps(block) if block.kind == "console" else ():
            printed = ran(command, tmp_path)
            assert fits(shown, printed), f"{block}: {command}\n{printed}"


@pytest.mark.parametrize("block", QUERIES, ids=str)
def test_a_query_of_the_docs_runs(block: Block, emptied: str) -> None:
    with psycopg.connect(emptied) as connection:
        row = connection.execute("SELECT current_database()").fetchone()
        text = block.text.replace("$__timeFrom()", "'2026-01-01'").replace(
            "$__timeTo()", "'2026-02-01'"
        )
        text = text.replace("ON DATABASE readings", f"ON DATABASE {row[0]}" if row else "")
        if text.startswith("COPY"):
            with connection.cursor().copy(text) as copied:  # type: ignore[arg-type]
                assert all(copied)
        else:
            connection.execute(text)  # type: ignore[arg-type]
        connection.rollback()
