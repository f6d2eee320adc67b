"""The Python API of the installed wheel, in a folder with nothing but a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

from installed import from_wheel

FILE = """\
time,sensor,type,value,unit
2026-01-31T12:00:00Z,tank-7,temperature,21.5,degC
2026-01-31T12:01:00Z,tank-7,temperature,22,degC
"""
READ = "import sensorflow; print(sensorflow.read('x.csv', profile='long').to_pandas())"


def test_a_file_is_a_data_frame_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "x.csv").write_text(FILE)
    python, site = from_wheel(tmp_path)
    done = subprocess.run(
        [python, "-c", READ], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:3]] == [
        ["0", "2026-01-31", "12:00:00+00:00", "tank-7"],
        ["1", "2026-01-31", "12:01:00+00:00", "tank-7"],
    ]
    assert (site / "sensorflow" / "py.typed").exists()
    assert sorted(folder.iterdir()) == [folder / "x.csv"]
