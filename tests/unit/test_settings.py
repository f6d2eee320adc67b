"""Every mistake in the settings is one line that names the file, the key and what would be right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sensorflow.cli.init import write
from sensorflow.errors import UsageError
from sensorflow.folders import require_folders
from sensorflow.settings import FolderSource, Settings, find, load

GOOD = """
[sources.plant]
path = "drop"
profile = "long"
[profiles.long]
format = "csv"
time = "time"
sensor = "sensor"
type = "type"
value = "value"
"""


def mistake(folder: Path, text: str, env: dict[str, str] | None = None) -> str:
    path = folder / "sensorflow.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(path, env or {})
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    return message


def test_the_file_that_init_writes_is_right(tmp_path: Path) -> None:
    settings = load(write(tmp_path), {})
    assert list(settings.sources) == ["readings"]
    assert settings.embedded
    require_folders(settings)
    with pytest.raises(UsageError, match="already exists"):
        write(tmp_path)


def test_the_example_that_init_comments_is_right(tmp_path: Path) -> None:
    text = write(tmp_path).read_text()
    example = text[text.index("# [profiles.logger]") :]
    bare = "\n".join(line.removeprefix("# ") for line in example.splitlines())
    (tmp_path / "sensorflow.toml").write_text(GOOD + bare)
    assert load(tmp_path / "sensorflow.toml", {}).profiles["logger"].wide


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("rescann = 5", ["sensorflow.toml", "'rescann'", "'rescan'"]),
        ('rescan = "soon"', ["rescan = 'soon'", "number"]),
        ("workers = 0", ["workers = 0", "greater than or equal to 1"]),
        ('broker_url = "kafka://x"', ["broker_url", "redis://"]),
        ('inline_below = "8 elephants"', ["inline_below"]),
        ("[sources.plant]\npath = 'x'\nprofil = 'long'", ["sources.plant.profil", "'profile'"]),
        (
            "[sources.plant]\npath = 'x'\nprofile = 'lonk'\n"
            + GOOD.split("\n\n")[0].split('long"\n')[1],
            ["sources.plant.profile = 'lonk'", "'long'"],
        ),
        ("[profiles.p]\nformat = 'yaml'", ["profiles.p.format = 'yaml'", "csv"]),
        ("[profiles.p]\nformat = 'csv'\ntime = 't'\nsensor = 's'", ["profiles.p", "columns"]),
        ("[profiles.p.time]\ncolum = 't'", ["profiles.p.time.colum", "'column'"]),
        ("[profiles.p.time]\ncolumn = 't'\nformat = '%Q'", ["profiles.p.time.format", "%Q"]),
        ("[profiles.p.time]\ncolumn = 't'\nzone = 'Mars'", ["profiles.p.time.zone", "IANA"]),
        ("[profiles.p.time]\ncolumn = 't'\nzone = 'Europe/Berln'", ["'Europe/Berlin'"]),
        ("[profiles.p]\nmissing = -9999", ["profiles.p.missing", 'missing = ["-9999"']),
        ("[profiles.p.sensor]\nfile_name = '(('", ["profiles.p.sensor.file_name"]),
        ("rescan = ", ["not valid TOML"]),
        ('dedupe_index = "late"', ["dedupe_index = 'late'", "'deferred'"]),
        ('seal_after = "forever"', ["seal_after = 'forever'", '"7d"']),
        ('seal_after = "3mh"', ["seal_after = '3mh'", '"90d"']),
    ],
)
def test_mistakes(tmp_path: Path, line: str, parts: list[str]) -> None:
    message = mistake(tmp_path, line)
    for part in parts:
        assert part in message


def test_a_source_whose_files_share_readings_needs_the_unique_index(tmp_path: Path) -> None:
    shared = 'dedupe_scope = "source"\non_change = "keep"\n[profiles.long]'
    text = GOOD.replace("[profiles.long]", shared)
    (tmp_path / "sensorflow.toml").write_text(text)
    assert not load(tmp_path / "sensorflow.toml", {}).deferred
    message = mistake(tmp_path, 'dedupe_index = "deferred"\n' + text)
    assert 'sources.plant.dedupe_scope = "source" needs dedupe_index = "unique"' in message
    assert 'the scope "file"' in message


def test_a_boolean_spelt_maybe_is_an_error(tmp_path: Path) -> None:
    message = mistake(
        tmp_path, GOOD.replace('profile = "long"', 'profile = "long"\npolling = "maybe"')
    )
    assert "sources.plant.polling = 'maybe'" in message


def test_a_mistake_in_a_variable_names_the_variable(tmp_path: Path) -> None:
    assert "SENSORFLOW_RESCAN" in mistake(tmp_path, GOOD, {"SENSORFLOW_RESCAN": "soon"})
    message = mistake(tmp_path, GOOD, {"SENSORFLOW_RESCANN": "5"})
    assert "SENSORFLOW_RESCANN" in message
    assert "'rescan'" in message


def test_a_variable_below_a_single_value_does_not_print_the_value(tmp_path: Path) -> None:
    url = "postgresql://loader:hunter2@db/plant"
    below = {"SENSORFLOW_DATABASE_URL__HOST": "db"}
    for text, env in (
        (f'database_url = "{url}"\n{GOOD}', below),
        (GOOD, {"SENSORFLOW_DATABASE_URL": url, **below}),
    ):
        message = mistake(tmp_path, text, env)
        assert "hunter2" not in message
        assert "SENSORFLOW_DATABASE_URL__HOST needs the table database_url" in message


def test_a_variable_that_contains_the_url_instead_of_a_file_does_not_print_it(
    tmp_path: Path,
) -> None:
    env = {"SENSORFLOW_DATABASE_URL_FILE": "postgresql://loader:hunter2@db/plant"}
    message = mistake(tmp_path, GOOD, env)
    assert "hunter2" not in message
    assert "SENSORFLOW_DATABASE_URL_FILE" in message


@pytest.mark.parametrize("key", ["database_url", "broker_url"])
def test_a_url_of_the_wrong_type_is_not_printed(tmp_path: Path, key: str) -> None:
    url = "redis://loader:hunter2@db/0"
    for text in (
        f'{key} = ["{url}"]\n{GOOD}',
        f'{GOOD}[{key}]\nurl = "{url}"\n',
        f'{key} = "{url} x"\n{GOOD}'.replace("redis:", "nothing:"),
    ):
        message = mistake(tmp_path, text)
        assert key in message
        assert "hunter2" not in message


def test_variables_win_over_the_file_and_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:secret@h/d\n")
    (tmp_path / "sensorflow.toml").write_text("rescan = 7\n" + GOOD)
    env = {
        "SENSORFLOW_RESCAN": "9",
        "SENSORFLOW_DATABASE_URL_FILE": str(tmp_path / "url"),
        "SENSORFLOW_SOURCES__PLANT__AFTER": "keep",
    }
    settings = load(tmp_path / "sensorflow.toml", env)
    assert settings.rescan == 9
    assert settings.sources["plant"].after == "keep"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:secret@h/d"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"hunter2\xff", "not UTF-8")],
)
def test_an_unusable_secret_is_named_and_not_shown(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    message = mistake(tmp_path, GOOD, {"SENSORFLOW_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert "SENSORFLOW_DATABASE_URL_FILE" in message
    assert expected in message
    assert "hunter2" not in message


def test_a_secret_without_read_permission_is_named_with_the_user(tmp_path: Path) -> None:
    """In a process of its own, because it gives up root."""
    (tmp_path / "url").write_text("postgresql://u:hunter2@h/d")
    (tmp_path / "url").chmod(0o200)
    tmp_path.chmod(0o755)
    program = f"""import os
from sensorflow.environment import Variables
if os.geteuid() == 0: os.setuid(12345)
os.environ["SENSORFLOW_DATABASE_URL_FILE"] = {str(tmp_path / "url")!r}
Variables(os.environ, ["database_url"]).overlay({{}})"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "Permission denied; the variable must name a file that uid" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_mistake_in_a_secret_does_not_show_it(tmp_path: Path) -> None:
    message = mistake(tmp_path, 'database_url = "mysql://u:hunter2@h/d"')
    assert "hunter2" not in message


@pytest.mark.parametrize("path", [".", "data/drop", "data"])
def test_folders_within_each_other_are_refused(tmp_path: Path, path: str) -> None:
    assert "within" in mistake(tmp_path, GOOD.replace('path = "drop"', f'path = "{path}"'))


def test_kubernetes_own_variables_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sensorflow.toml").write_text(GOOD)
    env = {"SENSORFLOW_SERVICE_HOST": "10.0.0.1", "SENSORFLOW_PORT_80_TCP": "tcp://10.0.0.1:80"}
    load(tmp_path / "sensorflow.toml", env)


def test_missing_folders_and_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "sensorflow.toml").write_text(GOOD)
    with pytest.raises(UsageError, match=r"sources\.plant\.path = 'drop'.*mkdir"):
        require_folders(load(tmp_path / "sensorflow.toml", {}))
    with pytest.raises(UsageError, match="no such file"):
        find(tmp_path, {"SENSORFLOW_CONFIG": str(tmp_path / "nowhere.toml")})
    with pytest.raises(UsageError, match="SENSORFLOW_DATABASE_URL_FILE"):
        load(None, {"SENSORFLOW_DATABASE_URL_FILE": "/nowhere"})


def test_settings_are_found_in_a_folder_above(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "sensorflow.toml").write_text(GOOD)
    assert find(inner, {}) == tmp_path / "sensorflow.toml"


@pytest.mark.parametrize(
    ("limit", "rejected", "read", "tolerated"),
    [
        ("10%", 1, 10, True),
        ("10%", 2, 10, False),
        ("0", 0, 10, True),
        ("0", 1, 10, False),
        (5, 5, 10, True),
        ("100%", 9, 10, True),
        ("100%", 10, 10, False),
    ],
)
def test_tolerance(limit: object, rejected: int, read: int, tolerated: bool) -> None:
    source = FolderSource.model_validate({"path": "x", "profile": "p", "max_rejects": limit})
    assert source.tolerates(rejected, read) is tolerated


def test_defaults_need_no_file() -> None:
    assert isinstance(load(None, {}), Settings)


@pytest.mark.parametrize("kind", ["'bucket'", "5"])
def test_a_kind_that_there_is_not_is_named_with_those_that_there_are(
    tmp_path: Path, kind: str
) -> None:
    message = mistake(tmp_path, GOOD.replace('path = "drop"', f"kind = {kind}\npth = 3"))
    expected = f"sources.plant.kind = {kind}: no such kind of source; known: folder"
    assert message == f"{tmp_path / 'sensorflow.toml'}: {expected}"


def test_a_source_without_a_kind_is_a_folder_and_reads_as_before(tmp_path: Path) -> None:
    (tmp_path / "sensorflow.toml").write_text(GOOD)
    plain = load(tmp_path / "sensorflow.toml", {})
    (tmp_path / "sensorflow.toml").write_text(GOOD.replace("path =", 'kind = "folder"\npath ='))
    loaded = load(tmp_path / "sensorflow.toml", {})
    assert plain.sources == loaded.sources
    assert plain.digest() == loaded.digest()
    assert "kind" not in plain.compared()["sources"]["plant"]
    assert plain.compared()["sources"]["plant"]["path"] == "drop"


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("stability_windw", "'stability_window'"),
        ("on_chang", "'on_change'"),
        ("zzz", "known: kind, path, profile, "),
    ],
)
def test_keys_of_the_kind_and_of_the_policy_are_proposed(
    tmp_path: Path, key: str, hint: str
) -> None:
    message = mistake(tmp_path, GOOD.replace("path =", f"{key} = 1\npath ="))
    assert f"unknown key 'sources.plant.{key}'; " in message
    assert hint in message
