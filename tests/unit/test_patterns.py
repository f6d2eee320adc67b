"""Patterns of profiles: bounded in time, and the same whichever library searches them."""

from __future__ import annotations

import io
import re
import threading
import time

import pytest

from sensorflow.core import patterns
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.patterns import Pattern
from sensorflow.core.profile import Profile
from sensorflow.core.reading import read
from sensorflow.errors import REMEDY, Code, Permanent

SLOW = "(a|aa)+$"
"""Takes seconds for 35 letters and a comma, and a lifetime for 60."""
EQUIVALENT = [
    *(r"^(\w+)_(\d{4})\.csv$", r"\bm²", r"a{e<=1}", r"x{i}", r"[[:alpha:]]", r"[a&&b]", r"[a||b]"),
    *(
        r"[]a]+",
        r"[^]a]+",
        r"\Aµ",
        r"\N{DEGREE SIGN}C",
        r"(?#[c)ü",
        r"[\d\-]+",
        r"\S+\s",
        r"a{,2}b",
    ),
    *(
        r"(?P<n>a+)?(b)?",
        r"(a)|b",
        r"(?<=;)\w",
        r"[\W_]+",
        r"(?i:temp)",
        r"(?m)^b$",
        r"a{,}",
        r"\B;",
    ),
]
TEXTS = [
    *("sensor_2024.csv", "5 m² 20 °C", "ae<=1 a{e<=1}", "xx x{i}", "[:alpha:] a:]", "a&&b", "]a]"),
    *(
        "µg/m³ °C",
        "über-12\x1c34\x85",
        "Temp;temp TEMP",
        "a\nb\nc",
        "½;é_e\u0301",
        "12-34\t56",
        "aab",
    ),
]


def by_the_other(pattern: Pattern) -> Pattern:
    pattern._safe = -1
    return pattern


@pytest.mark.parametrize("text", EQUIVALENT)
def test_both_libraries_find_the_same(text: str) -> None:
    other = by_the_other(Pattern(text))
    for subject in TEXTS:
        if (engine := other._engine(subject.isascii())) is None:
            continue
        ours, theirs = engine.search(subject), re.search(text, subject)
        assert (ours and (ours.span(), ours.groups())) == (
            theirs and (theirs.span(), theirs.groups())
        ), subject


@pytest.mark.parametrize(
    ("text", "length"),
    [(r"^\d", 1 << 20), (r"^(\w+)_(\d{4})", 1 << 20), (r"\s*;\s*x", 128), (r"(a+)+$", 0)],
)
def test_what_cannot_take_long_stays_with_the_library_it_was_written_for(
    text: str, length: int
) -> None:
    assert Pattern(text)._safe >= length


@pytest.mark.parametrize("text", [SLOW, r"(a+)+$", r"(a*)*b", r"(.*)(.*)(.*)(.*)(.*)x"])
def test_what_may_take_long_does_not(text: str) -> None:
    assert Pattern(text)._safe < 60


def test_a_pattern_that_backtracks_costs_its_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "TIMEOUT_SECONDS", 0.3)
    keys = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}
    profile = Profile.model_validate({**keys, "drop": SLOW})
    data = b"t,s,k,v\n2026-01-01T00:00:00Z,s,k,1\n" + b"a" * 35 + b",\n"
    with pytest.raises(Permanent) as caught:
        list(read(io.BytesIO(data), profile, FilePath("x.csv"), io.BytesIO))
    assert caught.value.code is Code.PATTERN_TOO_SLOW
    assert SLOW in caught.value.message
    assert caught.value.place["line"] == 3
    assert caught.value.code in REMEDY


def test_a_cell_that_is_cut_is_told_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "TIMEOUT_SECONDS", 0.3)
    keys = {"format": "csv", "time": "t", "type": "k", "value": "v"}
    profile = Profile.model_validate({**keys, "sensor": {"column": "s", "match": SLOW}})
    data = b"t,s,k,v\n2026-01-01T00:00:00Z,aa,k,1\n2026-01-01T00:00:01Z," + b"a" * 60 + b"!,k,1\n"
    with pytest.raises(Permanent) as caught:
        list(read(io.BytesIO(data), profile, FilePath("x.csv"), io.BytesIO))
    assert (caught.value.code, caught.value.place["line"]) == (Code.PATTERN_TOO_SLOW, 3)


def test_other_threads_go_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "TIMEOUT_SECONDS", 1.0)
    stop, ticks = threading.Event(), []

    def tick() -> None:
        while not stop.wait(0.01):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    with pytest.raises(Permanent):
        patterns.search(SLOW, "a" * 60 + "!")
    stop.set()
    thread.join()
    assert len(ticks) > 5
