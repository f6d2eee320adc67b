"""Records a terminal, docs/terminal.svg: PYTHONPATH=tools .venv/bin/python -m manual.record

The stack runs in a temporary project. `TYPED` contains the commands; the picture shows them and what they
print. The picture is an animated SVG whose lines appear one after the other and then stay visible.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from manual.hooks import ROOT

SVG = ROOT / "docs" / "terminal.svg"
WIDTH = 108
TYPED = (
    "head -3 boiler.csv",
    "sensorflow sniff boiler.csv --add boiler --zone Europe/Berlin --accept | tail -4",
    "cp boiler.csv drop/boiler/",
    "sensorflow files ls",
    "sensorflow rejects show boiler.csv",
    "sensorflow files of-row boiler supply 2026-01-31T11:20Z",
    "sensorflow audit --checksum",
)
DAYS = [31] * 20 + [32] + [31] * 51  # one day that no calendar has
ROWS = "".join(
    f"{day}.01.2026 {12 + n // 6}:{n % 6}0;{61 + n % 7},{n % 10};{44 + n % 5},5\n"
    for n, day in enumerate(DAYS)
)
FILE = "Datum;supply [degC];return [degC]\n" + ROWS
PAUSE = 0.8
LONGEST = 1.5
"""Maximum number of seconds that a command takes in the picture."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="recorded-") as folder:
        project = Path(folder)
        project.chmod(0o755)
        (project / "boiler.csv").write_text(FILE, "utf-8")
        _printed("sensorflow init", project)
        with _stack(project):
            SVG.write_text(_picture(list(_session(project))), "utf-8")
    print(SVG)
    return 0


def _session(project: Path) -> Iterator[tuple[float, str]]:
    """Run the commands. Yield (seconds from the start of the picture, line) for each line that the picture
    shows."""
    at = 0.0
    for command in TYPED:
        at += PAUSE
        yield at, f"\x1b[1;32m$\x1b[0m {command}"
        began = time.monotonic()
        if command.startswith("sensorflow files ls"):
            _loaded(project)
        for line in _printed(command, project).rstrip().splitlines():
            yield at + min(LONGEST, time.monotonic() - began), line
        at += min(LONGEST, time.monotonic() - began)


def _printed(command: str, project: Path) -> str:
    """Run a command on a pseudo-terminal, so that its output is formatted as for a person. Returns the
    output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", command],
        cwd=project,
        env=_environment(),
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    parts: list[bytes] = []
    while part := _read(ours):
        parts.append(part)
    process.wait()
    os.close(ours)
    return b"".join(parts).decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def _environment() -> dict[str, str]:
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": paths, "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}


@contextmanager
def _stack(project: Path) -> Iterator[None]:
    with (project / "up.log").open("wb") as log:
        stack = subprocess.Popen(
            shlex.split("sensorflow up"), cwd=project, env=_environment(), stdout=log, stderr=log
        )
        try:
            _until(lambda: b"ready" in (project / "up.log").read_bytes(), 120)
            yield
        finally:
            stack.send_signal(signal.SIGINT)
            stack.wait(60)


def _loaded(project: Path) -> None:
    done = re.compile(r"boiler\.csv.*(loaded|quarantined)")
    _until(lambda: bool(done.search(_printed("sensorflow files ls", project))), 60)


def _until(condition: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError("the stack does not answer")
        time.sleep(0.2)


def _picture(lines: list[tuple[float, str]]) -> str:
    console = Console(record=True, width=WIDTH, force_terminal=True, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115
    for _, line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop", crop=True)
    svg = console.export_svg(
        title="sensorflow", theme=MONOKAI, font_aspect_ratio=0.61, unique_id="t"
    )
    # nothing is fetched from the net
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    for number, (at, _) in enumerate(lines):
        mark = f'clip-path="url(#t-line-{number})"'
        svg = svg.replace(mark, f'{mark} style="animation:show 1ms {at:.1f}s both"')
    return svg.replace("<style>", "<style>@keyframes show{from{opacity:0}to{opacity:1}}", 1)


if __name__ == "__main__":
    sys.exit(main())
