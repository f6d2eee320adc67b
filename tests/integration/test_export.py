"""`sensorflow export` and `Client.export`: what they write is what the database has, in each format."""

from __future__ import annotations

import csv
import fcntl
import io
import itertools
import json
import math
import os
import random
import re
import shlex
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import warm
from patience import PATIENCE
from project_driver import ProjectDriver

from sensorflow.adapters.postgres import readings as stored
from sensorflow.adapters.postgres.gold import Gold
from sensorflow.api.client import Client
from sensorflow.cli import main
from sensorflow.core.checksum import MODULUS
from sensorflow.core.output import lines as lines_
from sensorflow.errors import Transient, UsageError
from sensorflow.ports.maintenance import Expirable

HEAD = b"time,sensor,type,value,unit\n"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)
NAMES = ["ts", "sensor_id", "reading_type", "value", "unit", "quality", "file_id", "line_no"]


def lines(number: int = 1) -> bytes:
    """Readings of three sensors, of which one has a name that CSV quotes, and two types."""
    draw, rows = random.Random(number), []
    for n in range(60):
        ts = START + timedelta(seconds=47 * n, microseconds=draw.randrange(10**6))
        for sensor, kind, unit in (
            ("tank-7", "temperature", "degC"),
            ('Ö, "x"', "temperature", "degC"),
            ("tank-8", "pressure", "bar"),
        ):
            cells = (sensor.replace('"', '""'), kind, draw.uniform(-1e3, 1e-3), unit)
            rows.append(f'{ts.isoformat()},"{cells[0]}",{kind},{cells[2]!r},{unit}\n')
    return HEAD + "".join(rows).encode()


@dataclass(frozen=True)
class Ran:
    code: int
    out: bytes
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def driver(project: Path, emptied: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, emptied)
    project_driver.load("a.csv", lines())
    yield project_driver
    project_driver.close()


@pytest.fixture
def run(
    driver: ProjectDriver,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Run:
    monkeypatch.setenv("SENSORFLOW_CONFIG", str(driver.config))
    monkeypatch.chdir(driver.project)

    def run(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["sensorflow", "export", *words])
        capfdbinary.readouterr()  # the log of what was loaded
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Ran(int(ended.value.code or 0), out, err.decode())

    return run


def stored_rows(driver: ProjectDriver, where: str = "true") -> list[tuple[Any, ...]]:
    query = f"SELECT {', '.join(NAMES)} FROM raw_readings WHERE {where} ORDER BY 1, 2, 3, 7, 8"
    with psycopg.connect(driver.database) as c:
        return [(row[0].astimezone(UTC), *row[1:]) for row in c.execute(query).fetchall()]  # type: ignore[arg-type]


def typed(row: dict[str, Any]) -> tuple[Any, ...]:
    ts = datetime.fromisoformat(row["ts"])
    numbers = (int(row[name]) for name in NAMES[5:])
    return (ts, row["sensor_id"], row["reading_type"], float(row["value"]), row["unit"], *numbers)


def rows_of(content: bytes, kind: str, piped: bool = False) -> list[tuple[Any, ...]]:
    """Parsed by other code than ours."""
    if kind == "csv":
        return [typed(row) for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]
    if kind == "json":
        return [typed(json.loads(line)) for line in content.splitlines()]
    if kind == "parquet":
        table = pq.read_table(io.BytesIO(content))
    else:
        opened = (pa.ipc.open_stream if piped else pa.ipc.open_file)(io.BytesIO(content))
        table = opened.read_all()
    return [tuple(row[name] for name in NAMES) for row in table.to_pylist()]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "arrow"])
def test_an_export_is_what_the_database_has(
    run: Run, driver: ProjectDriver, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_FETCH", "FETCH FORWARD 50 FROM readings")
    expected = stored_rows(driver)
    assert len(expected) == 180
    done = run("--output", f"all.{kind}", "--json")
    assert (done.code, done.err) == (0, "")
    content, found = (driver.project / f"all.{kind}").read_bytes(), json.loads(done.out)
    assert rows_of(content, kind) == expected
    with psycopg.connect(driver.database) as c:
        sums = c.execute("SELECT sum(checksum) FROM files").fetchone()
    assert sums is not None
    assert found["checksum"] == sums[0] % MODULUS
    assert (found["rows"], found["readings"], found["bytes"]) == (180, 180, len(content))
    piped = run("--format", kind)
    assert (piped.code, piped.err) == (0, "")
    assert rows_of(piped.out, kind, piped=True) == expected


def test_options_select_readings(run: Run, driver: ProjectDriver) -> None:
    driver.load("b.csv", lines(2).replace(b"tank-7", b"tank-9"))
    driver.sql("UPDATE files SET source = 'roof' WHERE key_text = 'b.csv'")
    for words, where in {
        "--sensor tank-7 --sensor tank-9": "sensor_id IN ('tank-7', 'tank-9')",
        "--type pressure": "reading_type = 'pressure'",
        "--source roof": "file_id = 2",
        "--source plant --from 2026-01-31T12:10 --to 2026-01-31T12:20": (
            "file_id = 1 AND ts >= '2026-01-31 12:10Z' AND ts < '2026-01-31 12:20Z'"
        ),
    }.items():
        expected = stored_rows(driver, where)
        assert expected
        assert rows_of(run(*words.split()).out, "csv") == expected, words


def test_an_empty_export_has_a_header_and_a_note(run: Run) -> None:
    done = run("--to", "2020-01-01")
    assert (done.code, done.out) == (0, ",".join(NAMES).encode() + b"\n")
    assert done.err == "note: no readings match these options; the output is empty\n"
    assert run("--to", "2020-01-01", "--wide").out == b"ts\n"
    assert run("--to", "2020-01-01", "--every", "1h").out.startswith(b"bucket,sensor_id")


def buckets(rows: list[tuple[Any, ...]], width: float) -> dict[tuple[Any, ...], dict[str, Any]]:
    grouped: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        begin = row[0].timestamp() // width * width  # whole weeks lie between 1970 and the origin
        grouped.setdefault((begin, row[1], row[2], row[4]), []).append(row)
    return {key: aggregated(found) for key, found in grouped.items()}


def aggregated(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    values = [row[3] for row in rows]
    return {
        "count": len(values),
        "min": min(values),
        "max": max(values),
        "sum": math.fsum(values),
        "avg": math.fsum(values) / len(values),
        "stddev": statistics.stdev(values) if len(values) > 1 else -1,
        "first": values[0],
        "last": values[-1],
        "first_ts": rows[0][0].timestamp(),
        "last_ts": rows[-1][0].timestamp(),
        "flagged_share": sum(row[5] != 0 for row in rows) / len(rows),
    }


def refresh(driver: ProjectDriver) -> None:
    refresher = Gold(driver.database, "test")
    while refresher.is_pending():
        refresher.refresh_once(1000)
    refresher.close()


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("every", ["10s", "90s", "5m", "1h"])
def test_aggregates_are_those_of_the_readings(
    run: Run, driver: ProjectDriver, every: str, fresh: bool
) -> None:
    driver.sql("UPDATE raw_readings SET quality = 4 WHERE line_no %% 7 = 0")
    if fresh:
        refresh(driver)
    width = {"10s": 10, "90s": 90, "5m": 300, "1h": 3600}[every]
    expected = buckets(stored_rows(driver), width)
    done = run("--every", every, "--format", "json")
    assert (done.code, done.err) == (0, "")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert len(found) == len(expected)
    assert found == sorted(found, key=lambda row: row["bucket"])
    for row in found:
        row["stddev"] = -1 if row["stddev"] is None else row["stddev"]
        key = (datetime.fromisoformat(row["bucket"]).timestamp(), row["sensor_id"])
        one = expected[(*key, row["reading_type"], row["unit"])]
        for name in ("first_ts", "last_ts"):
            row[name] = datetime.fromisoformat(row[name]).timestamp()
        assert {name: row[name] for name in one} == pytest.approx(one, rel=1e-12)


def test_stored_aggregates_and_those_of_the_readings_are_the_same(
    run: Run, driver: ProjectDriver
) -> None:
    """Also for numbers whose squares PostgreSQL cannot compute."""
    row = "2026-02-01T00:{:02}:00Z,far,{},{},u\n"
    values = (1e300, -1e300, 1.0, 5e-320, 1e-200, 2.5e-99, 1e99, -1e99)
    text = "".join(
        row.format(n, kind, value) for n, value in enumerate(values) for kind in "ab"[n % 2 :]
    )
    driver.load("far.csv", HEAD + text.encode())
    words = [("--every", every) for every in ("1m", "15m", "2h", "1d", "7d")]
    from_readings = [run(*given) for given in words]
    refresh(driver)
    for given, expected in zip(words, from_readings, strict=True):
        found = [line.split(b",") for line in run(*given).out.splitlines()[1:]]
        assert len(found) == expected.out.count(b"\n") - 1 > 0
        for cells, others in zip(found, expected.out.splitlines()[1:], strict=True):
            for cell, other in zip(cells, others.split(b","), strict=True):
                if cell != other:
                    assert float(cell) == pytest.approx(float(other), rel=1e-9), (given, cells)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_bucket_is_whole_whatever_the_range(run: Run, driver: ProjectDriver, fresh: bool) -> None:
    if fresh:
        refresh(driver)
    every = run("--every", "10m").out.splitlines()
    part = run("--every", "10m", "--from", "2026-01-31T12:11", "--to", "2026-01-31T12:20:01").out
    assert part.splitlines() == [every[0], *every[4:10]]


def test_a_wide_table_has_a_column_for_each_sensor(run: Run, driver: ProjectDriver) -> None:
    found = list(csv.DictReader(io.StringIO(run("--wide", "--type", "temperature").out.decode())))
    rows = stored_rows(driver, "reading_type = 'temperature'")
    assert list(found[0]) == ["ts", "tank-7", 'Ö, "x"']
    cells = {(datetime.fromisoformat(r["ts"]), n): r[n] for r in found for n in list(r)[1:] if r[n]}
    assert {key: float(cell) for key, cell in cells.items()} == {(r[0], r[1]): r[3] for r in rows}
    several = run("--wide", "--output", "w.parquet")
    assert several.code == 0
    schema = pq.read_schema(driver.project / "w.parquet")
    assert schema.names == ["ts", "tank-7/temperature", "tank-8/pressure", 'Ö, "x"/temperature']
    assert schema.field("tank-8/pressure").metadata[b"unit"] == b"bar"
    hourly = run("--wide", "--every", "1h", "--statistic", "count").out.decode().splitlines()
    assert hourly[1] == "2026-01-31T12:00:00.000000Z,60,60,60"


def test_several_readings_at_one_time_are_several_rows_of_a_wide_table(
    run: Run, driver: ProjectDriver
) -> None:
    row = "2026-02-01T00:00:00Z,{},temperature,{},degC\n"
    text = "".join(row.format(*given) for given in (("a", 1), ("b", 2), ("a", 3), ("a", 4)))
    driver.load("same.csv", HEAD + text.encode())
    done = run("--wide", "--sensor", "a", "--sensor", "b")
    at = "2026-02-01T00:00:00.000000Z"
    assert done.out.decode().splitlines() == ["ts,a,b", f"{at},1,2", f"{at},3,", f"{at},4,"]
    assert "2 values are in additional rows" in done.err


UNKNOWN = {
    "--sensor tank-7 --sensor tank7": "--sensor tank7: no such sensor; did you mean 'tank-7'?",
    "--type temprature": "--type temprature: no such type; did you mean 'temperature'?",
    "--source plnt": "did you mean 'plant'?",
    "--from noon": "--from noon: expected a time",
    "--from 2026-02-01 --to 2026-01-01": "is before",
    "--every 0s": "--every 0s: expected a width such as 10s, 15m, 1h or 1d",
    "--every 1mo": "--every 1mo: expected a width",
    "--every 1.5s": "--every 1.5s: expected a width",
    "--format xlsx": "--format xlsx: no such format; there are: csv, parquet, json, arrow",
    "--output a.xlsx": "the ending is not that of a format; give --format",
    "--output a.csv/b.csv": "there is no folder",
    "--output /tmp --format csv": "/tmp: is a folder",
    "--statistic max": "--statistic applies only together with --every and --wide",
    "--statistic median --wide --every 1h": "--statistic median: no such statistic",
    "--json": "give --output FILE",
    "--statistic avg": "--statistic applies only together with --every and --wide",
    "--statistic avg --wide": "--statistic applies only together with --every and --wide",
    "--sensor TANK-7": "--sensor TANK-7: no such sensor; did you mean 'tank-7'?",
    "--sensor ''": "--sensor '': no such sensor; there are: ",
    "--sensor none": "n-09 and 3 more",
    "--type none": "new\\nline",
    "--output ''": "--output '': give the name of a file",
    "--output /dev/stdout --json": "give --output FILE",
}


def test_a_mistake_is_an_error_of_one_line(run: Run, driver: ProjectDriver) -> None:
    row = '2026-02-01T00:00:00Z,"n-{:02}","new\nline",1,degC\n'
    driver.load("many.csv", HEAD + "".join(row.format(n) for n in range(10)).encode())
    refresh(driver)
    for words, expected in UNKNOWN.items():
        done = run(*shlex.split(words))
        assert (done.code, done.out) == (2, b""), (words, done)
        assert expected in done.err, (words, done.err)
        assert done.err.count("\n") == 1, done.err


def test_a_sensor_is_known_before_the_aggregates_contain_it(run: Run) -> None:
    assert run("--sensor", "tank-7").out.count(b"\n") == 61
    done = run("--sensor", "tank7")
    assert done.err == "sensorflow: --sensor tank7: no such sensor; did you mean 'tank-7'?\n"


def test_python_writes_the_same_file_and_reads_the_same_table(
    run: Run, driver: ProjectDriver
) -> None:
    assert (
        run("--wide", "--every", "5m", "--statistic", "max", "-o", "by-command.parquet").code == 0
    )
    with Client(driver.settings) as client:
        options: dict[str, Any] = {"every": "5m", "wide": True, "statistic": "max"}
        done = client.export("by-client.pq", **options)
        table = client.readings(START, START + timedelta(hours=1), **options).to_table()
        mistakes = [
            (lambda: client.export("a.csv", sensor="tank7"), "sensor tank7: no such sensor"),
            (lambda: client.export("a.xls"), "a.xls: the ending is not that of a format"),
            (lambda: client.export("a.csv", every="1x"), "every 1x: expected a width"),
            (lambda: client.export("a.csv", every=60), "every 60: give a string such as"),
            (lambda: client.export("a.csv", sensor=5), "sensor 5: give one or more strings"),
            (lambda: client.export("-", format="csv"), "file '-': give the path of a file"),
            (lambda: client.readings(START, START, statistic="max"), "statistic applies only"),
        ]
        for call, expected in mistakes:
            with pytest.raises(UsageError, match=expected):
                call()
        with pytest.raises(Transient, match="No space left on device"):
            client.export("/dev/full", format="csv")
    assert (done.file, done.format, done.rows) == ("by-client.pq", "parquet", 10)
    assert Path("by-client.pq").read_bytes() == Path("by-command.parquet").read_bytes()
    assert pq.read_table("by-client.pq") == table
    assert not Path("a.csv").exists()


def test_the_columns_of_a_wide_table_do_not_change_while_it_is_used(driver: ProjectDriver) -> None:
    with Client(driver.settings) as client:
        table = client.readings(START, START + timedelta(days=1), wide=True)
        assert len(table.to_table()) == 60
        driver.load("b.csv", lines().replace(b"tank-7", b"tank-9"))
        with pytest.raises(UsageError, match="call it again"):
            table.to_table()


def test_the_columns_come_from_the_aggregates_if_no_change_is_pending(
    driver: ProjectDriver,
) -> None:
    draw, day = random.Random(5), timedelta(days=1)
    times = [START + draw.random() * 3 * day for _ in range(40)]
    made = (f"{ts.isoformat()},sensor-{n},temperature,1,degC\n" for n, ts in enumerate(times))
    driver.load("b.csv", HEAD + "".join(made).encode())
    ends = [START + draw.choice((1, 1 / 24, 1 / 1440)) * draw.randrange(4) * day for _ in range(60)]
    ends += [START + draw.random() * 3 * day for _ in range(60)]
    draw.shuffle(ends)
    pairs = [(None, None), (START, None), (None, START + day)]
    pairs += [(low, high) for low, high in itertools.pairwise(ends) if low <= high]
    ranges = [stored.ReadingsQuery(*pair) for pair in pairs]
    with stored.snapshot(driver.database) as snapshot:
        expected = [snapshot.series(query) for query in ranges]
    refresh(driver)
    driver.sql("DELETE FROM raw_readings WHERE sensor_id = 'tank-8'")  # only the aggregates have it
    with stored.snapshot(driver.database) as snapshot:
        found = [snapshot.series(query) for query in ranges]
    assert {s.sensor_id for s in found[0]} >= {"tank-8"}
    assert [[s for s in part if s.sensor_id != "tank-8"] for part in found] == [
        [s for s in part if s.sensor_id != "tank-8"] for part in expected
    ]


def test_the_next_batches_are_fetched_while_one_is_used(
    driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_FETCH", "FETCH FORWARD 10 FROM readings")
    fetched, batch = [], stored._batch
    monkeypatch.setattr(stored, "_batch", lambda *given: fetched.append(1) or batch(*given))
    with Client(driver.settings) as client:
        batches = iter(client.readings(START, START + timedelta(days=1)))
        assert len(next(batches)) == 10
        deadline = time.monotonic() + PATIENCE
        while len(fetched) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (
            len(fetched) == 3
        )  # the one in use, one that is ready, and one that waits for its place
        assert sum(map(len, batches)) == 170


def test_an_interrupted_export_ends_its_statement(run: Run, driver: ProjectDriver) -> None:
    """It need not wait until the server has sorted all readings."""
    ended: list[bool] = []
    with (
        psycopg.connect(driver.database) as holder,
        psycopg.connect(driver.database, autocommit=True) as watcher,
    ):
        holder.execute("LOCK raw_readings")

        def waits() -> bool:
            found = watcher.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
            return bool(found.fetchall())

        def reach(wanted: bool) -> bool:
            deadline = time.monotonic() + PATIENCE
            while waits() is not wanted and time.monotonic() < deadline:
                time.sleep(0.05)
            return waits() is wanted

        def interrupt() -> None:
            if reach(True):
                os.kill(os.getpid(), signal.SIGTERM)
                ended.append(reach(False))
            holder.rollback()

        thread = threading.Thread(target=interrupt)
        thread.start()
        assert run("--output", "a.csv").code == 130
        thread.join()
    assert ended == [True]


def test_an_export_is_one_snapshot(
    run: Run, driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the columns of a wide table, and of all batches."""
    series = stored.Snapshot.series

    def then_a_load(*given: Any) -> Any:
        found = series(*given)
        driver.load("b.csv", lines().replace(b"tank-7", b"tank-9"))
        return found

    monkeypatch.setattr(stored.Snapshot, "series", then_a_load)
    assert b"tank-9" not in run("--wide").out
    assert b"tank-9" in run().out


def test_an_unfinished_export_leaves_the_former_file(
    run: Run, driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.csv").write_text("former")
    Path("a.csv").chmod(0o640)
    before = sorted(driver.project.iterdir())

    def interrupted(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(stored, "_FETCH", "FETCH FORWARD 50 FROM readings")
        patch.setattr(lines_, "csv", interrupted)
        assert run("--output", "a.csv").code == 130
    assert Path("a.csv").read_text() == "former"
    assert sorted(driver.project.iterdir()) == before
    assert run("--output", "a.csv").code == 0
    assert len(Path("a.csv").read_bytes().splitlines()) == 181
    assert Path("a.csv").stat().st_mode & 0o777 == 0o640
    assert sorted(driver.project.iterdir()) == before


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "arrow"])
def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_the_whole_export(
    run: Run, driver: ProjectDriver, kind: str
) -> None:
    expected = run("--format", kind).out
    env = {**os.environ, "SENSORFLOW_CONFIG": str(driver.config), "PYTHONUNBUFFERED": "1"}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with tempfile.TemporaryFile() as err, open(reader, "rb") as stream:
        command = ("sensorflow", "export", "--format", kind)
        process = warm.Process(command, env, driver.project, writer, err.fileno(), PATIENCE)
        os.close(writer)
        assert stream.read() == expected
        assert process.wait(PATIENCE) == 0
        assert os.pread(err.fileno(), 1000, 0) == b""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_a_name_of_stdout_writes_to_it(run: Run, name: str) -> None:
    assert run("--output", name, "--format", "json").out == run("--format", "json").out


def test_a_pipe_that_only_has_a_descriptor_is_written(run: Run) -> None:
    reader, writer = os.pipe()
    assert run("--output", f"/dev/fd/{writer}", "--format", "csv").code == 0
    os.close(writer)
    with open(reader, "rb") as stream:
        assert stream.read() == run().out


def test_the_documented_checksum_is_that_of_an_export_after_retention(
    run: Run, driver: ProjectDriver
) -> None:
    driver.load("old.csv", lines(2).replace(b"2026-", b"2001-"))
    page = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
    [statement] = re.findall(r'db shell -c "(SELECT mod.*)"', page.read_text())
    expected = {json.loads(run("--output", "a.csv", "--json").out)["checksum"]}
    with psycopg.connect(driver.database, autocommit=True) as c:
        assert {row[0] for row in c.execute(statement)} == expected
        done = driver.ledger.expire("plant", Expirable.ROWS, 20 * 365 * 86400)
        assert done.files == 1
        after = {json.loads(run("--output", "a.csv", "--json").out)["checksum"]}
        assert {row[0] for row in c.execute(statement)} == after != expected


def test_a_closed_pipe_ends_the_export_quietly(driver: ProjectDriver) -> None:
    env = {**os.environ, "SENSORFLOW_CONFIG": str(driver.config)}
    reader, writer = os.pipe()
    os.close(reader)
    with tempfile.TemporaryFile() as err:
        process = warm.Process(
            ("sensorflow", "export"), env, driver.project, writer, err.fileno(), PATIENCE
        )
        os.close(writer)
        assert process.wait(PATIENCE) == 1  # as for each command
        assert os.pread(err.fileno(), 1000, 0) == b""
