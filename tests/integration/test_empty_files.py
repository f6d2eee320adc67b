"""A valid file without rows is loaded like any other where the profile allows it."""

from __future__ import annotations

from pathlib import Path

from yard import Yard, content


def test_files_without_rows_are_loaded_and_the_audit_is_clean(project: Path, database: str) -> None:
    allowed = {"long": {"extends": "long", "allow_empty": True}}
    yard = Yard(project, database, profiles=allowed)
    try:
        header = content(1).partition(b"\n")[0] + b"\n"
        ids = [yard.load(f"{n}.csv", data) for n, data in enumerate((header, b"\n", content(1)))]
        counts = [yard.fact(i, "rows_read") for i in ids]
        assert counts == [0, 0, 20]
        for level in ("--fast", "--checksum", "--deep"):
            told = yard.audit(level)
            assert (told.code, told.faults, told.report["files"]) == (0, [], 3)
        yard.load("0.csv", content(2))  # the rows have come
        assert yard.sql("SELECT 1 FROM raw_readings LIMIT 1") == 1
        assert yard.audit("--deep").faults == []
    finally:
        yard.close()
