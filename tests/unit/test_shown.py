"""What a file holds reaches terminals, logs and manifests as text alone."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorflow.core.sniff.guess import toml
from sensorflow.errors import Code, Fenced, Permanent, SensorflowError, Transient, UsageError
from sensorflow.escaping import escape, to_json

HOSTILE = "\x1b[2J\x9b31m\x7f\x07\u202e\u2066\u200b\x85\r\ud800\U000e0041"


@given(st.text())
def test_what_is_shown_can_be_printed_and_is_shown_as_itself(text: str) -> None:
    assert escape(text).isprintable()
    assert escape(escape(text)) == escape(text)


def test_letters_of_any_script_stay() -> None:
    assert escape("Grüße 東京 Ω °C 😀 \\x1b") == "Grüße 東京 Ω °C 😀 \\x1b"
    assert escape(HOSTILE).isascii()


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_means_what_it_meant(value: object) -> None:
    for options in ({}, {"indent": 2}):
        text = to_json(value, **options)
        assert json.loads(text) == value
        assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("kind", [Permanent, Transient, SensorflowError])
def test_an_error_is_escaped_where_it_is_made_whatever_becomes_of_it(
    kind: type[SensorflowError],
) -> None:
    error = kind(Code.UNREADABLE, f"cell {HOSTILE}", column=HOSTILE, line=3)
    again = pickle.loads(pickle.dumps(error))
    for found in (error, again):
        texts = (
            str(found),
            repr(found),
            found.message,
            found.place["column"],
            *map(str, found.args),
        )
        assert all(text.isprintable() for text in texts)
        assert found.place["line"] == 3
        assert type(found) is kind


def test_lines_of_a_file_end_where_they_do_and_those_of_a_server_stay() -> None:
    assert "\n" not in str(Permanent(Code.UNREADABLE, "a\nI501 forged"))
    assert str(Transient(Code.DATABASE, "a\nDETAIL: b")).endswith("a\nDETAIL: b")
    assert str(UsageError(f"a\n{HOSTILE}")) == "a\n" + escape(HOSTILE)
    assert "\x1b" not in str(Fenced("\x1b"))


def test_a_proposed_profile_holds_no_such_character_and_means_it() -> None:
    import tomllib

    name = HOSTILE.replace("\ud800", "")
    assert toml(name).isprintable()
    assert tomllib.loads(f"x = {toml(name)}")["x"] == name
