"""A layout is found once for files of one header, and never taken for a file that it does not fit."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import pytest

from sensorflow.core.binding.binding import Binding
from sensorflow.core.binding.cache import MAX_BINDINGS, BindingCache
from sensorflow.core.binding.drift import Drift
from sensorflow.core.binding.fields import Field
from sensorflow.core.binding.file_path import FilePath
from sensorflow.core.binding.resolve import resolver
from sensorflow.core.profile import Profile
from sensorflow.core.reading import chunks
from sensorflow.errors import Code, Permanent

LONG = {"format": "csv", "time": "t", "sensor": "s", "type": "k", "value": "v"}
COLUMNS = ["t", "s", "k", "v"]
Found = Callable[..., Binding]


@pytest.fixture
def found() -> Found:
    """Files that are read one after the other."""
    return partial(layout, BindingCache())


def layout(
    bindings: BindingCache,
    profile: Profile,
    columns: list[str],
    name: str = "a.csv",
    preamble: str = "",
    **drift: str,
) -> Binding:
    policy = Drift.model_validate(drift)
    fields = [Field(column, (column,)) for column in columns]
    return resolver(profile, FilePath(name, name), policy, bindings)(fields, preamble)


def test_the_next_file_of_the_same_header_has_the_same_layout(found: Found) -> None:
    profile = Profile.model_validate(LONG)
    assert found(profile, COLUMNS) is found(profile, COLUMNS, "b.csv")


def test_another_order_of_columns_is_another_layout(found: Found) -> None:
    profile = Profile.model_validate(LONG)
    found(profile, COLUMNS)
    assert found(profile, COLUMNS[::-1]).measures[0].column == 0


def test_a_file_without_a_column_is_still_refused(found: Found) -> None:
    profile = Profile.model_validate(LONG)
    found(profile, COLUMNS)
    with pytest.raises(Permanent) as caught:
        found(profile, ["t", "s", "k"])
    assert caught.value.code is Code.COLUMN_MISSING


def test_the_source_with_the_stricter_policy_is_asked_again(found: Found) -> None:
    profile = Profile.model_validate(LONG)
    found(profile, [*COLUMNS, "more"])
    with pytest.raises(Permanent) as caught:
        found(profile, [*COLUMNS, "more"], new="quarantine")
    assert caught.value.code is Code.DRIFT


def test_an_equal_profile_that_is_another_object_is_asked_again(found: Found) -> None:
    one, other = Profile.model_validate(LONG), Profile.model_validate(LONG | {"value": "s"})
    assert found(one, COLUMNS).measures[0].column == 3
    assert found(other, COLUMNS).measures[0].column == 1


@pytest.mark.parametrize("origin", ["file_name", "path"])
def test_what_stands_in_the_name_is_of_that_file_alone(found: Found, origin: str) -> None:
    profile = Profile.model_validate(LONG | {"sensor": {origin: r"^(\w+)\.csv"}})
    sensors = [found(profile, COLUMNS, f"{n}.csv").measures[0].sensor.constant for n in "ab"]
    assert sensors == ["a", "b"]


def test_what_stands_before_the_header_is_of_that_text_alone(found: Found) -> None:
    profile = Profile.model_validate(LONG | {"sensor": {"preamble": r"station (\w+)"}})
    sensors = [
        found(profile, COLUMNS, preamble=f"station {n}").measures[0].sensor.constant for n in "ab"
    ]
    assert sensors == ["a", "b"]


def test_the_place_in_a_doubled_hour_is_of_one_file(found: Found) -> None:
    time = {"column": "t", "zone": "Europe/Berlin", "ambiguous": "order"}
    profile = Profile.model_validate(LONG | {"time": time})
    one, other = found(profile, COLUMNS), found(profile, COLUMNS)
    assert one.clock.order is not other.clock.order


def test_no_more_are_remembered_than_a_few() -> None:
    bindings = BindingCache()
    profiles = [Profile.model_validate(LONG) for _ in range(3 * MAX_BINDINGS)]
    for profile in profiles:
        layout(bindings, profile, COLUMNS)
    assert 0 < len(bindings) <= MAX_BINDINGS


def test_files_that_are_read_with_the_same_layouts_share_one() -> None:
    bindings, profile = BindingCache(), Profile.model_validate(LONG)
    data = b"t,s,k,v\n2026-01-01T00:00:00Z,a,b,1\n"
    found = [
        chunk.binding
        for name in ("a.csv", "b.csv")
        for chunk in chunks(
            io.BytesIO(data), profile, FilePath(name, name), io.BytesIO, bindings=bindings
        )
    ]
    assert len(found) == 2
    assert found[0] is found[1]
