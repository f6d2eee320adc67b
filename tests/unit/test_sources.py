"""Sources added by a command: what a person wrote stays, and a mistake writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sensorflow.cli import app, commands
from sensorflow.cli.init import TEMPLATE, write
from sensorflow.errors import UsageError
from sensorflow.settings import COPY, copied, load

LONG = 'format = "csv"\ntime = "t"\nsensor = "s"\ntype = "k"\nvalue = "v"\n'


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not app.registered_groups:
        commands.register(app)
    monkeypatch.chdir(tmp_path)
    return write(tmp_path)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    return str(done.exception) if done.exception else done.output


def test_what_stands_in_the_file_stays_and_its_mode_too(toml: Path) -> None:
    toml.chmod(0o640)
    assert "drop/b/" in run("sources", "add", "b", "-p", "toa5", "--zone", "Europe/Berlin")
    assert toml.read_text().startswith(TEMPLATE.rstrip())
    assert toml.stat().st_mode & 0o777 == 0o640
    found = load(toml, {}).profiles["b"].time
    assert found is not None
    assert found.zone is not None
    assert found.zone.constant == "Europe/Berlin"
    assert (toml.parent / "drop" / "b").is_dir()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("readings", "-p", "toa5"), "[sources.readings] already exists"),
        (("long", "-p", "toa5", "--zone", "UTC"), "[profiles.long] already exists"),
        (("a b", "-p", "toa5"), "for example a-b"),
        (("b", "-p", "tao5"), "'toa5'"),
        (("b", "-p", "toa5", "--zone", "Mars"), "unknown zone"),
        (("b", "-p", "toa5", "--path", "drop/readings/b"), "is inside of"),
        (("b", "-p", "no.toml"), "no.toml"),
        (("b", "-p", "toa5", "--path", "sensorflow.toml"), "is a file"),
    ],
)
def test_a_mistake_writes_nothing(toml: Path, arguments: tuple[str, ...], part: str) -> None:
    assert part in run("sources", "add", *arguments)
    assert toml.read_text() == TEMPLATE
    assert os.listdir(toml.parent / "drop") == ["readings"]
    toml.chmod(0o440)
    assert "read-only" in run("sources", "add", "b", "-p", "toa5")


def test_without_a_project_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not app.registered_groups:
        commands.register(app)
    monkeypatch.chdir(tmp_path)
    assert "run `sensorflow init`" in run("sources", "add", "b", "-p", "toa5")


def test_a_profile_in_a_file_is_the_same_as_one_in_the_settings(tmp_path: Path) -> None:
    toml, file = tmp_path / "sensorflow.toml", tmp_path / "testo.toml"
    toml.write_text('[sources.b]\npath = "b"\nprofile = "testo"\n[profiles.testo]\n' + LONG)
    inline = load(toml, {})
    file.write_text(LONG)
    toml.write_text('[sources.b]\npath = "b"\nprofile = "testo.toml"\n')
    found = load(toml, {})
    assert found.digest() == inline.digest()
    assert found.profiles["testo"].hash == inline.profiles["testo"].hash
    copy = tmp_path / "copy.json"
    copy.write_text(copied(toml, {}))
    file.write_text("half = ")
    assert load(toml, {COPY: str(copy)}).digest() == inline.digest()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (LONG + "senso = 1", "testo.toml: unknown key 'senso'; did you mean 'sensor'?"),
        ("format =", "testo.toml: not valid TOML"),
        ('extends = "hubo"', "did you mean 'hobo'?"),
        (None, "did you mean 'tasto.toml'?"),
    ],
)
def test_a_mistake_in_a_profile_file_names_the_file(
    tmp_path: Path, text: str | None, part: str
) -> None:
    toml = tmp_path / "sensorflow.toml"
    toml.write_text('[sources.b]\npath = "b"\nprofile = "testo.toml"\n')
    (tmp_path / ("testo.toml" if text else "tasto.toml")).write_text(text or LONG)
    with pytest.raises(UsageError) as caught:
        load(toml, {})
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "data", "part"),
    [
        (LONG + 'skip_until = "^nope"', "t,s,k,v\n", "correct skip_until"),
        (LONG.replace("csv", "parquet"), "t,s,k,v\n1,2,3,4\n", 'set format = "csv"'),
        (LONG.replace("csv", "jsonl"), '{"a":\n[1,\n2]}\n', 'format = "json"'),
        (LONG.replace("csv", "json"), '[{"t": "2020', "request the file again"),
        (
            LONG.replace('"t"', "{column='t',format='epoch_s',since={preamble='of (.*)'}}")
            + "skip=1",
            "of yesterday\nt,s,k,v\n1,2,3,4\n",
            "time.since",
        ),
    ],
)
def test_what_to_do_goes_by_the_cause(toml: Path, profile: str, data: str, part: str) -> None:
    Path("p.toml").write_text(profile)
    Path("x.csv").write_text(data)
    done = CliRunner().invoke(app, ["check", "x.csv", "-p", "p.toml"])
    assert done.exit_code == 1
    assert part in done.output


@pytest.mark.parametrize(("name", "noted"), [("boiler_7.csv", True), ("boiler.csv", False)])
def test_a_sensor_called_by_a_dated_file_name_is_pointed_out(
    toml: Path, name: str, noted: bool
) -> None:
    file = toml.parent / name
    file.write_text("time,temp\n2026-01-31T12:00:00Z,1.5\n2026-01-31T12:01:00Z,1.75\n")
    output = run("sniff", str(file), "--add", "boiler")
    assert "added [sources.boiler]" in output
    assert ('sensor = { constant = "boiler" }   in [profiles.boiler]' in output) is noted


def test_readings_that_the_proposal_does_not_tell_apart_are_not_added_unasked(toml: Path) -> None:
    file = toml.parent / "three.jsonl"
    row = (
        '{{"ts":"2026-01-31T12:{:02d}:00Z","device":{{"id":"p"}},'
        '"m":{{"temp":{{"value":{}}},"flow":{{"value":2}}}}}}'
    )
    file.write_text("\n".join(row.format(n // 3, n) for n in range(90)) + "\n")
    output = run("sniff", str(file), "--add", "pumps")
    assert "nothing was added" in output
    assert "sensor, time and type as another reading" in output
    assert "[sources.pumps]" not in toml.read_text()
    assert "added [sources.pumps]" in run("sniff", str(file), "--add", "pumps", "--accept")
