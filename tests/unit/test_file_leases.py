"""Whether a file is being written is asked of the kernel, which may answer by a signal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import fcntl, os, subprocess, sys
from pathlib import Path
from sensorflow.adapters.feeds.folder.tree import Tree
from sensorflow.settings import FolderSource

write = "import os; os.open('a.csv', os.O_WRONLY | os.O_NONBLOCK)"
real = fcntl.fcntl

def slowly(descriptor, command, argument):
    if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_UNLCK):
        subprocess.run([sys.executable, "-c", write], stderr=subprocess.DEVNULL)
    return real(descriptor, command, argument)

fcntl.fcntl = slowly
tree = Tree("plant", Path("."), FolderSource(path=".", profile="long"))
print(tree._being_written(os.open("a.csv", os.O_RDONLY)), "alive")
"""


def test_a_writer_that_opens_a_file_while_it_is_looked_at_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "False alive\n", (done.returncode, done.stderr)
