"""Former names of settings and commands are read for one version, and reported once."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
import warm
from former_names import FORMER

from sensorflow.errors import FormerName, UsageError
from sensorflow.settings import FolderSource, Settings, Source, load
from sensorflow.settings import sources as kinds

SERVERS = """
database_url = "postgresql://127.0.0.1:1/none"
broker_url = "redis://127.0.0.1:1/0"
"""
OLD = """
sweep = 7
deferred_close = "90d"
[sources.plant]
path = "drop"
profile = "long"
settle = 0.5
"""
NEW = OLD.replace("sweep", "reconcile").replace("deferred_close", "seal_after")
NEW = NEW.replace("settle", "stability_window")
PLACES = {"sweep": "sweep", "deferred_close": "deferred_close", "settle": "sources.plant.settle"}


def loaded(folder: Path, text: str, **variables: str) -> Settings:
    (folder / "sensorflow.toml").write_text(text)
    return load(folder / "sensorflow.toml", variables)


def mistake(folder: Path, text: str, **variables: str) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(folder, text, **variables)
    return str(caught.value).replace(str(folder / "sensorflow.toml"), "FILE")


def plain(folder: Path, text: str, **variables: str) -> Settings:
    """Settings that warn of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return loaded(folder, text, **variables)


def test_former_keys_are_read_and_each_is_reported_with_its_file_and_new_name(
    tmp_path: Path,
) -> None:
    with pytest.warns(FormerName) as found:
        settings = loaded(tmp_path, OLD)
    file = tmp_path / "sensorflow.toml"
    assert {str(warning.message) for warning in found} == {
        f"{file}: {PLACES[former]} is now called {key}; rename it before the next upgrade"
        for key, former in FORMER.items()
    }
    source = settings.folders["plant"]
    assert (settings.reconcile, settings.seal_after.days, source.stability_window) == (7, 90, 0.5)


def test_hosts_with_former_and_with_new_keys_have_the_same_digests(tmp_path: Path) -> None:
    with pytest.warns(FormerName):
        old = loaded(tmp_path, OLD)
    new = plain(tmp_path, NEW)
    assert (old.shared_digest(), old.digest()) == (new.shared_digest(), new.digest())
    assert new.shared_digest() != plain(tmp_path, NEW.replace("7", "8", 1)).shared_digest()


def test_variables_by_former_names_override_the_file_and_are_reported(tmp_path: Path) -> None:
    variables = {"SENSORFLOW_SWEEP": "8", "SENSORFLOW_SOURCES__PLANT__SETTLE": "0.25"}
    text = NEW.replace("reconcile = 7", "").replace("stability_window = 0.5", "")
    with pytest.warns(FormerName) as found:
        settings = loaded(tmp_path, text, **variables)
    assert {str(warning.message).partition(":")[0] for warning in found} == set(variables)
    assert settings.reconcile == 8
    assert settings.folders["plant"].stability_window == 0.25
    with pytest.warns(FormerName, match=r"^SENSORFLOW_SWEEP: "):
        assert loaded(tmp_path, "sweep = 1", SENSORFLOW_SWEEP="9").reconcile == 9


def test_a_key_under_both_names_is_an_error(tmp_path: Path) -> None:
    both = "sweep is the former name of reconcile, and both are set; remove sweep"
    variable = {"SENSORFLOW_RECONCILE": "9"}
    assert mistake(tmp_path, "sweep = 7\nreconcile = 7") == f"FILE: {both}"
    assert mistake(tmp_path, "sweep = 7", **variable) == f"FILE and SENSORFLOW_RECONCILE: {both}"
    message = mistake(tmp_path, "reconcile = 7", SENSORFLOW_SWEEP="9")
    assert message == f"SENSORFLOW_SWEEP and FILE: {both}"
    message = mistake(tmp_path, NEW + "settle = 1")
    assert message.startswith("FILE: sources.plant.settle is the former name of stability_window")


def test_a_mistake_under_a_former_name_names_it_and_its_variable(tmp_path: Path) -> None:
    message = mistake(tmp_path, "sweep = 0")
    assert message.startswith("FILE: reconcile = 0: ")
    assert message.endswith("(set by its former name, sweep)")
    message = mistake(tmp_path, NEW.replace("stability_window", "settle"), SENSORFLOW_RESCAN="x")
    assert "former" not in message
    message = mistake(tmp_path, "", SENSORFLOW_SWEEP="soon")
    assert message.startswith("SENSORFLOW_SWEEP: reconcile = 'soon': ")


def test_a_source_of_another_kind_keeps_a_key_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tape(Source):
        settle: int = 0

    monkeypatch.setitem(kinds.KINDS, "tape", Tape)
    text = '[sources.t]\nkind = "tape"\nprofile = "long"\nsettle = 3'
    found = plain(tmp_path, text.replace('"long"', '"hobo"')).sources["t"]
    assert isinstance(found, Tape)
    assert found.settle == 3


def test_no_former_name_is_the_name_of_another_key() -> None:
    for model in (Settings, FolderSource):
        assert set(model.former) <= set(model.model_fields)
        assert not set(model.former.values()) & set(model.model_fields)


def test_commands_report_former_keys_on_stderr_and_processes_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "sensorflow.toml").write_text(SERVERS + OLD)
    (tmp_path / "drop").mkdir()
    ls = run(tmp_path, "sensorflow", "sources", "ls", "--json")
    assert [source["name"] for source in json.loads(ls.stdout)] == ["plant"]
    lines = ls.stderr.decode().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"sensorflow: warning: {tmp_path / 'sensorflow.toml'}: sweep is now")
    for urls, process in (
        ("", ["sensorflow", "watch"]),  # ends where its server does not run
        (SERVERS, ["celery", "-A", "workers", "report"]),
    ):
        (tmp_path / "sensorflow.toml").write_text(urls + OLD)
        output = run(tmp_path, *process).stderr.decode()
        assert "warning:" not in output
        assert "FormerName" not in output
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        renamed = [event for event in events if event["event"] == "setting.renamed"]
        assert {(event["former"], event["key"]) for event in renamed} == {
            ("sweep", "reconcile"),
            ("deferred_close", "seal_after"),
            ("sources.plant.settle", "sources.plant.stability_window"),
        }
        assert len(renamed) == 3
        assert {event["where"] for event in renamed} == {str(tmp_path / "sensorflow.toml")}


def test_a_former_command_is_hidden_works_and_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sensorflow.toml").write_text(SERVERS)
    new, old = (run(tmp_path, "sensorflow", "db", word) for word in ("seal", "close"))
    warning, *other_lines = old.stderr.decode().splitlines()
    assert warning == (
        "sensorflow: warning: `sensorflow db close` is now called `sensorflow db seal`; "
        "change it before the next upgrade"
    )
    assert (old.returncode, other_lines) == (new.returncode, new.stderr.decode().splitlines())
    assert other_lines == [
        'sensorflow: nothing to seal: dedupe_index = "unique" indexes every partition at once'
    ]
    listed = run(tmp_path, "sensorflow", "db", "--help").stdout.decode()
    assert "  seal  " in listed
    assert "close" not in listed
    assert b"--month" in run(tmp_path, "sensorflow", "db", "close", "--help").stdout


def test_a_former_option_is_hidden_and_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sensorflow.toml").write_text("")
    output = run(tmp_path, "sensorflow", "undo", "a.csv", "--why", "broken").stderr.decode()
    assert output.startswith(
        "sensorflow: warning: `sensorflow undo --why` is now called `sensorflow undo --reason`; "
    )
    assert (
        "warning"
        not in run(tmp_path, "sensorflow", "undo", "a.csv", "--reason", "broken").stderr.decode()
    )
    assert b"--why" not in run(tmp_path, "sensorflow", "undo", "--help").stdout


def run(folder: Path, *words: str) -> warm.subprocess.CompletedProcess[bytes]:
    return warm.run(list(words), dict(os.environ), folder, 60)
