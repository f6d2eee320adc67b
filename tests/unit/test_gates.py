"""What gates are called, what they say, and which files they let in."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from gated import Drop

from sensorflow import bootstrap
from sensorflow.adapters.feeds.folder.gates import AdmittedFile
from sensorflow.core.gates.announced import (
    Announced,
    GateUnreadable,
    differs,
    require_rows,
)
from sensorflow.core.gates.manifests import manifest
from sensorflow.core.gates.patterns import ManifestPattern, NamePattern
from sensorflow.core.gates.sums import digest_for, text_of
from sensorflow.errors import Code, Permanent, UsageError
from sensorflow.testing.project import Table, write_settings

SHA = "ab" * 32
MD5 = "cd" * 16


@pytest.mark.parametrize(
    ("pattern", "key", "gate"),
    [
        ("{name}.done", b"a.csv", b"a.csv.done"),
        ("{name}.done", b"x/y/a.csv", b"x/y/a.csv.done"),
        ("{stem}.ok", b"x/a.b.csv", b"x/a.b.ok"),
        ("{stem}.ok", b"a.csv.gz", b"a.ok"),
        ("{stem}.ok", b"a.CSV.GZ", b"a.ok"),
        ("{stem}.ok", b"a", b"a.ok"),
        ("gates/{name}.md5", b"x/a.csv", b"x/gates/a.csv.md5"),
        ("gates/{path}.done", b"x/a.csv", b"gates/x/a.csv.done"),
        (".{name}", b"x/a.csv", b"x/.a.csv"),
        ("ready/{name}", b"a\xff.csv", b"ready/a\xff.csv"),
        ("ok-{stem}.x", b"\xc3\xbc\n.csv", b"ok-\xc3\xbc\n.x"),
    ],
)
def test_a_gate_is_called_by_its_file(pattern: str, key: bytes, gate: bytes) -> None:
    name_pattern = NamePattern.of(pattern)
    assert name_pattern.gate_of(key) == gate
    assert name_pattern.is_gate(gate)
    assert not name_pattern.is_gate(key)


@pytest.mark.parametrize(
    ("pattern", "algorithm"),
    [
        ("{name}.sha256", "sha256"),
        ("{stem}.MD5", "md5"),
        ("{name}.sha1sum", "sha1"),
        ("{path}.sha512", "sha512"),
        ("{name}.done", None),
        ("sha256/{name}.ok", None),
    ],
)
def test_the_ending_of_a_gate_says_what_it_holds(pattern: str, algorithm: str | None) -> None:
    assert NamePattern.of(pattern).algorithm == algorithm


@pytest.mark.parametrize(
    "wrong",
    [
        "done",
        "{name}",
        "{stem}",
        "{path}",
        "{stem}.",
        "{name}{stem}.x",
        "{nam}.x",
        "../{name}.x",
        "/{name}.x",
        "a//{name}.x",
        "*{name}.x",
        "{name}/x",
        "x{path}.done",
    ],
)
def test_a_pattern_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        NamePattern.of(wrong)


def test_manifests_are_known_by_their_name_or_their_path() -> None:
    assert ManifestPattern.of("*.manifest.json").is_gate(b"x/a.MANIFEST.json")
    assert not ManifestPattern.of("*.manifest.json").is_gate(b"x/a.json")
    assert ManifestPattern.of("sets/*.csv").is_gate(b"sets/a.csv")
    assert not ManifestPattern.of("sets/*.csv").is_gate(b"a.csv")
    for wrong in ("*", "*.*", "", "../x", "{name}.json"):
        with pytest.raises(ValueError, match=r"\w"):
            ManifestPattern.of(wrong)


@pytest.mark.parametrize(
    "text",
    [
        SHA,
        f"{SHA.upper()}\r\n",
        f"{SHA}  a.csv\n",
        f"{SHA} *a.csv\n",
        f"{SHA}\ta.csv",
        f"# made by hand\n\n{SHA}  /export/today/a.csv\n",
        f"{SHA}  C:\\out\\a.csv",
        f"SHA256 (a.csv) = {SHA}\n",
        f"SHA2-256(a.csv)= {SHA}\n",
        f"{'00' * 32}  b.csv\n{SHA}  a.csv\n",
        f"{MD5}  a.csv\n{SHA}  a.csv\n",
        f"{SHA}  a.csv\n{SHA}  ./a.csv\n",
    ],
)
def test_a_checksum_is_read_in_every_form(text: str) -> None:
    assert digest_for(text_of(text.encode()), "a.csv", "sha256") == SHA
    assert digest_for(text_of(text.encode("utf-16")), "a.csv", "sha256") == SHA
    assert digest_for(text_of(text.encode("utf-8-sig")), "a.csv", "sha256") == SHA


def test_a_name_that_is_escaped_is_read_as_it_is() -> None:
    text = f"\\{SHA}  a\\nb\\\\.csv\n"
    assert digest_for(text, ["a\nb", ".csv"][-1], "sha256") == SHA


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\n# nothing\n", "empty"),
        (SHA[:40], "no SHA-256"),
        (SHA[:50], "line 1"),
        (f"{SHA}  a.cs", "not a.csv"),
        (f"{SHA}  b.csv", "it lists b.csv, not a.csv"),
        (f"{SHA}\n{SHA}\n", "not a.csv"),
        (f"{SHA}  a.csv\n{'00' * 32}  a.csv\n", "several"),
        (MD5, "no SHA-256"),
        (f"SHA256 (a.csv) = {MD5}", "line 1"),
        ("ready", "line 1"),
        (f"{SHA}  a.csv\nnonsense\n", "line 2"),
    ],
)
def test_a_gate_that_is_half_written_or_of_another_file_says_nothing(
    text: str, reason: str
) -> None:
    with pytest.raises(GateUnreadable, match=reason):
        digest_for(text, "a.csv", "sha256")


def test_a_gate_that_is_no_text_says_nothing() -> None:
    with pytest.raises(GateUnreadable, match="UTF-8"):
        text_of(b"\xff\x00\x81")


EXPECTED_FILES = {
    b"d/a.csv": Announced("d/m", 10, (("sha256", SHA),), 3),
    b"d/s/b.csv": Announced("d/m"),
}


@pytest.mark.parametrize(
    "text",
    [
        '{"files": [{"name": "a.csv", "size": 10, "sha256": "SHA256", "rows": 3}, "s/b.csv"]}',
        '{"nfiles": "2", "files": {"a.csv": {"size": 10, "sha256": "SHA256", "rows": 3}, "s/b.csv": ""}}',
        '[{"path": "./a.csv", "bytes": "10", "SHA-256": "SHA256", "row_count": 3}, {"file": "s/b.csv"}]',
        '{"entries": {"a.csv": {"size": 10, "checksum": "sha256:SHA256", "rows": 3}, "s/b.csv": null}}',
        '{"nFiles": 2, "items": [{"key": "a.csv", "bytes": 10, "hash": "SHA256", "nrows": 3}, "s/b.csv"]}',
        "name;size;sha256;rows\na.csv;10;SHA256;3\ns/b.csv;;;\n",
        "File Name,Bytes,Checksum,Row Count\r\na.csv,10,SHA256,3\r\n\r\ns\\b.csv,,,\r\n",
    ],
)
def test_a_manifest_is_read_in_every_form(text: str) -> None:
    assert manifest(text.replace("SHA256", SHA).encode(), b"d/m") == EXPECTED_FILES


def test_a_manifest_of_checksums_may_name_itself() -> None:
    text = f"{SHA}  a.csv\n{'00' * 32}  SHA256SUMS\nMD5 (b.csv) = {MD5}\n"
    found = manifest(text.encode(), b"SHA256SUMS")
    assert {key: what.sums for key, what in found.items()} == {
        b"a.csv": (("sha256", SHA),),
        b"b.csv": (("md5", MD5),),
    }


def test_base64_and_a_single_file_and_absolute_names_are_read() -> None:
    text = '{"file": "/out/a.csv", "md5": "zc3Nzc3Nzc3Nzc3Nzc3NzQ=="}'
    assert manifest(text.encode(), b"m") == {b"a.csv": Announced("m", None, (("md5", MD5),))}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ('{"files": [', "not valid JSON"),
        ('{"files": []}', "lists no file"),
        ('{"a": 1}', "under"),
        ('{"files": [{"size": 1}]}', "has no name"),
        ('{"files": [3]}', "found 3"),
        ('{"files": [{"name": "a", "size": -1}]}', "expected a number"),
        ('{"files": [{"name": "a", "size": true}]}', "expected a number"),
        ('{"files": [{"name": "a", "rows": 1.5}]}', "expected a number"),
        ('{"files": [{"name": "a", "size": 1, "bytes": 2}]}', "different numbers"),
        ('{"files": [{"name": "a", "sha256": "zc3Nzc3Nzc3Nzc3Nzc3NzQ=="}]}', "not SHA-256"),
        ('{"files": [{"name": "a", "checksum": "crc:1"}]}', "is not MD5"),
        ('{"files": [{"name": "a", "name": "b"}]}', "twice in the same object"),
        ('{"files": ["a", {"name": "a", "size": 1}]}', "twice, with different properties"),
        ('{"files": ["../a"]}', "not a path below"),
        (r'{"files": ["\ud800.csv"]}', r"'\\ud800.csv' is not a file name"),
        (r'{"files": ["a\u0000b"]}', r"'a\\x00b' is not a file name"),
        (r'{"files": [{"name": "\udcff", "md5": "1"}]}', r"^\\udcff: '1' is not MD5"),
        ('{"files": [{"name": "a", "Size": 1, "size": 2}]}', "'size' twice in the same object"),
        ('{"filecount": 3, "files": ["a", "b"]}', "announces 3 files but lists 2"),
        ('{"filecount": "1", "files": ["a", "b"]}', "announces 1 file but lists 2"),
        ('{"filecount": "two", "files": ["a", "b"]}', "filecount is 'two', expected a number"),
        ('{"filecount": true, "files": ["a"]}', "filecount is True, expected a number"),
        ("title,size\na,1\n", "column named"),
        ("name,size\na\n", "line 2: 1 cells"),
        ("name,name\na,b\n", "same title"),
        (f"{SHA}\n", "a file name on each line"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(GateUnreadable, match=reason):
        manifest(text.encode(), b"m")


def test_what_was_announced_is_held_against_the_bytes() -> None:
    data = b"12345"

    def digest(algorithm: str) -> str:
        return hashlib.new(algorithm, data).hexdigest()

    right = Announced("g", 5, (("md5", digest("md5")), ("sha1", digest("sha1"))), 1)
    assert differs(right, 5, digest) is None
    assert Announced.of_json(right.as_json()) == right
    assert "5 bytes, but g announces 6" in str(differs(Announced("g", 6), 5, digest))
    assert "SHA-256 is" in str(differs(Announced("g", None, (("sha256", SHA),)), 5, digest))
    require_rows(right, 1)
    require_rows(Announced("g"), 7)
    with pytest.raises(Permanent, match="7 rows, but g announces 1") as caught:
        require_rows(right, 7)
    assert caught.value.code is Code.GATE_MISMATCH


def test_a_file_waits_for_its_gate_and_gates_are_no_data(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", "{name}.csv")
    drop.put("a.dat")
    assert drop.ask("a.dat") == "waits for its gate a.dat.csv"
    drop.put("a.dat.csv")
    assert not drop.folder.takes(b"a.dat.csv")
    assert drop.gates.gate_arrived(b"a.dat.csv") == [b"a.dat"]
    assert drop.take("a.dat") == [b"a.dat.csv"]


def test_a_gate_may_come_before_its_file_and_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", "ok/{stem}.done")
    drop.put("ok/a.done", at=1_000_000)
    assert [(k, reason) for k, _, reason in drop.gates.unmet()] == [
        (b"ok/a.done", "is there without its file")
    ]
    drop.put("a.csv.gz")
    assert list(drop.gates.unmet()) == []
    assert drop.take("a.csv.gz") == [b"ok/a.done"]


def test_a_gate_of_two_files_is_spent_with_the_last(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", "{stem}.done")
    for name in ("a.csv", "a.json", "a.done"):
        drop.put(name)
    assert drop.take("a.csv") == []
    (tmp_path / "drop" / "a.csv").unlink()
    assert drop.take("a.json") == [b"a.done"]


@pytest.mark.parametrize("gate", ["{name}.done", "{name}.sha256"])
def test_a_gate_that_has_opened_does_not_open_for_the_next_version(
    tmp_path: Path, gate: str
) -> None:
    """Also after a restart, and with a gate that stays for good."""
    drop = Drop(tmp_path / "drop", gate, after="keep")
    name = gate.replace("{name}", "a.csv")
    drop.put("a.csv", b"1", at=1_000_000)
    drop.put(name, hashlib.sha256(b"1").hexdigest().encode(), at=2_000_000)
    drop.take("a.csv")
    assert isinstance(drop.ask("a.csv"), AdmittedFile)  # in this very state it was registered
    drop.put("a.csv", b"2", at=1_500_000)
    for _ in range(2):
        assert drop.ask("a.csv") == f"waits for a new gate: {name} belongs to another version"
        drop.start()
    drop.put(name, hashlib.sha256(b"2").hexdigest().encode(), at=3_000_000)
    drop.take("a.csv")


def test_a_checksum_opens_again_for_the_same_bytes(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", "{name}.md5", after="keep")
    drop.put("a.csv.md5", hashlib.md5(b"1").hexdigest().encode())
    drop.put("a.csv", b"1", at=1_000_000)
    drop.take("a.csv")
    drop.put("a.csv", b"1", at=2_000_000)
    drop.take("a.csv")


def test_a_file_that_was_registered_before_its_gate_was_put_away_waits_no_more(
    tmp_path: Path,
) -> None:
    drop = Drop(tmp_path / "drop", "{name}.done")
    drop.put("a.csv", b"1")
    drop.put("a.csv.done")
    drop.take("a.csv")
    (tmp_path / "drop" / "a.csv.done").unlink()
    drop.start()
    assert drop.ask("a.csv") == AdmittedFile()


def test_a_half_written_checksum_is_waited_for(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", "{name}.sha256")
    drop.put("a.csv", b"1")
    drop.put("a.csv.sha256")
    assert drop.ask("a.csv") == "its gate a.csv.sha256: the gate is empty"
    drop.put("a.csv.sha256", SHA[:30].encode())
    assert "expected a checksum" in str(drop.ask("a.csv"))
    drop.put("a.csv.sha256", f"{SHA}  a.csv".encode())
    assert drop.announcement_of("a.csv") == Announced("a.csv.sha256", sums=(("sha256", SHA),))


SET = b'{"files": [{"name": "a.csv", "size": 2}, "b.csv", "readme.pdf"]}'
JSON = {"manifest": "*.manifest.json"}


def test_a_set_is_let_in_when_it_is_whole(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", JSON)
    drop.put("a.csv", b"1")
    assert drop.ask("a.csv") == "waits for a manifest that names it"
    drop.put("x.manifest.json", SET)
    assert drop.ask("a.csv") == "has 1 of the 2 bytes that x.manifest.json announces"
    drop.put("a.csv", b"12")
    assert drop.ask("a.csv") == "waits for b.csv, of x.manifest.json"
    [(gate, _, reason)] = drop.gates.unmet()
    assert (gate, reason) == (b"x.manifest.json", "waits for 1 of 2 files: b.csv")
    drop.put("b.csv", b"3")
    assert drop.ask("a.csv") == "waits for b.csv, which is not complete yet, of x.manifest.json"
    found = drop.ask("b.csv")
    assert isinstance(found, AdmittedFile)
    assert drop.gates.recheck() == [b"a.csv"]
    assert drop.take("b.csv") == []
    assert drop.take("a.csv") == [b"x.manifest.json"]


def test_a_set_of_which_a_part_was_taken_goes_on_after_a_restart(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", JSON)
    for name, content in (("a.csv", b"12"), ("b.csv", b"3"), ("x.manifest.json", SET)):
        drop.put(name, content)
    drop.ask("a.csv")
    drop.take("b.csv")
    (tmp_path / "drop" / "b.csv").unlink()
    drop.start()
    assert drop.take("a.csv") == [b"x.manifest.json"]
    drop.start()
    drop.gates.reload()
    assert [k for k, _ in drop.gates.unneeded([])] == [b"x.manifest.json"]  # had we been killed


def test_a_manifest_that_is_sent_again_is_of_files_that_come_again(tmp_path: Path) -> None:
    """Word for word the same, as a sender without checksums writes it each day."""
    drop = Drop(tmp_path / "drop", JSON, after="keep")
    for name, content in (("a.csv", b"12"), ("b.csv", b"3"), ("x.manifest.json", SET)):
        drop.put(name, content, at=1_000_000)
    drop.ask("a.csv")
    drop.take("b.csv")
    drop.take("a.csv")
    drop.put("a.csv", b"45", at=2_000_000)
    assert "belongs to another version" in str(drop.ask("a.csv"))
    drop.put("x.manifest.json", SET, at=2_000_000)
    assert isinstance(drop.ask("a.csv"), AdmittedFile)  # b.csv is kept, and known


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", JSON)
    drop.put("a.csv", b"12")
    drop.put("x.manifest.json", b'{"files": [')
    assert "x.manifest.json: it is not valid JSON" in str(drop.ask("a.csv"))
    assert "not valid JSON" in next(drop.gates.unmet())[2]
    drop.put("x.manifest.json", SET)
    assert drop.ask("a.csv") == "waits for b.csv, of x.manifest.json"


def test_of_two_manifests_the_newest_counts(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", JSON)
    drop.put("old.manifest.json", SET, at=1_000_000)
    drop.put("new.manifest.json", b'["a.csv"]', at=2_000_000)
    drop.put("a.csv", b"12")
    assert drop.take("a.csv") == [b"new.manifest.json"]


def test_what_is_gone_is_no_longer_waited_for(tmp_path: Path) -> None:
    drop = Drop(tmp_path / "drop", JSON)
    drop.put("a.csv", b"12")
    drop.ask("a.csv")
    (tmp_path / "drop" / "a.csv").unlink()
    assert drop.gates.prune() == [b"a.csv"]
    assert drop.gates.withheld == {}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"gate": "done"}, "sources.plant.gate.file"),
        ({"gate": {"manifest": "*"}}, "sources.plant.gate.manifest"),
        ({"gate": {}}, "give either a file"),
        ({"gate": {"fil": "{name}.x"}}, "did you mean 'file'?"),
        ({"gate": "{name}.done", "growing": True, "after": "keep"}, "set only one of them"),
        ({"gate": "{name}.done", "overdue_after": "soon"}, "overdue_after"),
    ],
)
def test_settings_that_cannot_be_are_one_line(tmp_path: Path, wrong: Table, reason: str) -> None:
    write_settings(tmp_path, {"plant": wrong})
    with pytest.raises(UsageError) as caught:
        bootstrap.settings(tmp_path)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_wrong_with_a_gate_can_be_printed() -> None:
    with pytest.raises(GateUnreadable) as caught:
        digest_for(f"{SHA}  b.csv", os.fsdecode(b"a\xff.csv"), "sha256")
    assert str(caught.value).encode() == b"it lists b.csv, not a\\udcff.csv"
