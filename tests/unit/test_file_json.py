"""What `files show --json` says of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from gated import Drop

from sensorflow.cli.files import record


@pytest.mark.parametrize(
    ("checksum", "expected"), [(None, None), (0, "0"), (2**64 - 1, "18446744073709551615")]
)
def test_a_checksum_is_a_text_whatever_it_is(
    tmp_path: Path, checksum: int | None, expected: str | None
) -> None:
    """That of a file that was undone is 0."""
    drop = Drop(tmp_path / "drop", "{name}.done")
    drop.put("a.csv", b"1")
    drop.register(b"a.csv", None)
    [view] = drop.ledger.files()
    assert record(replace(view, checksum=checksum))["checksum"] == expected
