"""A folder of files: by kinds, each with a profile; and a limit on the time of any."""

from __future__ import annotations

import gc
import io
import json
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from test_sniff import rows, times
from typer.testing import CliRunner

from sensorflow.cli import app, commands
from sensorflow.cli.sniff_folder import MAX_FILES_PER_PATTERN, MAX_OPENED_FILES, look
from sensorflow.core.sniff import groups, sniff
from sensorflow.core.sniff.numeric import is_number
from sensorflow.core.sniff.units import split_unit
from sensorflow.errors import UsageError
from sensorflow.flow import sniff as command
from sensorflow.flow.time_limit import TimeLimitExceeded, time_limit

TABLE = rows("time,temp\n", "{t}Z,2{i}.5", times(12))
LONG = rows("time,sensor,type,value\n", "{t}Z,a,temp,2{i}.5", times(12))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "old"
    (path / "attic").mkdir(parents=True)
    for day in range(1, 8):
        (path / f"boiler_2024-01-0{day}.csv").write_text(TABLE)
        (path / "attic" / f"gw-{day}.csv").write_text(LONG)
    (path / "attic" / "kitchen.csv").write_text(TABLE)
    (path / "read me.txt").write_text("Just a letter.\nWith two lines.\n")
    (path / ".hidden").write_text(LONG)
    return path


def run(*arguments: str) -> str:
    commands.register(app)
    return CliRunner().invoke(app, ["sniff", *arguments], catch_exceptions=False).output


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("boiler_2024-01-31.csv", "boiler_*.csv"),
        ("2024-01-31T10-00-00Z.csv", "*.csv"),
        ("T7-0012.csv.gz", "T*.csv.gz"),
        ("a[1]b.dat", "a?*?b.dat"),
        ("roof", "roof"),
        ("0b1ce3b8-a5a9-4a9f-a0d0-5ad6e4ff3c8a.json", "*.json"),
        ("pm2.5", "pm*"),
    ],
)
def test_names_that_differ_in_numbers_are_one_pattern(name: str, pattern: str) -> None:
    assert groups.pattern(name) == pattern


def test_a_folder_is_seen_by_kinds_of_files(folder: Path) -> None:
    found = json.loads(run(str(folder), "--json"))
    kinds = {kind["name"]: (kind["patterns"], kind["needs_zone"]) for kind in found["kinds"]}
    assert kinds == {
        "boiler": ({"boiler_*.csv": 7, "kitchen.csv": 1}, False),
        "gw": ({"gw-*.csv": 7}, False),
    }
    assert (found["files"], found["looked_at"]) == (16, 2 * MAX_FILES_PER_PATTERN + 2)
    assert [kind["preview"]["valid"] for kind in found["kinds"]] == [12, 12]
    (failed,) = found["not_understood"]
    assert (failed["pattern"], failed["files"]) == ("read me.txt", 1)
    assert "no table" in failed["why"]


def test_what_is_said_of_a_folder(folder: Path) -> None:
    output = run(str(folder))
    assert "16 files, 8 sampled: 2 kinds" in output
    assert f"# next: sensorflow sniff {folder}/boiler_2024-01-01.csv --add boiler" in output
    assert "no delimiter splits the lines" in output
    with pytest.raises(UsageError, match="--out can write only one profile"):
        run(str(folder), "--out", "x.toml")
    with pytest.raises(UsageError, match="the folder has no files"):
        (folder / "none").mkdir()
        run(str(folder / "none"))


def test_a_source_reads_one_kind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sensorflow.toml").write_text("")
    with pytest.raises(UsageError) as caught:
        run("old", "--add", "all")
    assert "has 2 kinds of files" in str(caught.value)
    assert "  sensorflow sniff old/attic/gw-1.csv --add gw" in str(caught.value)
    assert "sources" not in Path("sensorflow.toml").read_text()
    for path in (folder / "attic").glob("gw*"):
        path.unlink()
    (folder / "attic" / "kitchen.csv").unlink()
    assert "added [sources.boiler]" in run("old", "--add", "boiler")


def test_files_of_one_pattern_may_be_of_several_kinds(folder: Path) -> None:
    (folder / "boiler_2024-01-07.csv").write_text(LONG)
    assert "files named boiler_*.csv are of several kinds" in run(str(folder))


def test_only_some_files_are_opened(tmp_path: Path) -> None:
    for number in range(MAX_OPENED_FILES + 10):
        name = "".join(chr(97 + int(digit)) for digit in str(number))
        (tmp_path / f"{name}.csv").write_text("x")
    seen = look(tmp_path, None)
    assert (seen.files, seen.looked_at, len(seen.passed)) == (
        MAX_OPENED_FILES + 10,
        MAX_OPENED_FILES,
        10,
    )


def test_one_file_as_json(folder: Path) -> None:
    found = json.loads(run(str(folder / "attic" / "gw-1.csv"), "--json"))
    assert found["profile"]["value"] == "value"
    assert (found["preview"]["valid"], found["todo"]) == (12, [])
    with pytest.raises(UsageError, match="--json cannot be combined with"):
        run(str(folder / "attic" / "gw-1.csv"), "--json", "--out", "x.toml")


def test_what_takes_too_long_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SECONDS", 0.01)
    path = folder / "long.csv"
    path.write_text(rows("time,temp\n", "{t}Z,2{i}.5", times(30_000)))
    gc.disable()  # a callback of it that Late is raised in swallows it, with a warning
    try:
        with pytest.raises(UsageError, match=r"takes longer than 0\.01 s; write a profile by hand"):
            run(str(path))
    finally:
        gc.enable()


def test_the_limit_ends_with_what_it_is_on_and_holds_in_the_main_thread_alone() -> None:
    with pytest.raises(TimeLimitExceeded), time_limit(0.01):
        while True:
            pass
    with time_limit(0.01):
        pass
    done: list[int] = []

    def elsewhere() -> None:
        with time_limit(1e-6):
            done.append(sum(range(200_000)))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done


def test_a_long_line_of_many_cells_is_refused_or_read_in_no_time(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("1," * 6000)
    with pytest.raises(UsageError, match="no column contains readable times"):
        command.guess(path)
    path.write_text("1," * 20_000)
    with pytest.raises(UsageError, match="the limit is 10,000"):
        command.guess(path)


def test_a_packed_file_is_open_still_for_the_preview(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.zst"
    path.write_bytes(bytes(pa.Codec("zstd").compress(TABLE.encode())))
    found = command.guess(path)
    assert command.checked(path, found).valid == 12


def test_a_cell_of_nothing_but_digits_takes_no_time() -> None:
    with time_limit(2):
        assert not is_number("9" * 100_000 + "x")


def test_a_number_of_an_exponent_beyond_all_is_refused_as_json() -> None:
    with pytest.raises(UsageError, match="not JSON"):
        sniff(io.BytesIO(b'{"time": "2024-05-01T00:00:00Z", "v": 1e999999999999999999999}'))


def test_what_is_nested_by_the_thousand_is_refused_before_a_parser_sees_it() -> None:
    with pytest.raises(UsageError, match="nested deeper than 64 levels"):
        sniff(io.BytesIO(b'{"time": "2024-05-01T00:00:00Z",\n "v": ' + b"[" * 100_000))


def test_a_title_of_nothing_but_spaces_takes_no_time() -> None:
    assert split_unit(f"a{' _' * 5000}b)") == (f"a{' _' * 5000}b)", "")


def test_files_in_folders_that_begin_with_a_dot_are_not_looked_at(folder: Path) -> None:
    (folder / ".cache").mkdir()
    (folder / ".cache" / "gw.csv").write_text(LONG)
    assert not any("gw.csv" in kind.names for kind in look(folder, None).kinds.values())


def test_a_source_takes_all_names_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, old = tmp_path / "home", tmp_path / "old"
    home.mkdir()
    old.mkdir()
    (home / "sensorflow.toml").write_text("")
    monkeypatch.chdir(home)
    for name in ("boiler.txt", "boiler.log1"):
        (old / name).write_text(TABLE)
    run(str(old), "--add", "b")
    written = (home / "sensorflow.toml").read_text()
    assert 'include = ["*.log1", "*.txt"]' in written


def test_a_sensor_that_not_all_names_tell_is_not_added(tmp_path: Path) -> None:
    for name in ("boiler_2024-01-01.csv", "boiler_2024-01-02.csv", "cellar.csv"):
        (tmp_path / name).write_text(TABLE)
    assert "not match cellar.csv" in run(str(tmp_path))
    with pytest.raises(UsageError, match=r"not match cellar\.csv"):
        run(str(tmp_path), "--add", "b")
