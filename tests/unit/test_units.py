"""Units of systemd: what systemd itself says of them, and what is refused before any is written."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from sensorflow.errors import UsageError
from sensorflow.service import plan as plans
from sensorflow.service.escape import mount_unit, value, word
from sensorflow.service.units import PARTS, Plan, units
from sensorflow.testing.project import write_settings

ODD = 'my plant\'s "é" (2) 100% $HOME %n \\x41'


def a_plan(folder: Path, **given: object) -> Plan:
    """Of a project in this folder, with everything that a plan may have."""
    values: dict[str, object] = {
        "name": "sensorflow-odd",
        "config": folder / "sensorflow.toml",
        "python": sys.executable,
        "folders": (folder, folder / "data"),
        "variables": folder / "odd.env",
        "user": "daemon",
        "mounts": [folder / "data"],
        "late": [folder / "drop"],
        "secrets": {"database_url": folder / "db", "broker_url": folder / "broker"},
    }
    return Plan(**{**values, **given})  # type: ignore[arg-type]


def verified(folder: Path, plan: Plan) -> str:
    """What `systemd-analyze verify` has to say; nothing when all is well."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in units(plan).items():
        (folder / name).write_text(text)
    manager = "--user" if plan.user is None else "--system"
    command = ["systemd-analyze", manager, "verify", "--man=no", str(folder / plan.unit)]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}  # where the user's manager would be
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("user", ["daemon", None])
@pytest.mark.parametrize("parts", [(), PARTS])
def test_systemd_finds_no_fault_in_a_unit(
    tmp_path: Path, user: str | None, parts: tuple[str, ...]
) -> None:
    assert verified(tmp_path / "units", a_plan(tmp_path / ODD, user=user, parts=parts)) == ""


def test_a_program_of_any_path_is_started(tmp_path: Path) -> None:
    for name in (ODD, "it's", 'a "b"', "back\\slash", "ünï code", "semi;colon"):
        plan = a_plan(tmp_path / ODD, python=str(tmp_path / name / "python"))
        link = tmp_path / name / "python"
        link.parent.mkdir()
        link.symlink_to(sys.executable)
        assert verified(tmp_path / "units", plan) == "", name


def test_a_fault_would_be_found(tmp_path: Path) -> None:
    """A program that is not there is named, also of a path with a space in it."""
    program = tmp_path / "a folder 100%" / "python"
    assert f"{program} is not executable" in verified(
        tmp_path / "units", a_plan(tmp_path, python=str(program))
    )


def test_parts_are_grouped_and_only_named_ones_are_there(tmp_path: Path) -> None:
    files = units(a_plan(tmp_path, parts=("worker",)))
    assert list(files) == ["sensorflow-odd.target", "sensorflow-odd-worker.service"]
    assert "Wants=sensorflow-odd-worker.service" in files["sensorflow-odd.target"]
    assert "PartOf=sensorflow-odd.target" in files["sensorflow-odd-worker.service"]


def test_mount_units_are_named_as_systemd_does() -> None:
    for path in ("/mnt/the share", "/srv/é-1/.x", "/a\\b%c", "/"):
        shown = subprocess.run(
            ["systemd-escape", "--path", "--suffix=mount", path],
            capture_output=True,
            text=True,
            check=True,
        )
        assert mount_unit(Path(path)) == shown.stdout.strip()


@pytest.mark.parametrize("text", ["a\nb", "a\x7f", "\udcff"])
def test_what_no_unit_can_hold_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        word(text)
    with pytest.raises(UsageError):
        value(text)


def test_a_service_never_runs_as_root_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sensorflow.toml"
    path.touch()
    whose = pwd.getpwuid(path.stat().st_uid).pw_name
    if whose == "root":
        with pytest.raises(UsageError, match="--run-as NAME"):
            plans.owner(path, None)
        path.chmod(0o644)
    else:
        assert plans.owner(path, None) == whose
    assert plans.owner(path, "root") == "root"
    with pytest.raises(UsageError, match="no such user"):
        plans.owner(path, "no-such-user")


def test_parts_need_servers_that_other_hosts_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "db").write_text("postgresql://u@h/d")
    (tmp_path / "broker").write_text("redis://h/0")
    write_settings(tmp_path, {"s": {}})
    monkeypatch.chdir(tmp_path)
    path, settings = plans.project({})
    with pytest.raises(UsageError, match="--parts needs database_url and broker_url"):
        plans.plan(path, settings, user="daemon", parts=("worker",))
    secrets = plans.secrets_of(["database_url=db", "broker_url=broker"])
    path, settings = plans.project(secrets)
    plan = plans.plan(path, settings, user="daemon", parts=("worker",), secrets=secrets)
    text = units(plan)[f"{plan.name}-worker.service"]
    assert f"LoadCredential=database_url:{tmp_path}/db" in text
    assert "Environment=SENSORFLOW_DATABASE_URL_FILE=%d/database_url" in text


def test_an_empty_database_is_not_begun_for_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root the embedded servers keep their data elsewhere."""
    write_settings(tmp_path, {"s": {}})
    monkeypatch.chdir(tmp_path)
    path, settings = plans.project({})
    (tmp_path / "data/embedded/postgres").mkdir(parents=True)
    with pytest.raises(UsageError, match="would create a new, empty one"):
        plans.require_usable(path, settings, "root")
