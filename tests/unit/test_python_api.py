"""What `import sensorflow` offers: the names, and what is read, checked and proposed by them."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import sensorflow
from sensorflow import Permanent, SensorflowError

HEAD = "time,sensor,type,value,unit\n"
GOOD = "2026-01-31T12:00:00Z,tank-7,temperature,21.5,degC\n"
BAD = "2026-01-31T12:01:00Z,tank-7,temperature,x,degC\n"
LOGGER = {"format": "csv", "time": "t", "sensor": {"constant": "s"}, "columns": ["v"]}
PUBLIC = Path(__file__).with_name("public.txt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("x.csv").write_text(HEAD + GOOD + BAD)
    Path("local.csv").write_text("t,v\n2026-03-29 01:30:00,1\n2026-07-01 12:00:00,2\n")
    return tmp_path


def refused(*given: object, **only: object) -> str:
    with pytest.raises(SensorflowError) as error:
        sensorflow.read(*given, **only)  # type: ignore[arg-type]
    return f"{str(error.value.code).split()[0]} {error.value}"


def public() -> str:
    lines = []
    for name in sensorflow.__all__:
        found = getattr(sensorflow, name)
        if inspect.isfunction(found):
            lines.append(f"{name}{inspect.signature(found)}")
            continue
        bases = ", ".join(base.__name__ for base in found.__bases__)
        lines.append(f"class {name}({bases})")
        if found.__module__.startswith(("sensorflow.api", "sensorflow.flow", "sensorflow.status")):
            lines += sorted(f"    {line}" for line in _members(found))
    return "\n".join(lines) + "\n"


def _members(found: type) -> list[str]:
    fields = [f"{name}: {kind}" for name, kind in inspect.get_annotations(found).items()]
    methods = [
        f"{name}{inspect.signature(member)}"
        for name, member in vars(found).items()
        if inspect.isfunction(member)
        if not name.startswith("_") or name == "__iter__" or (name == "__init__" and not fields)
    ]
    properties = [
        f"{n} -> {_returned(m)}" for n, m in vars(found).items() if isinstance(m, property)
    ]
    return [*fields, *methods, *properties]


def _returned(member: property) -> str:
    assert member.fget is not None
    return str(member.fget.__annotations__["return"])


def test_the_public_names_and_signatures_are_these() -> None:
    """A change of them is deliberate: it goes into public.txt and CHANGELOG.md."""
    assert public() == PUBLIC.read_text()


def test_every_public_name_is_there_and_no_other() -> None:
    assert sensorflow.__all__ == sorted(sensorflow.__all__)
    assert set(sensorflow.__all__) == set(sensorflow._WHERE) <= set(dir(sensorflow))
    with pytest.raises(AttributeError, match="no attribute 'reed'"):
        sensorflow.reed  # noqa: B018


def test_import_sensorflow_imports_nothing_heavy() -> None:
    program = "import sys; import sensorflow; print(len([m for m in sys.modules if '.' in m and "
    program += "m.startswith('sensorflow')]), {'pandas', 'pyarrow', 'pydantic'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "0 set()"


def test_a_file_is_read_into_readings_and_rejects(folder: Path) -> None:
    found = sensorflow.read("x.csv", profile="long")
    assert (found.rows, found.read, found.valid, found.rejected, found.missing) == (2, 2, 1, 1, 0)
    assert (found.file, found.profile, found.source, found.drift) == ("x.csv", "long", None, ())
    assert found.readings.schema.names == [
        *("ts", "sensor_id", "reading_type", "value", "unit", "quality", "line_no")
    ]
    [reject] = found.rejects.to_pylist()
    assert (reject["line_no"], reject["code"]) == (3, "F111 value-not-a-number")
    frame = found.to_pandas()
    assert list(frame["value"]) == [21.5]
    assert str(frame["ts"][0]) == "2026-01-31 12:00:00+00:00"


def test_what_was_read_shows_what_to_look_at(folder: Path) -> None:
    assert repr(sensorflow.read("x.csv", "long")).splitlines() == [
        "x.csv (profile long)",
        "  2 rows: 1 readings, 0 missing cells, 1 rejected",
        "  from 2026-01-31 12:00:00 to 2026-01-31 12:00:00 UTC",
        "  first reject: line 3: F111 value-not-a-number: 'x' is not a number",
    ]


def test_a_profile_is_a_name_a_file_a_table_or_a_profile(folder: Path) -> None:
    Path("p.toml").write_text(
        'format = "csv"\ntime = "t"\nsensor = { constant = "s" }\ncolumns = ["v"]\n'
    )
    Path("utc.csv").write_text("t,v\n2026-01-01T00:00:00Z,1\n")
    parsed_profile = sensorflow.Profile.model_validate(LOGGER)
    named = {"p": "p.toml", "given": LOGGER}
    for name, profile in (*named.items(), ("p", Path("p.toml")), ("given", parsed_profile)):
        found = sensorflow.read(Path("utc.csv"), profile)  # type: ignore[arg-type]
        assert (found.profile, found.readings["value"].to_pylist()) == (name, [1.0])
    extended = {"extends": "long", "decimal": ",", "delimiter": ";"}
    Path("y.csv").write_text("time;sensor;type;value;unit\n2026-01-31T12:00:00Z;a;b;1,5;c\n")
    assert sensorflow.read("y.csv", extended).readings["value"].to_pylist() == [1.5]


def test_a_zone_is_that_of_times_without_an_offset(folder: Path) -> None:
    assert sensorflow.read("local.csv", LOGGER).rejects["code"].to_pylist() == [
        *("F107 timestamp-no-zone",) * 2
    ]
    found = sensorflow.read("local.csv", LOGGER, zone="Europe/Berlin")
    hours = [str(t)[11:16] for t in found.to_pandas()["ts"]]
    assert hours == ["00:30", "10:00"]
    assert sensorflow.check("local.csv", LOGGER, zone="+01:00").valid == 2


def test_a_file_without_a_profile_is_read_where_nothing_is_in_doubt(folder: Path) -> None:
    Path("sure.csv").write_text(HEAD + GOOD * 3)
    assert sensorflow.read("sure.csv").readings["value"].to_pylist() == [21.5] * 3
    assert refused("local.csv").startswith(
        "S002 local.csv: its times have no UTC offset: give zone"
    )
    assert sensorflow.read("local.csv", zone="UTC").profile == "proposed"
    Path("dubious.csv").write_text("t,v\n1/5/2022 0:00,1\n1/5/2022 0:15,2\n")
    assert "dubious.csv: " in (message := refused("dubious.csv", zone="UTC"))
    assert message.endswith("give a profile: sensorflow.sniff(path) proposes one")


def test_a_large_file_is_read_in_parts(folder: Path) -> None:
    rows = "".join(f"2026-01-31T12:00:{s % 60:02}Z,s{s},k,{s},u\n" for s in range(120_000))
    Path("large.csv").write_text(HEAD + rows + BAD)
    parts = list(sensorflow.batches("large.csv", "long"))
    assert len(parts) > 2
    expected_result = sensorflow.read("large.csv", "long")
    assert expected_result.readings == pa.Table.from_batches([part.readings for part in parts])
    assert [len(part.rejects) for part in parts if part.rejects] == [1]
    assert sum(part.rows for part in parts) == expected_result.rows == 120_001
    assert "rows: " in repr(parts[0])


def test_a_source_lends_its_settings(folder: Path) -> None:
    Path("sensorflow.toml").write_text(
        '[sources.plant]\npath = "drop"\nprofile = "logger"\nearliest = "2026-06-01"\n'
        'drift = { new = "rescue" }\n[profiles.logger]\nformat = "csv"\n'
        'time = { column = "t", zone = "UTC" }\nsensor = { path = "^([^/]+)/" }\ncolumns = ["v"]\n'
    )
    inside = Path("drop/roof/a.csv")
    inside.parent.mkdir(parents=True)
    inside.write_text("t,v,w\n2026-03-29 01:30:00,1,7\n2026-07-01 12:00:00,2,8\n")
    found = sensorflow.read(inside)
    assert (found.source, found.profile, found.drift) == ("plant", "logger", ("new column 'w'",))
    [reading] = found.readings.to_pylist()
    assert (reading["sensor_id"], reading["rescued"]) == ("roof", '{"w": "8"}')
    assert found.rejects["code"].to_pylist() == ["F109 timestamp-outside-bounds"]
    by_another = sensorflow.read(inside, LOGGER, zone="UTC")
    assert by_another.rejects["code"].to_pylist() == ["F109 timestamp-outside-bounds"]
    assert refused(inside, source="plnt").startswith("S002 source plnt: no such source")


def test_a_check_says_what_would_become_of_a_file(folder: Path) -> None:
    found = sensorflow.check("x.csv", "long")
    assert (found.would_load, found.refused, found.rejected) == (False, "too many rejects", 1)
    assert sensorflow.check("x.csv", "long", max_rejects="50%").would_load
    Path("broken.csv.gz").write_bytes(b"\x1f\x8bno gzip")
    assert "F203" in str(sensorflow.check("broken.csv.gz", "long").error)


def test_a_proposal_has_a_profile_its_doubts_and_a_preview(folder: Path) -> None:
    found = sensorflow.sniff("local.csv")
    assert found.needs_zone
    assert found.doubts[0] == "the times have no UTC offset: give their zone"
    assert found.preview.valid == 2
    sure = sensorflow.sniff("local.csv", zone="Europe/Berlin")
    assert (sure.needs_zone, repr(sure)) == (False, sure.text)
    assert sensorflow.read("local.csv", sure.profile).valid == 2
    assert sensorflow.read("local.csv", sure.table).valid == 2


@pytest.mark.parametrize(
    ("path", "only", "expected"),
    [
        ("y.csv", {"profile": "long"}, "S002 y.csv: no such file"),
        (".", {"profile": "long"}, "S002 .: not a regular file"),
        ("x.csv", {"profile": "lnog"}, "S001 no such profile: 'lnog'; did you mean 'long'?"),
        ("x.csv", {"profile": "none.toml"}, "S001 none.toml: cannot be read: No such file"),
        ("x.csv", {"profile": {"format": "csv", "tme": "t"}}, "S001 profile: unknown key 'tme'"),
        ("x.csv", {"profile": {"extends": "lnog"}}, "S001 no such profile: 'lnog'"),
        ("x.csv", {"profile": "long", "source": "roof"}, "S002 source roof: no such source"),
        ("x.csv", {"profile": "long", "zone": "Berlin"}, "S002 zone 'Berlin': "),
        ("x.csv", {"profile": "senml", "zone": "UTC"}, "S002 zone: the format of the profile"),
        ("x.csv", {"zone": "Berlin"}, "S002 x.csv: "),
        ("text.txt", {}, "S002 text.txt: "),
    ],
)
def test_a_mistake_is_one_clear_error(
    folder: Path, path: str, only: dict[str, object], expected: str
) -> None:
    Path("text.txt").write_text("Dear all,\nno data here.\n")
    assert refused(path, **only).startswith(expected)


def test_a_file_that_cannot_be_read_is_an_error_with_its_code(folder: Path) -> None:
    Path("broken.csv.gz").write_bytes(b"\x1f\x8bno gzip")
    with pytest.raises(Permanent) as error:
        sensorflow.read("broken.csv.gz", "long")
    assert str(error.value.code) == "F203 file-unreadable"
    assert error.value.__notes__ == ["reading broken.csv.gz by the profile long"]


def test_max_rejects_that_is_no_share_is_one_clear_error(folder: Path) -> None:
    with pytest.raises(SensorflowError, match="max_rejects many: give a share"):
        sensorflow.check("x.csv", "long", max_rejects="many")
