"""Real files of real loggers, by TOML alone, through the pipeline into PostgreSQL.

Each file of the folder has its expected account beside it (computed apart from any pipeline); each must
give exactly that: in the ledger, in silver and in the database. Prints a line per file.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from sensorflow.core.profile import Profile

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("SENSORFLOW_REAL_DATA", ROOT.parent / "shared" / "real-data"))
PROFILES = Path(__file__).parent / "profiles"

_ACCOUNT = """
SELECT count(*), count(DISTINCT (sensor_id, ts, reading_type)), count(DISTINCT sensor_id),
       to_char(min(ts), 'YYYY-MM-DD"T"HH24:MI:SS.US'), to_char(max(ts), 'YYYY-MM-DD"T"HH24:MI:SS.US'),
       coalesce(sum(value), 0)
FROM raw_readings WHERE file_id = %s
"""
_TYPES = "SELECT reading_type, count(*) FROM raw_readings WHERE file_id = %s GROUP BY 1"
_UNITS = """
SELECT DISTINCT ON (reading_type) reading_type, unit
FROM raw_readings WHERE file_id = %s ORDER BY reading_type, line_no
"""
_ORDER = """
SELECT count(*) FROM (
    SELECT ts < lag(ts) OVER (PARTITION BY sensor_id, reading_type ORDER BY line_no, ts) AS back
    FROM raw_readings WHERE file_id = %s) AS readings WHERE back
"""
_PRESENT = """
SELECT count(*) FROM raw_readings WHERE file_id = %s AND sensor_id = %s AND reading_type = %s
   AND ts = %s AND value = %s AND unit = %s
"""


class Pipeline:
    """Landing, lake and ledger in a folder, on a real database, without a fleet around them."""

    def __init__(self, home: Path, url: str) -> None:
        from sensorflow.adapters.postgres.ledger import PostgresLedger

        self.home, self.url = home, url
        self.ledger = PostgresLedger(url, "real-data")

    def load(self, file: Path, profile: Profile) -> tuple[int, Any]:
        """Take one file all the way; returns its number and the world that it went through."""
        from sensorflow import bootstrap
        from sensorflow.adapters.feeds.folder.feed import OpenFile
        from sensorflow.core.states import Stage
        from sensorflow.flow.land import land
        from sensorflow.flow.process import process
        from sensorflow.flow.register import Found, register
        from sensorflow.ports.queue import Task
        from sensorflow.settings import Settings

        source = {"path": str(file.parent), "profile": "p"}
        settings = Settings.model_validate(
            {"home": self.home, "sources": {"real": source}, "profiles": {"p": profile}}
        )
        services = bootstrap.services(settings, "real-data", self.ledger)
        name = os.fsencode(file.name)
        with file.open("rb") as stream:
            landed = land(services.landing, OpenFile("real", name, stream))
        assert landed is not None
        now = datetime.now(UTC)
        found = register(self.ledger, settings, Found(landed[1], landed[0], now, now)).file_id
        process(services, Task([found]), _keep)
        process(services, Task([found], Stage.QUARANTINE), _keep)  # what was condemned
        return found, services


@contextlib.contextmanager
def _keep(_claims: Any) -> Iterator[None]:
    yield


def profile_of(name: str) -> Profile:
    from sensorflow import profiles

    return profiles.load(str(PROFILES / f"{name}.toml"))[1]


def account(pipeline: Pipeline, file_id: int, services: Any) -> dict[str, Any]:
    """What became of a file, as ledger, database and silver tell it."""
    view = pipeline.ledger.file(file_id)
    assert view is not None
    assert view.counts.balanced or view.state == "quarantined", view
    with psycopg.connect(pipeline.url, options="-c timezone=UTC") as c:
        (valid, distinct, sensors, low, high, total) = c.execute(_ACCOUNT, [file_id]).fetchone()  # type: ignore[misc]
        types = dict(c.execute(_TYPES, [file_id]).fetchall())
        units = dict(c.execute(_UNITS, [file_id]).fetchall())
        (back,) = c.execute(_ORDER, [file_id]).fetchone()  # type: ignore[misc]
        first, last = _ends(c, view, services)
    return {
        "valid": valid + view.counts.duplicate,
        "missing": view.counts.missing,
        "rejected": view.counts.rejected,
        "distinct": distinct,
        "out_of_order": back,
        "sensors": sensors,
        "types": types,
        "units": units,
        "tmin": low,
        "tmax": high,
        "sum": total,
        "first": first,
        "last": last,
    }


def _ends(c: psycopg.Connection[Any], view: Any, services: Any) -> list[list[Any] | None]:
    """The first and the last reading of silver, which the database must hold too."""
    from sensorflow.core.partitions import Layer
    from sensorflow.core.readings import Span

    if view.state != "loaded":
        return [None, None]
    batches = [b for b in services.lake.read(Layer.SILVER, view.layer_file) if len(b)]
    found: list[list[Any] | None] = []
    for row in (batches[0].slice(0, 1), batches[-1].slice(len(batches[-1]) - 1)):
        ts = Span().over(row["ts"]).low
        (cells,) = row.drop_columns(["ts"]).to_pylist()
        key = [view.file_id, cells["sensor_id"], cells["reading_type"], ts]
        (count,) = c.execute(_PRESENT, [*key, cells["value"], cells["unit"]]).fetchone()  # type: ignore[misc]
        assert count == 1, cells
        found.append(
            [cells["sensor_id"], _time(ts), cells["reading_type"], cells["value"], cells["unit"]]
        )
    return found


def _time(text: str | datetime | None) -> datetime | None:
    if isinstance(text, str):
        text = datetime.fromisoformat(text)
    return text.replace(tzinfo=UTC) if text is not None else None


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What is not exactly as expected, in words."""
    wrong = []
    for key, value in found.items():
        right: Any = wanted[key]
        if key in ("tmin", "tmax"):
            value, right = _time(value), _time(right)
        if key in ("first", "last") and right is not None:
            right = [right[0], _time(right[1]), *right[2:]]
        same = value == right
        if key == "sum":
            same = abs(value - right) <= 1e-6 * max(abs(right), 1e-9)
        if not same:
            wrong.append(f"{key}: {value} is not {right}")
    if "rejects" in wanted and found["rejected"] != len(wanted["rejects"]):
        wrong.append(f"rejects: {found['rejected']} are not {len(wanted['rejects'])}")
    return wrong


def run(url: str, home: Path) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
    """(file, its account, what is wrong with it) of every file."""
    expected = json.loads((FOLDER / "expected.json").read_text("utf-8"))
    pipeline = Pipeline(home, url)
    for name, wanted in sorted(expected.items()):
        found = account(pipeline, *pipeline.load(FOLDER / "files" / name, profile_of(name)))
        yield name, found, differences(found, wanted)
    pipeline.ledger.close()


def line(name: str, found: dict[str, Any], wrong: list[str]) -> str:
    verdict = "exact" if not wrong else "WRONG: " + "; ".join(wrong)[:300]
    counts = (
        f"{found['valid']:>6} valid {found['missing']:>6} missing {found['rejected']:>3} rejected"
    )
    return f"{name:<46} {counts}  {verdict}"


def main() -> int:
    from servers import place_for_servers

    from sensorflow import telemetry
    from sensorflow.adapters.postgres import migrate
    from sensorflow.embedded.postgres import Postgres

    if not FOLDER.is_dir():
        print(f"no folder {FOLDER}; set SENSORFLOW_REAL_DATA")
        return 2
    telemetry.configure("ERROR")
    exact = total = 0
    with place_for_servers() as place, tempfile.TemporaryDirectory() as home:
        server = Postgres(place.root, place.logs)
        server.start()
        try:
            migrate.upgrade(server.url)
            for name, found, wrong in run(server.url, Path(home)):
                total += 1
                exact += not wrong
                print(line(name, found, wrong), flush=True)
        finally:
            server.process.terminate(30)
    print(f"real-data: {exact} of {total} exact")
    return 0 if exact == total else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    sys.exit(main())
