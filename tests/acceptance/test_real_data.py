"""Real files of real loggers give exactly the readings that they hold, by TOML alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_data import run


@pytest.mark.skipif(not run.FOLDER.is_dir(), reason="the folder of real files is not here")
def test_real_files_give_exactly_their_readings(database: str, tmp_path: Path) -> None:
    wrong, count = {}, 0
    for name, found, problems in run.run(database, tmp_path):
        print(run.line(name, found, problems))
        count += 1
        if problems:
            wrong[name] = problems
    assert not wrong
    assert count == 34
