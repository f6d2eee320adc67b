"""The journal of a move, on hosts whose data folder is special."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensorflow.adapters.local import move_journal
from sensorflow.errors import Transient


def test_a_host_that_moves_buckets_may_have_no_data_folder(tmp_path: Path) -> None:
    path = tmp_path / "data" / move_journal.NAME
    with move_journal.opened(path, "there") as journal:
        journal.finish()
    assert move_journal.is_finished(path, "there")


def test_a_journal_that_cannot_be_written_is_an_error_of_storage(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the place of the folder")
    with (
        pytest.raises(Transient, match=r"data"),
        move_journal.opened(tmp_path / "data" / move_journal.NAME, "there"),
    ):
        pass
    (tmp_path / move_journal.NAME).mkdir()
    with (
        pytest.raises(Transient, match=move_journal.NAME),
        move_journal.opened(tmp_path / move_journal.NAME, "there"),
    ):
        pass
