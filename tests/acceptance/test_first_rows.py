"""From a file of a logger to rows, as a new user types it: init, sniff --add, up, and cp."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import psycopg
import pytest
from real_data import run
from test_up import clean, sensorflow, up, wait
from typer.testing import CliRunner

from sensorflow.cli import app, commands
from sensorflow.embedded import state

PROGRAM = [sys.executable, "-m", "sensorflow"]
Row = tuple[str, str, float, str]


class Logger(NamedTuple):
    """zone: where the file does not tell it. rows: (time in UTC, type, value, unit) of one sensor."""

    name: str
    file: str
    data: bytes
    zone: str | None
    rows: list[Row]


def sheet() -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in (
        ("Time", "Flow (l/min)"),
        *((datetime(2026, 1, 31, 12, 5 * i), 7.25 + i) for i in range(3)),  # noqa: DTZ001
    ):
        book.active.append(row)
    book.save(out)
    return out.getvalue()


LOGGERS = [
    Logger(
        "campbell",
        "CR1000_Table1.dat",
        b'"TOA5","Station1","CR1000","1234","CR1000.Std.31","CPU:prog.CR1","5678","Table1"\n'
        b'"TIMESTAMP","RECORD","AirTC_Avg","RH"\n"TS","RN","Deg C","%"\n"","","Avg","Smp"\n'
        b'"2021-03-01 00:10:00",0,12.5,"NAN"\n"2021-03-01 00:20:00",1,12.4,80.1\n',
        "-07:00",
        [
            ("2021-03-01T07:10", "AirTC_Avg", 12.5, "Deg C"),
            ("2021-03-01T07:20", "AirTC_Avg", 12.4, "Deg C"),
            ("2021-03-01T07:20", "RH", 80.1, "%"),
        ],
    ),
    Logger(
        "hobo",
        "pond.csv",
        '"Plot Title: pond"\n"#","Date Time, GMT-04:00","Temp, °C (LGR S/N: 10350111, SEN S/N: 10350111)"\n'
        "1,05/24/18 03:00:00 PM,22.717\n2,05/24/18 04:00:00 PM,22.621\n".encode("utf-8-sig"),
        None,
        [
            ("2018-05-24T19:00", "Temp", 22.717, "°C"),
            ("2018-05-24T20:00", "Temp", 22.621, "°C"),
        ],
    ),
    Logger(
        "testo",
        "Kühlraum's 1. Messung.csv",
        "Datum / Uhrzeit;Temperatur [°C];Feuchte [%rF]\n31.01.2026 12:00:00;-21,5;48,2\n"
        "31.01.2026 12:05:00;-21,4;48,0\n".encode("cp1252"),
        "Europe/Berlin",
        [
            ("2026-01-31T11:00", "Feuchte", 48.2, "%rF"),
            ("2026-01-31T11:00", "Temperatur", -21.5, "°C"),
            ("2026-01-31T11:05", "Feuchte", 48.0, "%rF"),
            ("2026-01-31T11:05", "Temperatur", -21.4, "°C"),
        ],
    ),
    Logger(
        "wetter",
        "wetter.log",
        b"Station: Hof\nDatum;Uhrzeit;Luftdruck (hPa);Regen (mm)\n13.07.2025;14:00;1.013,2;0,4\n"
        b"13.07.2025;14:10;1.013,1;0,0\n",
        "+01:00",
        [
            ("2025-07-13T13:00", "Luftdruck", 1013.2, "hPa"),
            ("2025-07-13T13:00", "Regen", 0.4, "mm"),
            ("2025-07-13T13:10", "Luftdruck", 1013.1, "hPa"),
            ("2025-07-13T13:10", "Regen", 0.0, "mm"),
        ],
    ),
    Logger(
        "gateway",
        "-gateway.jsonl",
        b'{"ts": "2026-01-31T12:00:00Z", "device": "tank-7", "temperature": 21.5}\n'
        b'{"ts": "2026-01-31T12:01:00Z", "device": "tank-7", "temperature": 21.6}\n',
        None,
        [
            ("2026-01-31T12:00", "temperature", 21.5, ""),
            ("2026-01-31T12:01", "temperature", 21.6, ""),
        ],
    ),
    Logger(
        "meter",
        "meter.xlsx",
        sheet(),
        "UTC",
        [
            ("2026-01-31T12:00", "Flow", 7.25, "l/min"),
            ("2026-01-31T12:05", "Flow", 8.25, "l/min"),
            ("2026-01-31T12:10", "Flow", 9.25, "l/min"),
        ],
    ),
]
REAL = {
    "hobo-real": "hobo_Ellis-1.0m_Water_20180524_20180918.csv",
    "minidot": "minidot_2019-12-13 151700Z.txt",
    "cloudwatch": "cloudwatch_metric_stream_epoch_ms.jsonl",
}


def added(folder: Path, file: str, name: str, zone: str | None) -> str:
    """The cp that `sniff --add` says."""
    given = f"./{file}" if file.startswith("-") else file
    where = ["--zone", zone] if zone else []
    assert folder == Path.cwd()
    done = CliRunner().invoke(app, ["sniff", given, "--add", name, *where])
    assert done.exit_code == 0, (done.output, done.exception)
    (copy,) = (text for text in done.stdout.splitlines() if text.startswith("  cp "))
    return copy


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    if not app.registered_groups:
        commands.register(app)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    shutil.rmtree(state.home(tmp_path / "data"), ignore_errors=True)


def test_files_of_nine_loggers_become_rows_with_no_edit(home: Path) -> None:
    assert sensorflow(PROGRAM, home, "init").returncode == 0
    for each in LOGGERS:
        (home / each.file).write_bytes(each.data)
    real = {n: f for n, f in REAL.items() if (run.FOLDER / "files" / f).is_file()}
    for file in real.values():
        (home / file).write_bytes((run.FOLDER / "files" / file).read_bytes())
    refused = sensorflow(PROGRAM, home, "sniff", LOGGERS[0].file, "--add", "campbell")
    assert (refused.returncode, "--zone" in refused.stderr) == (2, True)
    copies = [added(home, e.file, e.name, e.zone) for e in LOGGERS[1:]]
    copies += [added(home, file, name, None) for name, file in real.items()]
    with up(PROGRAM, home):
        copies.append(added(home, LOGGERS[0].file, LOGGERS[0].name, LOGGERS[0].zone))
        wait(lambda: "are restarting with the new settings" in (home / "up.log").read_text(), home)
        for copy in copies:
            subprocess.run(["bash", "-c", copy], cwd=home, env=clean(), check=True)
        running = state.running(home / "data")
        assert running is not None
        with psycopg.connect(running.database_url, autocommit=True) as database:
            wait(lambda: settled(database) == len(copies), home)
            for each in LOGGERS:
                assert rows_of(database, each.name) == sorted(each.rows), each.name
            expected = json.loads((run.FOLDER / "expected.json").read_text()) if real else {}
            for name, file in real.items():
                assert_account(database, name, expected[file])
        # the profile moves into a file of its own, is edited there, and the stack takes that over
        edit_in_a_file(home, "wetter")
        (home / "drop" / "wetter" / "b.log").write_bytes(LOGGERS[3].data.replace(b"Hof", b"Hang"))
        with psycopg.connect(running.database_url, autocommit=True) as database:
            wait(lambda: settled(database) == len(copies) + 1, home)
            query = "SELECT DISTINCT reading_type FROM raw_readings WHERE unit = 'hPa' ORDER BY 1"
            assert database.execute(query).fetchall() == [("Luftdruck",), ("Pressure",)]


def edit_in_a_file(home: Path, name: str) -> None:
    settings, file, log = home / "sensorflow.toml", home / f"{name}.toml", home / "up.log"
    shown = sensorflow(PROGRAM, home, "profiles", "show", name).stdout
    text = settings.read_text()
    file.write_text(shown)
    assert shown.split("\n", 1)[1].strip() in text
    text = text.replace(shown.split("\n", 1)[1].strip(), "")
    settings.write_text(text.replace(f'profile = "{name}"', f'profile = "{name}.toml"'))
    wait(lambda: log.read_text().count("are restarting with the new settings") == 2, home)
    file.write_text(shown.replace("type = ", "typ = "))
    wait(lambda: f"{file}: unknown key" in log.read_text(), home)
    file.write_text(shown.replace('"Luftdruck"', '"Pressure"'))
    wait(lambda: f"{name}.toml edited" in log.read_text(), home)


def settled(database: Any) -> int:
    query = "SELECT key_text, state, error_detail FROM files"
    found = database.execute(query).fetchall()
    assert all(state in ("pending", "running", "loaded") for _, state, _ in found), found
    return sum(state == "loaded" for _, state, _ in found)


def rows_of(database: Any, source: str) -> list[Row]:
    query = """SELECT to_char(r.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI'), r.reading_type, r.value,
                      r.unit
                 FROM raw_readings r JOIN files f ON f.id = r.file_id WHERE f.source = %s"""
    return sorted(database.execute(query, [source]).fetchall())


def assert_account(database: Any, source: str, expected: dict[str, Any]) -> None:
    query = """SELECT count(*), count(DISTINCT sensor_id), sum(r.value), min(ts), max(ts)
                 FROM raw_readings r JOIN files f ON f.id = r.file_id WHERE f.source = %s"""
    count, sensors, total, low, high = database.execute(query, [source]).fetchone()
    assert (count, sensors) == (expected["distinct"], expected["sensors"]), source
    assert total == pytest.approx(expected["sum"])
    assert [low, high] == [datetime.fromisoformat(expected[key]) for key in ("tmin", "tmax")]
