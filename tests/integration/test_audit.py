"""Every corruption is found, by its kind, at the level that promises it; what is sound never is."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import zones
from fleet import rows, text
from project_driver import Act, ProjectDriver, content

from sensorflow.adapters.postgres import index_mode

LEVELS = ("--fast", "", "--checksum", "--deep")


OPEN = {"dedupe_index": "deferred", "seal_after": "1000y"}
"""Months that are not closed: nothing but the audit sees what is wrong in them."""


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


@pytest.fixture
def open_yard(project: Path, database: str) -> Iterator[ProjectDriver]:
    index_mode.set_index_mode(database, True)
    project_driver = ProjectDriver(project, database, **OPEN)
    yield project_driver
    project_driver.close()


def options(level: str) -> list[str]:
    return [level] if level else []


@pytest.mark.parametrize("level", LEVELS)
def test_a_sound_project_is_clean(driver: ProjectDriver, level: str) -> None:
    hold_sound(driver, level)


@pytest.mark.plain("a hypertable has one unique index")
@pytest.mark.parametrize("level", LEVELS)
def test_a_sound_project_is_clean_without_a_unique_index(
    open_yard: ProjectDriver, level: str
) -> None:
    hold_sound(open_yard, level)


def hold_sound(driver: ProjectDriver, level: str) -> None:
    for number in range(3):
        driver.load(f"{number}.csv", content(number))
    driver.load("0.csv", content(7))  # beside the first version
    driver.load("1.csv", text(rows(1, 5, random.Random(9))))  # in place of some of its readings
    driver.quarantine()
    result = driver.audit(*options(level))
    assert (result.code, result.faults, result.report["files"]) == (0, [], 6)
    assert result.report["rows"] == 80
    assert "accounted for" in result.report["verdict"]


# --- corruptions: what is done, the first level that finds it, its kind and code ---


def _sql(statement: str) -> Act:
    def act(driver: ProjectDriver, file_id: int) -> None:
        assert driver.sql(statement.replace("{id}", str(file_id))) == 1

    return act


ONE = "WHERE file_id = {id} AND line_no = 5"
COLUMNS = "sensor_id, reading_type, value, unit, quality, file_id, line_no, dedupe_key"


def _truncate_silver(driver: ProjectDriver, file_id: int) -> None:
    path = driver.silver(file_id)
    zones.truncate(path, -50)


def _change_silver(driver: ProjectDriver, file_id: int, **new: pa.Scalar) -> None:
    path = driver.silver(file_id)
    table = zones.read_rows(path)
    for name, value in new.items():
        column = pc.if_else(pc.equal(table["line_no"], 5), value, table[name])
        table = table.set_column(
            table.schema.get_field_index(name), table.schema.field(name), column
        )
    zones.write_rows(path, table)


def _change_silver_value(driver: ProjectDriver, file_id: int) -> None:
    _change_silver(driver, file_id, value=pa.scalar(1.5))


def _change_silver_sensor(driver: ProjectDriver, file_id: int) -> None:
    _change_silver(driver, file_id, sensor_id=pa.scalar("other"))


def _cut_silver(driver: ProjectDriver, file_id: int) -> None:
    path = driver.silver(file_id)
    zones.write_rows(path, zones.read_rows(path).slice(1))


def _break_page(driver: ProjectDriver, file_id: int) -> None:
    """The footer is whole, what it leads to is not."""
    path = driver.silver(file_id)
    data = bytearray(path.read_bytes())
    start = pq.read_metadata(io.BytesIO(path.read_bytes())).row_group(0).column(0).data_page_offset
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)


def _flip_landed(driver: ProjectDriver, file_id: int) -> None:
    path = driver.landed(file_id)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def _unbalance(driver: ProjectDriver, file_id: int) -> None:
    driver.sql("ALTER TABLE files DROP CONSTRAINT ck_files_balance")
    driver.sql("UPDATE files SET rows_read = rows_read + 1 WHERE id = %s", file_id)


def _copy_silver(driver: ProjectDriver, file_id: int) -> None:
    path = driver.silver(file_id)
    other = path.parent.with_name("sensor_type=other")
    other.mkdir()
    (other / path.name).write_bytes(path.read_bytes())


def _foreign_silver(driver: ProjectDriver, file_id: int) -> None:
    path = driver.silver(file_id)
    path.with_name("file-999-v1.parquet").write_bytes(path.read_bytes())


CORRUPTIONS: dict[str, tuple[Act, str, str, str]] = {
    "a row is deleted": (_sql(f"DELETE FROM raw_readings {ONE}"), "", "lost", "A104"),
    "a row is doubled under another key": (
        _sql(
            f"INSERT INTO raw_readings (ts, {COLUMNS}) SELECT ts, "
            f"{COLUMNS.replace('dedupe_key', 'gen_random_uuid()')} FROM raw_readings {ONE}"
        ),
        "",
        "duplicated",
        "A201",
    ),
    "a value changes by one bit": (
        _sql(f"UPDATE raw_readings SET value = value * (1 + 2.3e-16) {ONE}"),
        "--checksum",
        "mismatched",
        "A406",
    ),
    "a sensor is renamed": (
        _sql(f"UPDATE raw_readings SET sensor_id = 'x' {ONE}"),
        "--checksum",
        "mismatched",
        "A406",
    ),
    "a type is renamed": (
        _sql(f"UPDATE raw_readings SET reading_type = 'x' {ONE}"),
        "--checksum",
        "mismatched",
        "A406",
    ),
    "a time is moved": (
        _sql(f"UPDATE raw_readings SET ts = ts + interval '1 microsecond' {ONE}"),
        "--checksum",
        "mismatched",
        "A406",
    ),
    "a unit changes": (
        _sql(f"UPDATE raw_readings SET unit = 'K' {ONE}"),
        "--checksum",
        "mismatched",
        "A408",
    ),
    "a flag changes": (
        _sql(f"UPDATE raw_readings SET quality = 1 {ONE}"),
        "--checksum",
        "mismatched",
        "A408",
    ),
    "a line number changes": (
        _sql(f"UPDATE raw_readings SET line_no = 4 {ONE}"),
        "--checksum",
        "mismatched",
        "A408",
    ),
    "a stored key changes": (
        _sql(f"UPDATE raw_readings SET dedupe_key = gen_random_uuid() {ONE}"),
        "--checksum",
        "mismatched",
        "A409",
    ),
    "the ledger's checksum changes": (
        _sql("UPDATE files SET checksum = checksum - 1 WHERE id = {id}"),
        "--checksum",
        "mismatched",
        "A406",
    ),
    "rows of an unknown file": (
        _sql(
            "INSERT INTO raw_readings SELECT ts, sensor_id, reading_type, value, unit, quality, 999,"
            f" 1, gen_random_uuid() FROM raw_readings {ONE}"
        ),
        "",
        "orphaned",
        "A301",
    ),
    "silver is gone": (lambda y, f: y.silver(f).unlink(), "", "lost", "A105"),
    "silver is cut short": (_truncate_silver, "", "mismatched", "A404"),
    "silver lacks a row": (_cut_silver, "", "mismatched", "A405"),
    "a page of silver is broken": (_break_page, "--checksum", "mismatched", "A404"),
    "a value in silver changes": (_change_silver_value, "--checksum", "mismatched", "A407"),
    "a sensor in silver changes": (_change_silver_sensor, "--checksum", "mismatched", "A407"),
    "silver is there twice": (_copy_silver, "", "orphaned", "A304"),
    "silver of an unknown file": (_foreign_silver, "", "orphaned", "A303"),
    "landed bytes are gone": (lambda y, f: y.landed(f).unlink(), "--fast", "lost", "A101"),
    "landed bytes are cut short": (
        lambda y, f: zones.truncate(y.landed(f), 10),
        "--fast",
        "mismatched",
        "A401",
    ),
    "a landed bit flips": (_flip_landed, "--deep", "mismatched", "A402"),
    "the ledger does not balance": (_unbalance, "--fast", "mismatched", "A403"),
}

WITHOUT_INDEX: dict[str, tuple[Act, str, str, str]] = {
    "a row is doubled": (
        _sql(f"INSERT INTO raw_readings SELECT * FROM raw_readings {ONE}"),
        "",
        "duplicated",
        "A201",
    ),
    "a row is doubled in place of another": (
        _sql(
            f"WITH gone AS (DELETE FROM raw_readings {ONE.replace('5', '6')}) "
            f"INSERT INTO raw_readings SELECT * FROM raw_readings {ONE}"
        ),
        "--checksum",
        "mismatched",
        "A406",
    ),
}
"""What `uq_raw_dedupe` would refuse."""


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_it_is_found_at_its_level_and_not_before(driver: ProjectDriver, name: str) -> None:
    hold_found(driver, name)


@pytest.mark.plain("a hypertable has one unique index")
@pytest.mark.parametrize("name", [*WITHOUT_INDEX, *(n for n in CORRUPTIONS if "row" in n)])
def test_it_is_found_without_a_unique_index(open_yard: ProjectDriver, name: str) -> None:
    hold_found(open_yard, name)


def hold_found(driver: ProjectDriver, name: str) -> None:
    act, level, kind, faults = (CORRUPTIONS | WITHOUT_INDEX)[name]
    for number in range(2):
        driver.load(f"{number}.csv", content(number))
    file_id = driver.load("victim.csv", content(9))
    act(driver, file_id)
    place = LEVELS.index(level)
    if place:
        before = driver.audit(*options(LEVELS[place - 1]))
        assert (before.code, before.faults) == (0, [])
    result = driver.audit(*options(level))
    assert (result.code, result.faults) == (1, faults.split())
    assert result.kinds == {kind: len(faults.split())}
    assert {f["file_id"] for f in result.report["findings"]} <= {file_id, 999}
    assert all(f["do"] for f in result.report["findings"])
    if level != "--deep":
        deepest = driver.audit("--checksum")
        assert deepest.kinds.get(kind, 0) >= 1
