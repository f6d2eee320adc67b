"""Texts looked at as bytes tell the same as one by one."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.texts import bare, may_hold_nul, some_empty
from sensorflow.errors import Code


def by_one(texts: list[str | None]) -> list[str | None]:
    return [(text or "").strip() or None for text in texts]


SPACES = " \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u2003\u2028\u202f\u3000"
TEXTS = st.lists(st.none() | st.text(st.sampled_from("aZ5°µ³~!\x7f" + SPACES), max_size=4))


@given(TEXTS, st.integers(0, 3))
def test_spaces_around_are_none_of_it(texts: list[str | None], start: int) -> None:
    array = pa.array(["x", " y ", "", *texts], pa.string()).slice(start)
    assert bare(array).to_pylist() == by_one(["x", " y ", "", *texts][start:])


@pytest.mark.parametrize("text", ["s1", "a b", "°C", "m³", "~", "!"])
def test_what_is_bare_stays_as_it_is(text: str) -> None:
    assert bare(pa.array([text, "x"])).to_pylist() == [text, "x"]


@given(st.lists(st.none() | st.text("a\0", max_size=3)), st.integers(0, 2))
def test_a_nul_is_found_wherever_it_stands(texts: list[str | None], start: int) -> None:
    array = pa.array(["x", "y", *texts], pa.string()).slice(start, len(texts) + 1)
    has_nul = any("\0" in (text or "") for text in array.to_pylist())
    assert may_hold_nul(array) == has_nul


def test_no_texts_at_all() -> None:
    nothing = pa.Array.from_buffers(pa.string(), 0, [None, pa.py_buffer(b""), pa.py_buffer(b"")])
    assert (len(bare(nothing)), may_hold_nul(nothing), some_empty(nothing)) == (0, False, False)


def test_the_number_of_a_code_is_its_alone() -> None:
    assert all(Code.of(code.number) is code for code in Code)
    assert all(0 < code.number < 2**15 for code in Code)
