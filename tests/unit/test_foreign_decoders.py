"""A decoder of another package fails by its own name, and costs its file alone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from patience import PATIENCE
from test_flow import InMemoryPipeline
from typer.testing import CliRunner

from sensorflow import telemetry
from sensorflow.cli import app, commands
from sensorflow.core.states import State
from sensorflow.errors import Code
from sensorflow.flow.outcomes import Outcome, Result
from sensorflow.settings import Settings
from sensorflow.testing.project import write_settings

MODULE = '''
import sys
from sensorflow.core.binding.binding import decoded
from sensorflow.core.formats.chunk import Reject, Spot
from sensorflow.core.formats.decoded import DecodedReading, Readings
from sensorflow.errors import Code, Permanent, Transient


def chunks(stream, profile, resolve):
    """Reads a file that says what goes wrong: a statement of Python, before the one chunk is yielded."""
    what = stream.read(1000).decode()
    found = Readings(decoded(profile, ("iso8601",)))
    line = 2
    def reading():
        found.records += 1
        found.spots[line] = lambda: Spot(0, "x")
        add = found.decoded.append
        add(DecodedReading(line, "2026-01-01T00:00:00Z", "s", "temperature", "degC", "1.5"))
    names = {**globals(), "stream": stream, "found": found, "reading": reading}
    if what.startswith("line"):
        line = int(what.split()[1])
    reading()
    if not what.startswith("line"):
        exec(what, names)
    yield names.get("instead", found.chunk())
'''
NAME = "the decoder 'unsound' of the package sensorflow-unsound 1.0 failed: "


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    telemetry.configure()  # structlog's own way takes seconds for a traceback
    yield
    structlog.reset_defaults()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    known = folder / "sensorflow_unsound-1.0.dist-info"
    known.mkdir(parents=True)
    (folder / "sensorflow_unsound.py").write_text(MODULE)
    (known / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sensorflow-unsound\nVersion: 1.0\n"
    )
    (known / "entry_points.txt").write_text(
        "[sensorflow.decoders]\nunsound = sensorflow_unsound:chunks\n"
    )
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("sensorflow_unsound", None)


class Unsound(InMemoryPipeline):
    """Reads its files by the decoder."""

    def __init__(self) -> None:
        super().__init__()
        columns: dict[str, Any] = {
            "sources": {"plant": {"path": "drop", "profile": "odd"}},
            "profiles": {"odd": {"format": "unsound"}},
            "group_small_files": False,
            "home": Path("/nowhere"),
        }
        self.settings = Settings.model_validate(columns)
        self.services = replace(self.services, settings=self.settings)
        self._turn = 0

    def tried(self, what: str) -> tuple[int, list[Result]]:
        """A file, tried until it is at rest or has been tried five times."""
        self._turn += 1
        file_id, results = self.drop(what.encode(), b"%d.bin" % self._turn).file_id, list[Result]()
        while len(results) < 5 and self.state(file_id) is State.PENDING:
            results += self.work()
            self.now += timedelta(hours=1)
        return file_id, results


FAILURES = {
    'raise TimeoutError("slow")': "TimeoutError: slow",
    'raise ConnectionError("db?")': "ConnectionError: db?",
    'raise OSError(5, "no tape")': "OSError: [Errno 5] no tape",
    'raise ValueError("rub\\x1b[31m\\nbish")': "ValueError: rub\\x1b[31m\\nbish",
    "sys.exit(3)": "SystemExit: 3",
    "raise GeneratorExit": "GeneratorExit: ",
    "instead = None": "it yielded a NoneType, not a Chunk",
    "line 0": "line 0: lines are counted from 1",
    "line -5": "line -5: lines are counted from 1",
    "found.records = -10": "records = -10: not a whole number of at least 0",
    "found.records = 1.5": "records = 1.5: not a whole number of at least 0",
    "found.records = True": "records = True: not a whole number of at least 0",
    "found.rejects.append((1, 2, 3))": "a reject is a tuple, not a Reject",
    'found.rejects.append(Reject(0, 0, None, Code.MALFORMED_ROW, "r", "t"))': (
        "a reject of line 0: lines are counted from 1"
    ),
}


@pytest.mark.parametrize(("what", "expected"), FAILURES.items(), ids=list(FAILURES))
def test_what_a_decoder_raises_or_yields_burns_three_attempts_and_names_it(
    site: Path, what: str, expected: str
) -> None:
    plant = Unsound()
    file_id, results = plant.tried(what)
    ends = [Outcome.RETRY, Outcome.RETRY, Outcome.DEAD_LETTERED, Outcome.QUARANTINED]
    assert [r.outcome for r in results] == ends
    view = plant.ledger.file(file_id)
    assert view is not None
    assert view.quarantined_to is not None
    error = plant.services.quarantine.manifest(view.quarantined_to)["error"]
    assert (error["code"], error["message"]) == (Code.UNEXPECTED, NAME + expected)
    assert "correct the decoder 'unsound' of the package" in error["what_to_do"]
    assert plant.ledger.rows == {}


def test_what_a_decoder_calls_transient_or_permanent_is_taken_for_that(site: Path) -> None:
    _, waits = Unsound().tried('raise Transient(Code.STORAGE, "tape robot away")')
    assert [r.outcome for r in waits] == [Outcome.RETRY] * 5
    _, [refused, _] = Unsound().tried('raise Permanent(Code.UNREADABLE, "not ours")')
    assert refused.outcome is Outcome.DEAD_LETTERED
    assert str(refused.error) == "F203 file-unreadable: not ours"


@pytest.mark.parametrize(
    "how", ["stream.read(9)", "try: stream.read(9)\nexcept OSError: raise ValueError(9)"]
)
def test_a_disk_that_fails_under_a_decoder_is_not_the_decoder_s_fault(
    site: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(io.BytesIO):
        def fileno(self) -> int:  # it is a file of this host, of which no copy is made
            return -1

        def read(self, size: int | None = -1) -> bytes:
            if size == 9:
                raise OSError(5, "Input/output error")
            return super().read(size)

    plant = Unsound()
    plant.services = replace(plant.services, landing=_Landing(plant.services.landing, Failing))
    _, results = plant.tried(how)
    assert [r.outcome for r in results] == [Outcome.RETRY] * 5
    assert "I503 storage-unavailable" in results[0].text


class _Landing:
    """Objects are read by another kind of stream."""

    def __init__(self, landing: Any, stream: Any) -> None:
        self._landing, self._stream = landing, stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._landing, name)

    def open(self, name: str) -> Any:
        with self._landing.open(name) as found:
            return self._stream(found.read())


@pytest.mark.parametrize("what", ['raise ValueError("rub\\x1b[31m")', "sys.exit(3)"])
def test_check_shows_the_failure_of_a_decoder_as_a_refusal(
    site: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_settings(tmp_path, {"raw": {"profile": "raw"}}, {"raw": {"format": "unsound"}})
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.bin").write_text(what)
    monkeypatch.chdir(tmp_path)
    if not app.registered_groups:
        commands.register(app)
    done = CliRunner().invoke(app, ["check", "raw/a.bin"])
    assert done.exit_code == 1
    assert f"the file cannot be loaded: F299 unexpected-error: {NAME}" in done.output
    assert "\x1b" not in done.output


@pytest.mark.parametrize("what", ["raise MemoryError", "raise ValueError(1) from MemoryError()"])
def test_a_decoder_that_lacks_memory_is_told_of_memory(site: Path, what: str) -> None:
    _, results = Unsound().tried(what)
    assert len(results) == 4
    assert "F217 out-of-memory" in results[2].text


def test_a_command_ends_though_a_decoder_has_left_a_thread(site: Path, tmp_path: Path) -> None:
    write_settings(tmp_path, {"raw": {"profile": "raw"}}, {"raw": {"format": "unsound"}})
    (tmp_path / "raw").mkdir()
    left = "import threading; threading.Thread(target=threading.Event().wait).start()"
    (tmp_path / "raw" / "a.csv").write_text(left)
    env = {**os.environ, "PYTHONPATH": str(site)}
    command = [
        sys.executable,
        "-c",
        "from sensorflow.cli import main; main()",
        "check",
        "raw/a.csv",
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "would be loaded" in done.stdout
