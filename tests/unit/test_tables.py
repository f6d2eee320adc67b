"""Tables as loggers write them: no column, row or unit is lost, or moved, in silence."""

from __future__ import annotations

import io
import tempfile
from functools import reduce
from operator import xor
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core import reading
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.formats import csv, lines
from sensorflow.core.growth import why_not_growable
from sensorflow.core.profile import Profile
from sensorflow.core.validation import Accepted
from sensorflow.errors import Code, Permanent

T = "2024-01-01T00:00:00Z"
BASE = {"format": "csv", "time": "time", "sensor": {"constant": "roof"}, "each": ".+"}
UNITS = {"header": ["name", "unit"]}


def parts(data: str | bytes, drift: str = "ignore", **keys: Any) -> list[Accepted]:
    given = {key: value for key, value in {**BASE, **keys}.items() if value is not None}
    profile = Profile.model_validate(given)
    stream = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    policy = Drift.model_validate(dict.fromkeys(Drift.model_fields, drift))
    return list(reading.read(stream, profile, FilePath("a_1.csv"), tempfile.TemporaryFile, policy))


def reading_tuples(data: str | bytes, **keys: Any) -> list[tuple[Any, ...]]:
    """(line, type, value, unit) of each reading."""
    rows = [row for part in parts(data, **keys) for row in part.bronze.to_pylist()]
    return [(r["line_no"], r["reading_type"], r["value"], r["unit"]) for r in rows]


def refused(data: str | bytes, **keys: Any) -> list[tuple[int | None, Code]]:
    return [(r.line_no, r.code) for part in parts(data, **keys) for r in part.rejects]


def failure(data: str | bytes, **keys: Any) -> Permanent:
    with pytest.raises(Permanent) as caught:
        parts(data, **keys)
    return caught.value


# header rows


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("time,temp,hum,wind\n,degC,m/s", ","),
        ("time,temp,hum\n,degC,%,m/s", ","),
        ("time temp hum wind\ndegC % m/s", "whitespace"),
        ("time,temp,hum,wind,\n,degC,%", ","),
    ],
)
def test_header_rows_of_unequal_width_refuse_the_file(header: str, delimiter: str) -> None:
    row = f"{T},1,2,3" if delimiter == "," else f"{T} 1 2 3"
    error = failure(f"{header}\n{row}\n", delimiter=delimiter, **UNITS)
    assert (error.code, error.place["line"]) == (Code.HEADER_ROWS, 1)
    assert "align" in error.remedy


def test_the_profile_aligns_header_rows_of_unequal_width() -> None:
    data = f"time,temp,hum\n,degC\n{T},1,2\n"
    assert reading_tuples(data, align="left", **UNITS) == [
        (3, "temp", 1, "degC"),
        (3, "hum", 2, ""),
    ]
    assert reading_tuples(data, align="right", **UNITS) == [
        (3, "temp", 1, ""),
        (3, "hum", 2, "degC"),
    ]


@pytest.mark.parametrize(
    "header", ["time,temp,hum\n,degC,%,,", "time,temp,hum,\n,degC,%", "time,temp,hum\n,degC,%"]
)
def test_empty_cells_at_the_end_of_a_header_row_are_nothing(header: str) -> None:
    data = f"{header}\n{T},1,2\n"
    assert reading_tuples(data, **UNITS) == [(3, "temp", 1, "degC"), (3, "hum", 2, "%")]


def test_a_header_row_that_says_nothing_may_have_any_width() -> None:
    header = ["name", "skip"]
    data = f"time,temp,hum\nmean\n{T},1,2\n"
    assert reading_tuples(data, header=header) == [(3, "temp", 1, ""), (3, "hum", 2, "")]
    each = {"match": "^[th]", "type": "{row2}"}
    assert failure(data, header=header, each=each).code is Code.HEADER_ROWS
    assert failure(data, header=header, time="mean").code is Code.COLUMN_MISSING


def test_names_and_a_units_row_of_another_width_refuse_the_file() -> None:
    data = f",degC,%\n{T},1,2,3\n"
    keys = {"header": ["unit"], "names": ["time", "a", "b", "c"]}
    assert "names has 4" in failure(data, **keys).message
    assert reading_tuples(data, align="left", **keys)[-1] == (2, "c", 3, "")


def test_titles_that_lack_the_first_one_stand_over_the_last_columns() -> None:
    data = f'# R\n"time" "temp"\n# rows\n"1" "{T}" 21.5\n"2" "{T}" 22.5\n'
    keys = {"delimiter": " ", "comment": "#"}
    assert refused(data, **keys) == [(4, Code.COLUMN_COUNT), (5, Code.COLUMN_COUNT)]
    assert reading_tuples(data, align="right", **keys) == [
        (4, "temp", 21.5, ""),
        (5, "temp", 22.5, ""),
    ]


def test_a_first_row_over_two_lines_tells_the_width_and_is_read() -> None:
    data = f'{T},"a\nb",1\n{T},c,2\n'
    keys = {"header": 0, "time": "#1", "each": None, "columns": {"#3": "x"}}
    assert reading_tuples(data, **keys) == [(1, "x", 1, ""), (3, "x", 2, "")]


# titles


@pytest.mark.parametrize("policy", ["ignore", "rescue"])
def test_cells_under_an_empty_title_are_drift(policy: str) -> None:
    (part,) = parts(f"time,temp,\n{T},1,48\n{T},2,\n", drift=policy)
    assert part.drift == ('column "#3" without a title',)
    rescued = part.bronze["rescued"].to_pylist()
    assert rescued == (['{"#3": "48"}', None] if policy == "rescue" else [None, None])


def test_cells_under_an_empty_title_may_refuse_the_file() -> None:
    data = f"time,temp,\n{T},1, \n{T},2,48\n"
    assert failure(data, drift="quarantine").code is Code.DRIFT
    parts(data, drift="quarantine", ignore=["#3"])
    parts(data, drift="quarantine", names=["time", "temp", ""], header=1)


def test_an_empty_column_without_a_title_is_nothing() -> None:
    (part,) = parts(f",time,temp,\n,{T},1,\n ,{T},2,\n", drift="quarantine")
    assert (len(part.bronze), part.drift) == (2, ())


def test_two_equal_titles_are_not_taken_for_two_values_of_one_type() -> None:
    data = f"time,temp,temp\nx,in,out\n{T},1,2\n"
    error = failure(data, header=["name", "skip"])
    assert (error.code, '"#3"' in error.remedy) == (Code.COLUMN_MISSING, True)
    found = reading_tuples(data, header=["name", "skip"], columns={"#3": "outside"})
    assert found == [(3, "outside", 2, ""), (3, "temp", 1, "")]
    assert len(reading_tuples(data, header=["name", "sensor"], sensor=None)) == 2
    assert len(reading_tuples(data, header=["name", "type"])) == 2
    assert len(reading_tuples(data, header=["name", "skip"], ignore=["#2"])) == 1


@pytest.mark.parametrize(
    ("columns", "each"),
    [
        ({"#3": {}}, "^temp$"),
        ({"#3": "temp"}, "^temp$"),
        ({"#2": {}, "#3": {}}, None),
        ({"#2": "temp", "#3": {}}, None),
    ],
)
def test_a_column_named_by_its_place_is_not_taken_for_another_of_its_title(
    columns: dict[str, Any], each: str | None
) -> None:
    data = f"time,temp,temp\n{T},1,2\n"
    error = failure(data, columns=columns, each=each)
    both = '"#2" and "#3"' if each is None else '"#3" and "#2"'
    assert (error.code, both in error.message) == (Code.COLUMN_MISSING, True)
    other = {**columns, "#3": {"type": "temp", "sensor": "spare"}}
    assert [row[1:3] for row in sorted(reading_tuples(data, columns=other, each=each))] == [
        ("temp", 1),
        ("temp", 2),
    ]


def test_two_columns_that_the_profile_gives_one_type_are_meant_so() -> None:
    data = f"time,temp,temp\n{T},1,\n{T},,2\n"
    assert [row[2] for row in reading_tuples(data, columns={"#2": "t", "#3": "t"}, each=None)] == [
        1,
        2,
    ]


def test_two_new_columns_of_one_title_are_both_rescued() -> None:
    data = f"time,temp,x,x\n{T},1,2,3\n"
    (part,) = parts(data, drift="rescue", each=None, columns=["temp"])
    assert part.bronze["rescued"].to_pylist() == ['{"#3": "2", "#4": "3"}']


# rows


BLANK = ["", ",,", " , ,", '"","",', ",,,,,,,", "\t"]


@pytest.mark.parametrize("keep", [None, "."])
def test_rows_of_delimiters_and_blanks_are_blank_lines(keep: str | None) -> None:
    rows = "\n".join([f"{T},1,2", *BLANK, f"{T},3,4", ""])
    found = parts(f"time,a,b\n{rows}", keep=keep)
    assert [(p.rows, p.missing, p.rejects) for p in found] == [(2, 0, [])]


@pytest.mark.parametrize("row", ['",",,1', '"\n",,1', '"","', '"" ,'])
def test_a_row_of_quotes_that_hold_something_or_are_not_right_is_a_row(row: str) -> None:
    assert len(refused(f"time,a,b\n{T},1,2\n{row}\n")) == 1


def test_a_row_of_delimiters_before_the_header_is_passed_over() -> None:
    assert reading_tuples(f",,\ntime,a,\n{T},1,\n") == [(3, "a", 1, "")]
    assert reading_tuples(f",,\ntime,a,\n{T},1,\n", header=["skip", "name"]) == [(3, "a", 1, "")]


def test_rows_longer_than_the_header_are_refused_unless_the_profile_ignores_their_end() -> None:
    data = f"time,a\n{T},1,5\n{T},2\n"
    assert (reading_tuples(data), refused(data)) == ([(3, "a", 2, "")], [(2, Code.COLUMN_COUNT)])
    assert reading_tuples(data, long_rows="ignore") == [(2, "a", 1, ""), (3, "a", 2, "")]
    fixed = {"widths": [20, 3], "names": ["time", "a"]}
    assert refused(f"{T}  1  5\n", **fixed) == [(1, Code.COLUMN_COUNT)]
    assert reading_tuples(f"{T}  1  5\n", long_rows="ignore", **fixed) == [(1, "a", 1, "")]


@pytest.mark.parametrize("tail", [b"", b"2024-01-01T"])
@pytest.mark.parametrize("size", [1, 70, 5000, 40_000])
def test_nul_bytes_at_the_end_of_a_file_are_one_reject(
    tail: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK", 512)
    data = f"time,a\n{T},1\n{T},2\n".encode() + tail + b"\0" * size
    assert refused(data, max_line=100) == [(4, Code.NUL_BYTE)]
    assert [found[0] for found in reading_tuples(data, max_line=100)] == [2, 3]


def test_nul_bytes_within_a_file_cost_their_line_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 64)
    rows = f"{T},2\n{T},3\n".encode()
    data = f"time,a\n{T},1\n".encode() + b"\0" * 300 + rows + b"\0" * 300
    assert refused(data) == [(3, Code.NUL_BYTE), (5, Code.NUL_BYTE)]
    assert [found[0] for found in reading_tuples(data)] == [2, 4]
    (first, last) = (r for part in parts(data) for r in part.rejects)
    assert (first.byte_offset, last.byte_offset) == (30, 30 + 300 + len(rows))


def test_a_file_of_nul_bytes_alone_is_empty() -> None:
    assert failure(b"\0" * 100_000).code is Code.EMPTY


# words


def test_type_and_unit_in_short() -> None:
    columns = {"a": "temperature [degC]", "b": "[%]", "c": "plain", "d": "x[1] y"}
    found = reading_tuples(f"time,a,b,c,d\n{T},1,2,3,4\n", each=None, columns=columns)
    expected = [("temperature", "degC"), ("b", "%"), ("plain", ""), ("x[1] y", "")]
    assert [(kind, unit) for _, kind, _, unit in found] == expected
    long = reading_tuples(f"time,a\n{T},1\n", each=None, columns={"a": {"type": "x [y]"}})
    assert long == [(2, "x [y]", 1, "")]


def test_a_quality_column_has_markers_of_its_own_for_nothing() -> None:
    quality = {"column": "q", "good": ["1"], "missing": ["NA", ""], "reject": ["9"]}
    rows = "".join(f"{T},{n},{q}\n" for n, q in enumerate(["1", "NA", "", "0"]))
    (part,) = parts(f"time,a,q\n{rows}", quality=quality)
    assert part.bronze["quality"].to_pylist() == [0, 0, 0, 16]


EMPTY: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("\n \n", {}),
    ("time,a\n", {}),
    ("time,a\n,\n", {}),
    ("[]", {"format": "json"}),
    ('{"d": {"rows": []}}', {"format": "json", "records": "d.rows[*]"}),
    ('{"a": {"x": []}, "b": {"x": []}}', {"format": "json", "records": "[*].x[*]"}),
    ('{"time": [], "a": []}', {"format": "json", "orient": "columns"}),
    ("\n", {"format": "jsonl"}),
    ("[]", {"format": "senml", "time": None, "sensor": None, "each": None}),
]


@pytest.mark.parametrize(("data", "keys"), EMPTY)
def test_a_valid_file_without_rows_is_taken_where_the_profile_allows_it(
    data: str, keys: dict[str, Any]
) -> None:
    assert sum(part.rows for part in parts(data, allow_empty=True, **keys)) == 0
    error = failure(data, **keys)
    assert error.code in (Code.EMPTY, Code.COLUMN_MISSING)
    assert not data or "allow_empty" in error.remedy


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ("time,b\n", {"columns": ["a"], "each": None}),
        ("# a station\n", {"comment": "#"}),
        ("foo\n", {"skip_until": "^time"}),
        ('{"error": "no data"}', {"format": "json", "records": "rows[*]"}),
        ('{"time": 1}', {"format": "json", "orient": "columns"}),
    ],
)
def test_a_file_that_is_not_valid_is_refused_whether_it_has_rows_or_not(
    data: str, keys: dict[str, Any]
) -> None:
    assert failure(data, allow_empty=True, **keys).code in (Code.UNREADABLE, Code.COLUMN_MISSING)


def sentence(text: str) -> str:
    return f"${text}*{reduce(xor, text.encode()):02X}"


def test_lines_with_a_wrong_checksum_or_none_are_refused() -> None:
    good = sentence(f"WX,{T},1.5")
    rows = [good, good.replace("1.5", "1.6"), good[:-3], "", good + "\r"]
    keys = {"header": 0, "time": "#2", "columns": {"#3": "x"}, "each": None, "checksum": "nmea"}
    data = "\n".join(rows) + "\n"
    assert reading_tuples(data, **keys) == [(1, "x", 1.5, ""), (5, "x", 1.5, "")]
    assert refused(data, **keys) == [(2, Code.CHECKSUM), (3, Code.CHECKSUM)]


@pytest.mark.parametrize("line", ["$" * 1_000_000, "$*" * 500_000, "$$" * 250_000 + "*0" * 250_000])
def test_a_line_of_signs_is_looked_through_once(line: str) -> None:
    """Not for each sign again, which takes hours."""
    keys = {"header": 0, "time": "#2", "columns": {"#3": "x"}, "each": None, "checksum": "nmea"}
    good = sentence(f"WX,{T},1.5")
    assert refused(f"{good}\n{line}\n", **keys) == [(2, Code.CHECKSUM)]


GARBLED = st.tuples(
    st.sampled_from(["$", "!", "", "x$", "$$", "$*"]),
    st.sampled_from([f"WX,{T},1.5", f"WX,{T},2", f"WX,{T},", ",,", "", f"A,{T},3,4"]),
    st.sampled_from(["*", "", "**", "* "]),
    st.sampled_from([None, None, None, "2f", "7", "G0", ""]),
    st.sampled_from(["", "", "", "0", ",9", " ", "\r"]),
)


def garbled(parts: tuple[str, str, str, str | None, str]) -> str:
    mark, text, star, given, end = parts
    right = f"{reduce(xor, text.encode(), 0):02X}"
    return f"{mark}{text}{star}{right if given is None else given}{end}"


@given(
    st.lists(GARBLED.map(garbled) | st.sampled_from([sentence(f"WX,{T},1.5"), "$*2A"]), max_size=6)
)
def test_both_ways_verify_checksums_alike(rows: list[str]) -> None:
    keys = {"names": ["id", "time", "x"], "each": "x", "checksum": "nmea", "allow_empty": True}
    data = "\n".join([*rows, ""])
    fast = reading_tuples(data, **keys), [r for part in parts(data, **keys) for r in part.rejects]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv._Table, "_fast", lambda self, block: None)
        slow = (
            reading_tuples(data, **keys),
            [r for part in parts(data, **keys) for r in part.rejects],
        )
    assert fast == slow


# several tables


BLOCKS = f"""Logger: L7
Sensor: A
time,temp

{T},1

Sensor: B
a note, of nothing
time,hum,temp
{T},50,11
"""
SENSOR = {"sensor": {"preamble": r"^Sensor: (\w+)"}, "skip_until": "^time"}


def sensors(data: str, **keys: Any) -> list[tuple[str, str, float]]:
    rows = [row for part in parts(data, **keys) for row in part.bronze.to_pylist()]
    return [(r["sensor_id"], r["reading_type"], r["value"]) for r in rows]


@pytest.mark.parametrize("block", [1 << 20, 40, 7])
@pytest.mark.parametrize("stop_at", ["^Sensor:", r"^\s*$"])
def test_each_table_of_a_file_has_a_preamble_and_columns_of_its_own(
    stop_at: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    found = sensors(BLOCKS, header_again=True, stop_at=stop_at, **SENSOR)
    assert found == [("A", "temp", 1), ("B", "hum", 50), ("B", "temp", 11)]


def test_what_stands_before_the_first_table_of_its_own_holds_for_all() -> None:
    keys = {**SENSOR, "sensor": "{logger}/{sensor}", "header_again": True, "stop_at": "^Sensor:"}
    captures = {"logger": {"preamble": r"^Logger: (\w+)"}, "sensor": SENSOR["sensor"]}
    found = sensors(BLOCKS, captures=captures, **keys)
    assert [sensor for sensor, _, _ in found] == ["L7/A", "L7/B", "L7/B"]


def test_a_table_without_its_own_line_does_not_take_that_of_another() -> None:
    data = BLOCKS.replace("Sensor: B", "Unknown: B")
    error = failure(data, header_again=True, stop_at="^(Sensor|Unknown):", **SENSOR)
    assert error.code is Code.COLUMN_MISSING


def test_tables_without_lines_between_them_share_the_preamble() -> None:
    data = f"# S: A\ntime,a\n{T},1\ntime,b\n{T},2\n"
    keys = {"sensor": {"preamble": r"S: (\w+)"}, "skip_until": "^time", "skip": 1}
    assert sensors(data, header_again=True, **keys) == [("A", "a", 1), ("A", "b", 2)]


@pytest.mark.parametrize("block", [1 << 20, 2])
def test_what_follows_the_table_is_left_out(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", block)
    assert sensors(f"time,a\n{T},1\n\n{T},2\n", stop_at="^$") == [("roof", "a", 1)]
    assert sensors(BLOCKS, stop_at="^Sensor:", **SENSOR) == [("A", "temp", 1)]
    assert sensors(f"time,a\n{T},1\nTotal,1\n", stop_at="^Total") == [("roof", "a", 1)]
    cut = f"time,a\n{T},1\nEND\nrest\n"
    assert sensors(cut, stop_at="^END", skip_until="^time", header_again=True) == [("roof", "a", 1)]
    profile = Profile.model_validate({**BASE, "stop_at": "^END"})
    assert "stop_at" in (why_not_growable(profile) or "")


# sheets


def sheet(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_sheet_has_the_same_faults_as_a_text_table() -> None:
    data = sheet(["time", None, "a"], [" ", " "], [T, 5, 1], [T, None, 2, 9])
    (part,) = parts(data, format="xlsx")
    assert (len(part.bronze), part.rows, part.missing) == (1, 2, 0)
    assert part.drift == ('column "#2" without a title',)
    assert [(r.line_no, r.code) for r in part.rejects] == [(4, Code.COLUMN_COUNT)]
    assert len(reading_tuples(data, format="xlsx", long_rows="ignore")) == 2
    assert failure(data, drift="quarantine", format="xlsx").code is Code.DRIFT
    assert failure(sheet(["time", "a", "a"]), format="xlsx").code is Code.COLUMN_MISSING


def test_an_empty_sheet_is_taken_where_the_profile_allows_it() -> None:
    for data in (sheet(), sheet(["time", "a"])):
        assert failure(data, format="xlsx").code is Code.EMPTY
        assert parts(data, format="xlsx", allow_empty=True) == []


# advice


@pytest.mark.parametrize(
    ("data", "keys", "word"),
    [
        ("time,a\nx,1\n", {"delimiter": ";"}, 'delimiter = ","'),
        ("time\ta\nx\t1\n", {}, r'delimiter = "\t"'),
        ("time  a\nx  1\n", {}, "whitespace"),
        (f"time,a\n{T},1\n", {"skip": 1}, "skip"),
        (f"Time,a\n{T},1\n", {}, "did you mean 'Time'?"),
        ("time,a\nx,1\n", {"skip_until": "^zeit"}, "skip_until"),
        ('{"time":\n 1}\n', {}, 'format = "json"'),
        ("time,a\n", {"format": "senml", "time": None, "sensor": None, "each": None}, '"csv"'),
        ("time,a\n", {"format": "xlsx"}, 'format = "csv"'),
        ("time,a\n", {"format": "json"}, 'format = "csv"'),
    ],
)
def test_the_advice_names_the_cause(data: str, keys: dict[str, Any], word: str) -> None:
    error = failure(data, **keys)
    assert word in error.remedy
    assert not error.remedy.startswith("request the file again")


# both ways


CELL = st.sampled_from(["", " ", "1", "2.5", "x", T, '""', '"a"', '"a,b"', '"', "  3", ";"])
ROW = st.lists(CELL, max_size=6).map(",".join) | st.sampled_from([*BLANK, "END", "time,a,c", "#"])
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "short_rows": st.just("missing"),
        "long_rows": st.just("ignore"),
        "align": st.sampled_from(["left", "right"]),
        "header": st.sampled_from([2, ["name", "unit"], ["name", "skip"]]),
        "comment": st.just("#"),
        "stop_at": st.sampled_from(["^END", "^$"]),
        "again": st.just(True),
        "quote": st.just(""),
        "delimiter": st.sampled_from([";", "whitespace"]),
    },
)


@given(st.lists(ROW, max_size=10), KEYS, st.sampled_from(["time,a,b", "time,a,", "time;a"]))
def test_both_ways_read_a_table_alike(rows: list[str], keys: dict[str, Any], head: str) -> None:
    if keys.pop("again", False):
        keys |= {"header_again": True, "skip_until": "^time"}
    data = "\n".join([head, *rows, ""])

    def account() -> Any:
        try:
            found = parts(data, **keys)
        except Permanent as error:
            return str(error)
        readings = [row for part in found for row in part.bronze.to_pylist()]
        rejects = [reject for part in found for reject in part.rejects]
        notes = {note for part in found for note in part.drift}
        return readings, rejects, sum(p.missing for p in found), sum(p.rows for p in found), notes

    fast = account()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv._Table, "_fast", lambda self, block: None)
        assert account() == fast
        patch.undo()
        patch.setattr(lines, "BLOCK", 16)
        assert account() == fast


def test_what_is_filled_down_goes_by_the_column_and_not_by_its_place() -> None:
    """Sensor and type were taken for each other in a table whose columns stand in another order."""
    table = "t,s,k,v\n2024-01-01T00:00:00Z,S1,temp,1\nt,k,s,v\n2024-01-03T00:00:00Z,,,3\n"
    given = {
        "format": "csv", "skip_until": "^t,", "header_again": True, "fill_down": ["s", "k"],
        "time": "t", "sensor": "s", "type": "k", "value": "v",
    }  # fmt: skip
    profile = Profile.model_validate(given)
    found = reading.read(io.BytesIO(table.encode()), profile, FilePath("f", "f"), io.BytesIO)
    rows = [row for part in found for row in part.bronze.to_pylist()]
    assert [(r["sensor_id"], r["reading_type"], r["value"]) for r in rows] == [
        ("S1", "temp", 1.0),
        ("S1", "temp", 3.0),
    ]
