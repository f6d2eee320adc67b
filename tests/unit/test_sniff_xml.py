"""XML of all kinds, and spreadsheets of all kinds, proposed for as they are."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import openpyxl
import pytest
from test_sheets import ods, xls, xlsb
from test_sniff import proposed, read

from sensorflow.errors import UsageError

T = [datetime(2026, 1, 31) + timedelta(minutes=10 * i) for i in range(12)]  # noqa: DTZ001 (loggers have no zone)
WATERML = """<w:response xmlns:w="http://example.org/w"><w:info><w:created>2026-02-01T00:00:00Z</w:created></w:info>
<w:series><w:site><w:siteCode network="N">00412</w:siteCode><w:siteName>Weir, lower</w:siteName></w:site>
<w:variable><w:variableCode>00062</w:variableCode><w:valueType>derived</w:valueType><w:unit><w:unitName>metre</w:unitName>
<w:unitAbbreviation>m</w:unitAbbreviation><w:unitCode>52</w:unitCode></w:unit><w:noDataValue>-9999</w:noDataValue>
<w:timeScale><w:unit><w:unitAbbreviation>min</w:unitAbbreviation></w:unit></w:timeScale></w:variable>
<w:values>{}<w:method id="1"><w:code>1</w:code></w:method></w:values></w:series></w:response>"""


def every(pattern: str) -> str:
    return "".join(
        pattern.format(t=f"{t:%Y-%m-%dT%H:%M:%S}", d=f"{t:%Y/%m/%d}", c=f"{t:%H:%M:%S}", i=i, v=20 + i / 4)
        for i, t in enumerate(T)
    )  # fmt: skip


def test_values_in_a_series_that_says_what_they_are() -> None:
    data = WATERML.format(every('<w:value quality="P" at="{t}+01:00">{v}</w:value>\n'))
    found = read(data, None)
    assert (found.valid, list(found.sensors), found.units) == (12, ["00412"], {"00062": "m"})
    assert 'missing = ["-9999"]' in proposed(data, None).guess.toml()
    assert read(data.replace("20.25", "-9999"), None).valid == 11


def test_a_zone_and_a_date_beside_its_clock() -> None:
    events = every('<event date="{d}" time="{c}" value="{v}" flag="0"/>')
    series = "".join(
        f"<s><head><type>x</type><locationId>L{k}</locationId><parameterId>P.{k}</parameterId>"
        f"<timeStep unit='second'/><units>mm</units></head>"
        f"{events}</s>"
        for k in (1, 2)
    )
    found = read(f"<all version='1.2'><timeZone>-3.5</timeZone>{series}</all>", None)
    assert (found.valid, found.units) == (24, {"P.1": "mm", "P.2": "mm"})
    assert list(found.sensors) == ["L1", "L2"]
    assert found.first is not None
    assert found.first[1].isoformat() == "2026-01-31T03:30:00+00:00"


def test_milliseconds_in_an_element_of_their_own() -> None:
    rows = "".join(
        f"<Log id='{i}'><Date>2026/01/31</Date><Time>12:00:0{i // 8}</Time><ms>{i % 8 * 5}</ms>"
        f"<ch1>{i / 4}</ch1><ch2>{15 + i / 8}</ch2></Log>"
        for i in range(16)
    )
    head = (
        "<Info><Serial_number>217</Serial_number><Location>pump</Location></Info>"
        "<Ch1_data_header><Identification>LEVEL</Identification><Unit>m</Unit></Ch1_data_header>"
        "<Ch2_data_header><Identification>TEMP</Identification><Unit>°C</Unit></Ch2_data_header>"
    )
    found = read(f"<Body>{head}<Data>{rows}</Data></Body>")
    assert (found.valid, found.distinct, list(found.sensors)) == (32, 32, ["217"])
    assert found.units == {"LEVEL": "m", "TEMP": "°C"}
    assert found.last is not None
    assert found.last[1].isoformat() == "2026-01-31T12:00:01.035000+00:00"


def test_columns_that_a_list_of_fields_names() -> None:
    fields = "".join(
        f"<field name='{n}' units='{u}'/>" for n, u in (("T", "C"), ("at", ""), ("P", "kPa"))
    )
    rows = every('<r no="{i}" time="{t}"><v1>{v}</v1><v2>{t}</v2><v3>9{i}</v3></r>').replace(
        ">20.5<", '>"NAN"<'
    )
    found = read(f"<x><head><fields>{fields}</fields></head><data>{rows}</data></x>")
    assert (found.units, found.valid, found.rejected) == ({"T": "C", "P": "kPa"}, 23, 0)


def test_channels_that_say_what_they_are_within_a_scan() -> None:
    rows = every(
        '<scan at="{t}"><ch id="temp" u="degC">{v}</ch><ch id="hum" u="%">4{i}</ch></scan>'
    )
    found = read(f"<log station='roof'>{rows}</log>")
    assert (found.types, list(found.sensors)) == ({"temp": 12, "hum": 12}, ["roof"])


def test_elements_with_values_and_units_as_attributes() -> None:
    rows = every(
        '<row from="{t}"><temp value="{v}" unit="celsius"/><wind unit="m/s">{i}</wind></row>'
    )
    assert read(f"<all>{rows}</all>").units == {"temp": "celsius", "wind": "m/s"}


def test_records_elsewhere_are_spoken_of() -> None:
    rows = every('<r t="{t}" v="{v}"/>'), every('<q t="{t}" w="{v}"/>')
    data = "<x><a>{}</a><b>{}</b></x>".format(*rows)
    assert "records at x.b.q are ignored" in "\n".join(proposed(data).guess.todo)


def test_a_document_longer_than_what_is_read() -> None:
    row = '<r t="2026-01-{:02}T{:02}:{:02}:{:02}Z" name="a name that is as long as it is">{}</r>'
    rows = [
        row.format(1 + i // 86400, i // 3600 % 24, i // 60 % 60, i % 60, i) for i in range(20_000)
    ]
    assert read(f"<all>{''.join(rows)}</all>", None).valid == 20_000


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("<svg><path d='1'/><path d='2'/></svg>", "no elements with a time and a number"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "document type"),
        ("<a><b t='2026-01-31T12:00:00Z'>1</b>", "ends before its root element"),
        ("<Workbook><Worksheet/></Workbook>", "save it as .xlsx"),
        (f"<o><at>2026-01-31T12:00:00Z</at><x>{'1.5 ' * 60}</x></o>", "60 values in one text"),
    ],
)  # fmt: skip
def test_xml_that_nothing_is_proposed_for(data: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        proposed(data)
    assert says in str(caught.value)


def test_an_encoding_that_the_document_declares() -> None:
    rows = every('<r t="{t}"><v u="°C">{v}</v></r>')
    data = f'<?xml version="1.0" encoding="iso-8859-1"?><x>{rows}</x>'.encode("latin-1")
    assert "encoding" not in proposed(data).guess.toml()
    assert read(data).valid == 12


@pytest.mark.parametrize(("write", "kind"), [(ods, "ods"), (xls, "xls"), (xlsb, "xlsb")])
def test_spreadsheets_of_every_kind(write: Any, kind: str) -> None:
    rows: list[list[Any]] = [["time", "temp (C)"], *([f"{t:%Y-%m-%d %H:%M}", 20.5] for t in T)]
    assert f'format = "{kind}"' in proposed(write(rows)).guess.toml()
    assert read(write(rows)).units == {"temp": "C"}


def test_the_first_sheet_with_times_and_the_others_by_name() -> None:
    book, data = openpyxl.Workbook(), io.BytesIO()
    notes: list[list[Any]] = [["word", "count", "share"], *([f"w{i}", i, i / 7] for i in range(9))]
    table: list[list[Any]] = [
        ["Date", "Year", "Temp"],
        *([T[0] + timedelta(i), 2026, 20 + i] for i in range(12)),
    ]
    for name, rows in (("notes", notes), ("air", table), ("water", table)):
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(data)
    found = proposed(data.getvalue())
    assert "sheet = 3" in found.guess.toml()
    assert "the sheets 'water' also contain" in "".join(found.guess.todo)
    seen = read(data.getvalue())
    assert (seen.types, seen.last[1].day if seen.last else 0) == ({"Temp": 12}, 11)
    assert seen.last is not None
    assert seen.last[1].hour == 0


def test_elements_of_one_name_that_are_told_apart_by_their_places() -> None:
    fields = "<field name='P' units='kPa'/><field name='T' units='C'/>"
    rows = every('<r time="{t}"><v>{v}</v><v>1{i}</v></r>')
    assert read(f"<x><f>{fields}</f>{rows}</x>").units == {"P": "kPa", "T": "C"}
