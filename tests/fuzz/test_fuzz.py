"""A short run of the fuzzer: no file may end in anything but readings or a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

FUZZ = Path(__file__).with_name("fuzz.py")


@pytest.mark.parametrize(("name", "seconds"), [("fuzz.py", "20"), ("sniffed.py", "5")])
def test_spoiled_files_end_in_readings_or_a_reason(name: str, seconds: str) -> None:
    given = [sys.executable, str(FUZZ.with_name(name)), "--seconds", seconds, "--seed", "1"]
    done = subprocess.run(given, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
