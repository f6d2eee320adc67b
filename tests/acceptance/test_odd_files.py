"""Names and things that a drop folder may hold: each ends as it should, and nothing blocks."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from fleet import LONG_LEASE, fleet, rows, text
from patience import PATIENCE

from sensorflow.core.states import State


def test_files_without_readings_are_quarantined_with_their_reason(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url) as f:
        f.start("daemon", "worker")
        f.put("empty.csv", b"")
        f.put("nul.csv", b"\0" * 10_000)
        f.put("other.csv", b"a,b\n1,2\n")
        f.put("binary.csv", random.Random(1).randbytes(5_000))
        f.wait(lambda: f.counts()["quarantined"] == 4)
        codes = {v.name: (v.error_code or "")[:4] for v in f.ledger.files(State.QUARANTINED)}
        assert codes["empty.csv"] == "F201"
        assert codes["nul.csv"] == "F201"
        assert codes["other.csv"] == "F202"
        quarantined = f.data / "quarantine" / "plant"
        assert sum(p.name == "manifest.json" for p in quarantined.rglob("*")) == 4
        assert (next(quarantined.rglob("nul.csv"))).read_bytes() == b"\0" * 10_000


def test_polling_alone_works(project: Path, database: str, valkey_url: str) -> None:
    with fleet(project, database, valkey_url, source={"polling": True}) as f:
        f.start("daemon", "worker")
        f.put("a.csv", text(rows(1, 5, random.Random(1))))
        (f.drop / "b.csv.part").write_bytes(b"unfinished")
        f.wait(lambda: f.counts()["loaded"] == 1)
        assert f.counts()["files"] == 1


def test_a_kept_file_is_taken_once_for_each_content(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url, source={"after": "keep"}) as f:
        f.start("daemon", "worker")
        f.put("a.csv", text(rows(1, 5, random.Random(1))))
        f.wait(lambda: f.counts()["loaded"] == 1)
        f.kill("daemon")
        f.start("daemon")
        f.put("a.csv", text(rows(1, 7, random.Random(1))))
        f.wait(lambda: f.counts()["loaded"] == 2)
        assert f.counts()["files"] == 2
        assert (f.drop / "a.csv").exists()


def test_a_large_file_goes_as_a_chain_and_leaves_the_same_records(
    project: Path, database: str, valkey_url: str
) -> None:
    with fleet(project, database, valkey_url, inline_below="1 KiB", environment=LONG_LEASE) as f:
        f.start("daemon", "worker")
        f.put("large.csv", text(rows(1, 3_000, random.Random(1))))
        f.wait(lambda: f.counts()["loaded"] == 1)
        (view,) = f.ledger.files()
        assert view.counts.loaded == 3_000
        done = [(e.stage, e.rows) for e in f.ledger.history(view.file_id) if e.seconds]
        assert done == [("validate", 3_000), ("transform", 3_000), ("load", 3_000)]


def test_sigterm_finishes_the_file_in_hand(project: Path, database: str, valkey_url: str) -> None:
    """A stopped daemon leaves every file either untouched in its folder, or registered and gone."""
    with fleet(project, database, valkey_url) as f:
        f.start("daemon")
        for number in range(200):
            f.put(f"{number}.csv", text(rows(number, 5, random.Random(number))))
            if number == 100:
                f.wait(lambda: f.counts()["files"] > 0)
                f.running["daemon"].send_signal(signal.SIGTERM)
        assert f.running.pop("daemon").wait(PATIENCE) == 0
        left = {p.name for p in f.drop.iterdir()}
        registered = {v.name for v in f.ledger.files(limit=1000)}
        assert left.isdisjoint(registered)
        assert len(left) + len(registered) == 200
        assert "daemon.stopped" in (project / "daemon.log").read_text()
