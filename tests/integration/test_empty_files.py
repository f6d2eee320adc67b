"""A valid file without rows is loaded like any other where the profile allows it."""

from __future__ import annotations

from pathlib import Path

from project_driver import ProjectDriver, content


def test_files_without_rows_are_loaded_and_the_audit_is_clean(project: Path, database: str) -> None:
    allowed = {"long": {"extends": "long", "allow_empty": True}}
    driver = ProjectDriver(project, database, profiles=allowed)
    try:
        header = content(1).partition(b"\n")[0] + b"\n"
        ids = [driver.load(f"{n}.csv", data) for n, data in enumerate((header, b"\n", content(1)))]
        counts = [driver.fact(i, "rows_read") for i in ids]
        assert counts == [0, 0, 20]
        for level in ("--fast", "--checksum", "--deep"):
            result = driver.audit(level)
            assert (result.code, result.faults, result.report["files"]) == (0, [], 3)
        driver.load("0.csv", content(2))  # the rows have come
        assert driver.sql("SELECT 1 FROM raw_readings LIMIT 1") == 1
        assert driver.audit("--deep").faults == []
    finally:
        driver.close()
