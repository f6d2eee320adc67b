"""Each test of a fault, and a guard whose loss it must notice.

``make faults-proof`` takes one guard at a time out of a copy of the tree, runs the test there, and
expects it to fail. FAULTS="8 12" chooses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))

from guard import Guard  # noqa: E402
from guards_of_intake import INTAKE  # noqa: E402
from guards_of_ledger import LEDGER  # noqa: E402
from guards_of_readings import READINGS  # noqa: E402
from guards_of_work import WORK  # noqa: E402
from patches import apply  # noqa: E402

GUARDS = [*INTAKE, *LEDGER, *WORK, *READINGS]


def prove(guard: Guard) -> bool:
    """Whether the test fails without its guard."""
    with tempfile.TemporaryDirectory(prefix="guard-") as name:
        tree = Path(name) / "tree"
        ignored = shutil.ignore_patterns(
            ".venv", ".git", "__pycache__", ".demo", "dist", "real_data"
        )
        shutil.copytree(ROOT, tree, ignore=ignored)
        apply(tree, guard.patches)
        # the release before this one comes from the history
        (tree / ".git").symlink_to(_history())
        done = subprocess.run(
            [sys.executable, "-m", "pytest", guard.test],
            cwd=tree,
            env={"PATIENCE": "45", **os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=False,
        )
    reason = [line[1:].strip() for line in done.stdout.splitlines() if line.startswith("E  ")]
    print(f"    {reason[0][:200] if reason else 'passed'}")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 1


def _history() -> Path:
    how = ["--path-format=absolute", "--git-common-dir"]
    asked = ["git", "-C", str(ROOT), "rev-parse", *how]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def main() -> int:
    wanted = {int(number) for number in os.environ.get("FAULTS", "").split()}
    blind = []
    for guard in GUARDS:
        if wanted and guard.fault not in wanted:
            continue
        print(
            f"fault {guard.fault}: {guard.where}\n    {guard.test.rpartition('::')[2]}", flush=True
        )
        began = time.monotonic()
        seen = prove(guard)
        print(
            f"    {'noticed' if seen else 'NOT NOTICED'} in {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if not seen:
            blind.append(guard)
    for guard in blind:
        print(f"passes without its guard: fault {guard.fault}, {guard.where}, {guard.test}")
    return 1 if blind else 0


if __name__ == "__main__":
    sys.exit(main())
