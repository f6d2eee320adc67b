"""stdout accepts only a part of what is written, as a full disk and a non-blocking pipe do."""

from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

LINES = 40_000
COMMAND = f"""
import sys
import typer
from sensorflow.cli import commands, main

def register(app):
    @app.command()
    def write(binary: bool = False):
        text = "".join(f"line {{n}}\\n" for n in range({LINES}))
        if binary:
            sys.stdout.buffer.write(text.encode())
        else:
            sys.stdout.write(text)

commands.register = register
sys.argv[1:1] = ["write"]
main()
"""
EXPECTED = "".join(f"line {n}\n" for n in range(LINES)).encode()


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def env(request: pytest.FixtureRequest) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": request.param}


def started(env: dict[str, str], stdout: int, *words: str, limit: int = 0) -> subprocess.Popen[str]:
    def limited() -> None:
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-c", COMMAND, *words]
    return subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=env, preexec_fn=limited
    )


@pytest.mark.parametrize("words", [(), ("--binary",)])
def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything(
    env: dict[str, str], words: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with started(env, writer, *words) as process, open(reader, "rb") as stream:
        os.close(writer)
        assert stream.read() == EXPECTED
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert process.returncode == 0


@pytest.mark.parametrize("words", [(), ("--binary",)])
def test_output_that_the_disk_does_not_accept_is_a_failure_of_one_line(
    env: dict[str, str], words: tuple[str, ...], tmp_path: Path
) -> None:
    with (tmp_path / "out").open("wb") as out:
        process = started(env, out.fileno(), *words, limit=100_000)
        err = process.communicate(timeout=PATIENCE)[1]
    assert (tmp_path / "out").read_bytes() == EXPECTED[:100_000]
    assert (process.returncode, err) == (
        1,
        "sensorflow: the output is incomplete: File too large\n",
    )


def test_a_full_disk_is_named(env: dict[str, str]) -> None:
    with Path("/dev/full").open("wb") as out:
        process = started(env, out.fileno())
        err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 1
    assert err.startswith("sensorflow: the output is incomplete: no space left on the disk: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [(), ("--binary",)])
def test_a_reader_that_stops_ends_the_command_quietly(
    env: dict[str, str], words: tuple[str, ...]
) -> None:
    reader, writer = os.pipe()
    with started(env, writer, *words) as process:
        os.close(writer)
        assert os.read(reader, 10) == EXPECTED[:10]
        os.close(reader)
        assert process.communicate(timeout=PATIENCE)[1] == ""
    assert process.returncode == 1


def test_output_to_a_closed_stdout_is_a_failure_of_one_line(env: dict[str, str]) -> None:
    shell = f'exec "{sys.executable}" -c "$0" >&-'
    command = ["sh", "-c", shell, COMMAND]
    done = subprocess.run(command, env=env, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    expected = "sensorflow: the output is incomplete: Bad file descriptor\n"
    assert (done.returncode, done.stderr) == (1, expected)
