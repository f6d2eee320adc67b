"""XML: elements at a path are records, texts around them are told by paths, and nothing is expanded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from sensorflow.core import reading
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats.chunk import Reject
from sensorflow.core.profile import Profile
from sensorflow.core.sniff import sniff
from sensorflow.errors import Code, Permanent

TRACK = {"time": "time", "sensor": {"constant": "a"}, "columns": ["@lat", "ele"]}
TRACK = {"records": "gpx.trk.trkseg.trkpt", **TRACK}
POINT = '<trkpt lat="1.5"><ele>{}</ele><time>2024-01-01T00:00:00Z</time></trkpt>\n'
NAMED = POINT.replace("<ele>", "<name>é</name><ele>").format(1)


def track(points: str, before: str = "", after: str = "") -> bytes:
    return f"{before}<gpx><trk><trkseg>\n{points}</trkseg>{after}</trk></gpx>".encode()


def read(data: bytes, **profile: Any) -> tuple[list[tuple[Any, ...]], list[Reject]]:
    """(line, sensor, type, value) of each reading."""
    parsed_profile = Profile.model_validate({"format": "xml", **TRACK, **profile})
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    for accepted in reading.read(
        io.BytesIO(data), parsed_profile, FilePath("roof.xml"), io.BytesIO
    ):
        names = ("line_no", "sensor_id", "reading_type", "value")
        rows += zip(*(accepted.bronze[name].to_pylist() for name in names), strict=True)
        rejects += accepted.rejects
    return rows, rejects


def test_records_know_their_lines_and_rejects_their_bytes() -> None:
    data = track(POINT.format(3) + POINT.format("x"), before="\n<?xml version='1.0'?>\n")
    rows, rejects = read(data)
    assert rows == [(4, "a", "@lat", 1.5), (4, "a", "ele", 3.0), (5, "a", "@lat", 1.5)]
    (reject,) = rejects
    assert (reject.line_no, reject.column, reject.raw) == (5, "ele", POINT.format("x").strip())
    assert reject.byte_offset == data.rindex(b"<trkpt")


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE lolz [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE gpx SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE gpx [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>',
    ],
)
def test_a_document_type_is_refused(before: str) -> None:
    with pytest.raises(Permanent, match="F226 doctype-refused"):
        read(track(POINT.format("&b;"), before))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (track(POINT.format("&nbsp;")), Code.UNREADABLE),
        (track(POINT.format(1))[:-9], Code.UNREADABLE),
        (track(POINT.format(1)) + b"\n<a/>", Code.UNREADABLE),
        (b"<gpx/>", Code.COLUMN_MISSING),
        (b"\n \n", Code.EMPTY),
        (b"<a>" * 100, Code.TOO_DEEP),
        (track(POINT.format("1" * 3000)), Code.LINE_TOO_LONG),
        (b"<gpx><!--" + b"x" * 600_000, Code.LINE_TOO_LONG),
        (track(POINT.format("<b/>" * 5000)), Code.TOO_DEEP),
    ],
)
def test_what_is_broken_or_out_of_bounds_is_refused(data: bytes, code: Code) -> None:
    with pytest.raises(Permanent) as caught:
        read(data, max_line="2000", max_record="8000")
    assert caught.value.code is code


def test_a_broken_document_says_its_line() -> None:
    with pytest.raises(Permanent, match="in line 3, character 15: mismatched tag"):
        read(track(POINT.format(1) + "<trkpt><ele></trkpt>"))


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "windows-1252", "UTF-16", "utf-8"])
def test_an_encoding_is_what_the_document_says(encoding: str) -> None:
    text = track(NAMED, f'<?xml version="1.0" encoding="{encoding}"?>').decode()
    assert read(text.encode(encoding), sensor="name")[0][0][1] == "é"


def test_a_declaration_that_cannot_be_true_is_not_believed() -> None:
    text = track(NAMED, '<?xml version="1.0" encoding="UTF-16"?>')
    assert read(text, sensor="name")[0][0][1] == "é"
    bare = track(NAMED).decode().encode("cp1252")
    with pytest.raises(Permanent) as caught:
        read(bare, sensor="name")
    assert "set encoding" in caught.value.remedy
    assert read(bare, sensor="name", encoding="cp1252")[0][0][1] == "é"


FEED = b"""<n:feed xmlns:n="u" id="f">
 <n:entry><n:link href="x/7/a"/><n:link href="x/7/b"/><t p:unit="C"><v at="1704067200" p:q="1">2</v></t>
 </n:entry><n:entry><n:link href="x/8/a"/><t unit="F"><v at="1704067200">3</v>\
<v at="1704067201">4</v></t></n:entry>
 <n:entry><about><kind>temp</kind></about></n:entry>
</n:feed>"""
AT = {"records": "feed.entry[*].t.v[*]", "time": {"column": "@at", "format": "epoch_s"}}


def test_texts_around_a_record_are_those_of_its_own_ancestors() -> None:
    given = AT | {"columns": {".": {"type": "{$..about.kind} {$.feed.entry.t.@unit}"}}}
    rows, _ = read(FEED, sensor={"column": "$.feed.entry.link.@href", "match": r"x/(\d)"}, **given)
    assert rows == [(2, "7", "temp C", 2.0), (3, "8", "temp F", 3.0), (3, "8", "temp F", 4.0)]


@pytest.mark.parametrize(
    ("sensor", "expected"),
    [
        ("$.feed.entry.link.@href", ["x/7/a,x/7/b", "x/8/a", "x/8/a"]),
        ("$.feed.entry.link[0].@href", ["x/7/a", "x/8/a", "x/8/a"]),
        ("$.*.@id", ["f", "f", "f"]),
        ("name()", ["v", "v", "v"]),
        ("$.feed.entry.*.name()", ["link,t", "link,t", "link,t"]),
        ("$.feed.entry.t['@*nit']", ["C", "F", "F"]),
        ("$.feed.nothing|@q|$.feed.@id", ["1", "f", "f"]),
        ("$.feed.entry.t.v.@at", ["1704067200", "1704067200", "1704067201"]),
    ],
)
def test_paths(sensor: str, expected: list[str]) -> None:
    rows, _ = read(FEED, **AT, sensor=sensor, columns=["."])
    assert [row[1] for row in rows] == expected


def test_prefixes_count_only_where_a_path_gives_one() -> None:
    data = track(POINT.format(1).replace("<ele>", "<b:ele>9</b:ele><ele>"))
    assert [r.code for r in read(data)[1]] == [Code.VALUE_NOT_A_NUMBER]  # two of one name
    assert (2, "a", "b:ele", 9.0) in read(data, columns=["b:ele", "ele"])[0]


@pytest.mark.parametrize(
    ("sensor", "reason"),
    [
        ("$.gpx.trk.name", "comes after its records, in line 4"),
        ("$..ele", "has different values: '1' in line 2, '2' in line 3"),
    ],
)
def test_a_text_that_may_be_another_ones_is_refused(sensor: str, reason: str) -> None:
    data = track(POINT.format(1) + POINT.format(2), after="<name>n</name>")
    with pytest.raises(Permanent, match=reason):
        read(data, sensor=sensor)
    assert read(data, sensor="$..name")[0][0][1] == "n"


def test_records_are_read_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = track("".join(POINT.format(n) for n in range(40)) + POINT.format("x"))
    expected = read(data)
    for block in (1, 7, 100):
        monkeypatch.setattr("sensorflow.core.formats.events.BLOCK", block)
        monkeypatch.setattr("sensorflow.core.formats.xml.MAX_BYTES", 200)
        monkeypatch.setattr("sensorflow.core.formats.encoding.BLOCK", block)
        assert read(data) == expected


@pytest.mark.parametrize("records", [None, "", "gpx.trk.@name", "gpx..trk", "gpx.trk["])
def test_a_profile_without_a_path_is_refused(records: str | None) -> None:
    with pytest.raises(ValueError, match=r"records|path"):
        Profile.model_validate({"format": "xml", **TRACK, "records": records})


@pytest.mark.parametrize(
    ("page", "profile"),
    [("usage.xml", "green-button"), ("prices.xml", "entsoe"), ("ride.gpx", "gpx")],
)
def test_sniff_knows_the_kinds_of_the_library(page: str, profile: str) -> None:
    library = (Path(__file__).parents[2] / "docs" / "reference" / "library.md").read_text("utf-8")
    text = library.split(f"<!-- example: {page} -->\n```xml\n")[1].split("```")[0]
    assert [line.value for line in sniff(io.BytesIO(text.encode())).settings] == [profile]


NAMES = [
    ("Station <b>5</b> North", "Station 5 North"),
    ("Station <b>5<i> a</i></b> <c/>North", "Station 5 a North"),
    ("A<br/>B <br/> C", "A B  C"),
    ("CO<sub>2</sub>x", "CO2x"),
    ("<b>5</b> North", "North"),
    ("Station<b>5</b>", "Station"),
    ("<![CDATA[A & ]]>B<!-- c -->1", "A & B1"),
    ("<b>\n<c>5</c>\n</b>\nNorth<d/>\n", "North"),
]


@pytest.mark.parametrize(("written", "expected"), NAMES)
@pytest.mark.parametrize("sensor", ["name", "$.r.s.name", "$..name"])
def test_a_text_with_elements_in_it_is_the_same_by_each_path(
    sensor: str, written: str, expected: str
) -> None:
    """Also beside a path that leads into those elements."""
    name, record = f"<name>{written}</name>", '<v t="2024-01-01"><x>1</x>{}</v>'
    inside = sensor == "name"
    data = f"<r><s>{'' if inside else name}{record.format(name if inside else '')}</s></r>"
    keys = {"records": "r.s.v", "time": {"column": "@t", "zone": "UTC"}, "columns": ["x"]}
    assert [row[1:] for row in read(data.encode(), **keys, sensor=sensor)[0]] == [
        (expected, "x", 1.0)
    ]
    both = {"captures": {"part": {"column": "$.r.s.name.b"}}, "sensor": sensor}
    if not inside and "<c>" not in written and "<b>" in written:
        both["unit"] = {"template": "{part}"}
        assert read(data.encode(), **keys, **both)[0] == [(1, expected, "x", 1.0)]


def test_a_number_with_an_element_in_the_middle_is_none() -> None:
    """The pieces side by side would be another number."""
    data = '<r><v t="2024-01-01"><x>1{}5</x><y>1.5<unit>C</unit></y></v></r>'
    keys = {"records": "r.v", "time": {"column": "@t", "zone": "UTC"}, "columns": ["x", "y"]}
    for between in ("<f/>", "<f>;</f>", "<f> </f>"):
        rows, rejects = read(data.format(between).encode(), **keys)
        assert [row[2:] for row in rows] == [("y", 1.5)]
        assert [reject.column for reject in rejects] == ["x"]
