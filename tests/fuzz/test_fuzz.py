"""A short run of the fuzzer: no file may end in anything but readings or a reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).with_name("fuzz.py")


def test_spoiled_files_end_in_readings_or_a_reason() -> None:
    given = [sys.executable, str(FUZZ), "--seconds", "20", "--seed", "1"]
    done = subprocess.run(given, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
