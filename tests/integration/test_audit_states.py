"""An audit of files in every state: what is on its way, quarantined, replaced, dropped, or expired."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fleet import rows, text
from yard import Told, Yard, content

from sensorflow import bootstrap
from sensorflow.adapters.feeds.folder.feed import OpenFile
from sensorflow.adapters.postgres import audit as adapter
from sensorflow.core.states import WORK
from sensorflow.errors import Misuse
from sensorflow.flow.audit import Level, audit
from sensorflow.flow.land import land
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.register import Found, register

HEAD = "time,sensor,type,value,unit\n"


@pytest.fixture
def yard(project: Path, database: str) -> Iterator[Yard]:
    made = Yard(project, database)
    yield made
    made.close()


def only(told: Told, kind: str, fault: str) -> None:
    assert (told.code, told.kinds, told.faults) == (1, {kind: 1}, [fault])


def test_files_on_their_way_are_no_findings(yard: Yard) -> None:
    yard.load("a.csv", content(1))
    waiting, running = yard.arrive("b.csv", content(2)), yard.arrive("c.csv", content(3))
    assert yard.ledger.claim(running, WORK, "me", 60)
    told = yard.audit("--checksum")
    assert (told.code, told.report["in_flight"]) == (0, 2)
    assert "2 files in flight" in told.report["verdict"]
    assert yard.ledger.file(waiting)


def test_a_lease_that_ended_long_ago_is_overdue(yard: Yard) -> None:
    file_id = yard.arrive("a.csv", content(1))
    assert yard.ledger.claim(file_id, WORK, "me", 60)
    yard.sql("UPDATE files SET lease_until = now() - interval '3 seconds'")
    assert yard.audit("--fast").code == 0  # the next sweep sees to it
    yard.sql("UPDATE files SET lease_until = now() - interval '5 seconds'")
    only(yard.audit("--fast"), "overdue", "A502")


def test_a_file_that_nobody_publishes_is_overdue_while_there_is_room(yard: Yard) -> None:
    file_id = yard.arrive("a.csv", content(1))
    assert yard.audit("--fast").code == 0
    for table, column in (("files", "landed_at"), ("file_events", "at")):
        yard.sql(f"UPDATE {table} SET {column} = {column} - interval '1 minute'")
    only(yard.audit("--fast"), "overdue", "A503")
    yard.ledger.published(yard.ledger.due(10, 10))
    assert yard.audit("--fast").code == 0
    assert yard.fact(file_id, "published_at")


def test_what_waits_while_others_are_published_is_not_overdue(yard: Yard) -> None:
    yard.arrive("a.csv", content(1))
    for table, column in (("files", "landed_at"), ("file_events", "at")):
        yard.sql(f"UPDATE {table} SET {column} = {column} - interval '1 minute'")
    yard.arrive("b.csv", content(2))
    assert yard.audit("--fast").code == 1
    yard.sql("UPDATE files SET published_at = now() WHERE key_text = 'b.csv'")
    assert yard.audit("--fast").code == 0


def test_what_waits_while_others_are_taken_in_is_not_overdue(yard: Yard) -> None:
    path = yard.project / "drop" / "new.csv"
    path.write_bytes(content(1))
    age(path)
    assert yard.audit("--fast").code == 1
    yard.load("other.csv", content(2))
    assert yard.audit("--fast").code == 0


def test_a_message_that_nobody_takes_is_a_note(yard: Yard) -> None:
    yard.arrive("a.csv", content(1))
    yard.ledger.published(yard.ledger.due(10, 10))
    yard.sql("UPDATE files SET published_at = now() - interval '1 minute'")
    told = yard.audit("--fast")
    assert told.code == 0
    assert any("plant/a.csv" in note for note in told.report["notes"])


def age(path: Path) -> None:
    """A change time cannot be set: wait until it is old enough."""
    while time.time() - path.stat().st_ctime < 2.2:
        time.sleep(0.1)


def test_a_dropped_file_that_was_never_seen_is_overdue(yard: Yard) -> None:
    path = yard.project / "drop" / "new.csv"
    path.write_bytes(content(1))
    assert yard.audit("--fast").code == 0
    age(path)
    told = yard.audit("--fast")
    only(told, "overdue", "A501")
    assert told.report["findings"][0]["name"] == "new.csv"


def test_a_file_that_is_still_written_or_not_ours_is_not_overdue(yard: Yard) -> None:
    drop = yard.project / "drop"
    (drop / "copy.part").write_bytes(b"x")
    with (drop / "open.csv").open("wb") as stream:
        stream.write(b"x")
        stream.flush()
        age(drop / "open.csv")
        assert yard.audit("--fast").code == 0


def test_a_file_that_stays_in_its_folder_is_known(project: Path, database: str) -> None:
    yard = Yard(project, database, {"after": "keep"})
    path = project / "drop" / "kept.csv"
    path.write_bytes(content(1))
    age(path)
    assert yard.audit("--fast").code == 1

    folder = bootstrap.folders(yard.settings)[0]
    with folder.open(b"kept.csv") as stream:
        landed = land(yard.world.landing, OpenFile("plant", b"kept.csv", stream))
        assert landed
        now = datetime.now(UTC)
        register(yard.ledger, yard.settings, Found(landed[1], landed[0], now, now))
    assert yard.audit("--fast").code == 0
    yard.close()


def test_a_quarantined_file_without_its_manifest_is_lost_and_a_replay_mends_it(yard: Yard) -> None:
    file_id = yard.quarantine()
    where = yard.data / "quarantine" / yard.fact(file_id, "quarantined_to")
    assert yard.audit().code == 0
    (where / "manifest.json").unlink()
    only(yard.audit("--fast"), "lost", "A102")
    assert yard.audit("--fast", "--repair").report["repair"][0]["able"]
    assert yard.audit("--fast", "--repair", "--apply").code == 0
    yard.work(file_id)
    yard.put_aside(file_id)
    assert yard.audit().code == 0


def test_a_quarantined_file_whose_bytes_are_gone_is_lost(yard: Yard) -> None:
    file_id = yard.quarantine()
    where = yard.data / "quarantine" / yard.fact(file_id, "quarantined_to")
    next((where / "file").iterdir()).unlink()
    only(yard.audit("--fast"), "lost", "A103")


ROW = (
    "INSERT INTO raw_readings SELECT ts, sensor_id, reading_type, value, unit, quality, %s, 1,"
    " gen_random_uuid() FROM raw_readings LIMIT 1"
)


def test_rows_of_a_quarantined_file_are_orphaned_and_removed_only_with_the_original_there(
    yard: Yard,
) -> None:
    yard.load("a.csv", content(1))
    file_id = yard.quarantine()
    yard.sql(ROW, file_id)
    only(yard.audit(), "orphaned", "A302")
    landed = yard.landed(file_id)
    kept = landed.read_bytes()
    landed.write_bytes(kept[:-1] + b"?")
    told = yard.audit("--repair", "--apply")
    assert (told.code, told.report["repair"][0]["done"]) == (1, False)
    only(yard.audit(), "orphaned", "A302")
    landed.write_bytes(kept)
    assert yard.audit("--repair").report["repair"][0]["able"]
    only(yard.audit(), "orphaned", "A302")  # dry: nothing was changed
    assert yard.audit("--repair", "--apply").code == 0
    assert yard.audit().code == 0
    told_of = [event.what for event in yard.ledger.history(file_id)]
    assert "orphaned rows removed" in told_of


def test_rows_and_lake_files_that_no_ledger_row_knows_are_never_touched(yard: Yard) -> None:
    file_id = yard.load("a.csv", content(1))
    yard.sql(ROW, 999)
    path = yard.silver(file_id)
    stray = path.with_name("file-999-v1.parquet")
    stray.write_bytes(path.read_bytes())
    told = yard.audit("--repair", "--apply")
    assert (told.code, told.faults) == (1, ["A301", "A303"])
    assert [step["able"] for step in told.report["repair"]] == [False, False]
    assert stray.exists()
    assert yard.audit().faults == ["A301", "A303"]


@pytest.fixture
def superseding(project: Path, database: str) -> Iterator[Yard]:
    made = Yard(project, database, {"on_change": "supersede"})
    yield made
    made.close()


def replaced(yard: Yard) -> tuple[int, Path, bytes]:
    """A superseded file whose silver is still there, as after a kill between commit and removal."""
    old = yard.load("a.csv", content(1))
    path = yard.silver(old)
    kept = path.read_bytes()
    yard.load("a.csv", content(2))
    assert not path.exists()
    path.write_bytes(kept)
    return old, path, kept


def test_silver_of_a_replaced_file_is_orphaned_once_there_was_time_to_remove_it(
    superseding: Yard,
) -> None:
    old, path, _ = replaced(superseding)
    assert superseding.audit().code == 0
    superseding.sql("UPDATE files SET finished_at = now() - interval '1 hour' WHERE id = %s", old)
    told = superseding.audit()
    only(told, "orphaned", "A304")
    assert superseding.audit("--repair", "--apply").code == 0
    assert not path.exists()
    told = superseding.audit()
    assert (told.code, told.report["notes"]) == (0, [])


def test_silver_of_a_replaced_file_stays_when_it_may_be_the_only_copy(superseding: Yard) -> None:
    old, path, _ = replaced(superseding)
    superseding.sql("UPDATE files SET finished_at = now() - interval '1 hour' WHERE id = %s", old)
    for landed in (superseding.data / "landing").rglob("*"):
        if landed.is_file():
            landed.unlink()
    told = superseding.audit("--repair", "--apply")
    assert told.code == 1
    assert path.exists()
    assert not any(step["done"] for step in told.report["repair"])


def test_what_retention_removed_is_expired_and_not_lost(yard: Yard) -> None:
    file_id = yard.load("a.csv", content(1))
    yard.landed(file_id).unlink()
    yard.silver(file_id).unlink()
    yard.sql("DELETE FROM raw_readings WHERE line_no > 5")
    assert yard.audit().kinds == {"lost": 3}
    yard.sql("UPDATE files SET expired = '{landing,silver,rows}'")
    told = yard.audit("--deep")
    assert (told.code, told.faults) == (0, [])
    assert told.report["expired"] == {"landing": 1, "silver": 1, "rows": 1}


def test_the_rows_of_a_file_that_goes_through_again_are_those_of_its_last_load(
    yard: Yard,
) -> None:
    file_id = yard.load("a.csv", content(1))
    yard.sql(
        "UPDATE files SET state = 'pending', stage = 'validate', finished_at = NULL,"
        " previous = jsonb_build_object('rows_loaded', rows_loaded), published_at = now()"
    )
    assert yard.audit("--checksum").code == 0
    yard.sql("DELETE FROM raw_readings WHERE line_no = 5")
    only(yard.audit(), "lost", "A104")
    yard.sql("UPDATE files SET previous = NULL")
    only(yard.audit(), "orphaned", "A302")
    assert yard.audit("--repair", "--apply").report["repair"][0]["able"] is False
    assert yard.ledger.file(file_id)


def test_repeats_with_other_values_are_told_by_their_ordinals(yard: Yard) -> None:
    rows = [f"2026-02-01T00:00:0{n % 2}Z,s,temperature,{n},degC\n" for n in range(60)]
    file_id = yard.load("a.csv", (HEAD + "".join(rows)).encode())
    assert yard.audit("--deep").code == 0
    yard.sql("UPDATE raw_readings SET value = 0.5 WHERE value = 40")
    only(yard.audit("--checksum"), "mismatched", "A406")
    yard.sql("UPDATE raw_readings SET value = 40 WHERE value = 0.5")
    yard.sql("UPDATE raw_readings SET dedupe_key = gen_random_uuid() WHERE value = 40")
    told = yard.audit("--checksum")
    only(told, "mismatched", "A406")
    assert "1 row" in told.report["findings"][0]["found"]
    assert yard.ledger.file(file_id)


SHARED = {"dedupe_scope": "source", "on_change": "keep"}


def test_readings_that_several_files_of_a_source_hold_are_counted_once(
    project: Path, database: str
) -> None:
    yard = Yard(project, database, SHARED)
    lines = content(1, 30).decode().splitlines(keepends=True)
    first = yard.load("a.csv", "".join(lines[:21]).encode())
    second = yard.load("b.csv", "".join([lines[0], *lines[11:]]).encode())
    assert yard.fact(second, "rows_duplicate") == 10
    assert yard.audit("--deep").code == 0
    yard.sql("DELETE FROM raw_readings WHERE file_id = %s AND line_no > 18", first)
    told = yard.audit("--checksum")
    assert told.faults == ["A104", "A106"]
    assert {f["file_id"] for f in told.report["findings"]} == {first, second}
    yard.close()


def test_the_name_that_was_written_down_counts_not_what_the_settings_say_by_now(
    project: Path, database: str
) -> None:
    yard = Yard(project, database)
    yard.load("a.csv", content(1))
    yard.sql("UPDATE files SET identity = 'plant/a.csv'")
    yard.configure(SHARED)
    assert yard.audit("--checksum").code == 0
    yard.close()


def test_versions_that_are_all_kept_have_names_of_their_own(project: Path, database: str) -> None:
    yard = Yard(project, database, {"on_change": "keep"})
    for number in range(3):
        yard.load("a.csv", content(number))
    told = yard.audit("--deep")
    assert (told.code, told.report["rows"]) == (0, 60)
    yard.sql("UPDATE files SET identity = NULL")  # as 0.1.0 left it
    assert yard.audit("--deep").code == 0
    yard.close()


# --- mending what is wrong with a loaded file ---

DAMAGE = {
    "rows are lost": "DELETE FROM raw_readings WHERE line_no IN (5, 6)",
    "a value changed": "UPDATE raw_readings SET value = 3.25 WHERE line_no = 5",
    "a sensor changed": "UPDATE raw_readings SET sensor_id = 'x' WHERE line_no = 5",
    "a unit changed": "UPDATE raw_readings SET unit = 'K' WHERE line_no = 5",
    "a key changed": "UPDATE raw_readings SET dedupe_key = gen_random_uuid() WHERE line_no = 5",
    "a time moved": "UPDATE raw_readings SET ts = ts + interval '0.5 s' WHERE line_no = 5",
    "a row was doubled": ROW.replace("%s, 1", "file_id, 1"),
    "silver is gone": "",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_goes_through_again_and_the_next_audit_is_clean(
    yard: Yard, what: str
) -> None:
    file_id = yard.load("a.csv", content(1))
    if DAMAGE[what]:
        yard.sql(DAMAGE[what])
    else:
        yard.silver(file_id).unlink()
    assert yard.audit("--checksum").code == 1
    steps = yard.audit("--checksum", "--repair").report["repair"]
    assert [(s["act"], s["able"], s["done"]) for s in steps] == [("replay", True, False)]
    assert yard.audit("--checksum").report["in_flight"] == 0  # dry: nothing was begun
    assert yard.audit("--checksum", "--repair", "--apply").code == 0
    assert yard.audit("--checksum").report["in_flight"] == 1
    assert yard.work(file_id) is Outcome.LOADED
    told = yard.audit("--deep")
    assert (told.code, told.report["findings"]) == (0, [])


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_damaged_file_is_left_alone_when_its_original_is_not_there(yard: Yard, how: str) -> None:
    file_id = yard.load("a.csv", content(1))
    yard.sql("DELETE FROM raw_readings WHERE line_no = 5")
    landed = yard.landed(file_id)
    if how == "gone":
        landed.unlink()
    else:
        landed.write_bytes(landed.read_bytes().replace(b"degC", b"degF"))
    told = yard.audit("--repair", "--apply")
    assert told.code == 1
    assert not any(step["done"] for step in told.report["repair"])
    assert yard.audit().report["in_flight"] == 0


# --- while things move ---


def test_an_audit_during_loads_finds_nothing(yard: Yard) -> None:
    stop, failed = threading.Event(), []

    def load() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                lines = rows(number % 7, 20, random.Random(number))[number % 3 :]
                yard.load(f"{number % 7}.csv", text(lines))  # new names and new versions
                if number % 5 == 0:
                    yard.quarantine(f"{number}.csv.gz", b"\x1f\x8b%d" % number)
        except Exception as error:
            failed.append(error)
            raise

    worker = threading.Thread(target=load)
    worker.start()
    try:
        turn = 0
        while turn < 12 or yard.ledger.totals()["plant"].rows_replaced < 200:
            turn += 1
            report = audit(bootstrap.sight(yard.settings), tuple(Level)[turn % 4])
            assert (report.findings, report.unseen) == ([], [])
    finally:
        stop.set()
        worker.join()
    assert not failed
    told = yard.audit("--deep")
    assert (told.code, told.report["in_flight"]) == (0, 0)


# --- what is away ---


def test_a_database_that_is_away_is_told_and_not_taken_for_a_finding(yard: Yard) -> None:
    yard.load("a.csv", content(1))
    yard.configure(database_url="postgresql://x:y@127.0.0.1:1/none")
    told = yard.audit()
    assert (told.code, told.report["findings"]) == (2, [])
    assert "could not finish" in told.report["verdict"]
    assert any("I501" in text for text in told.report["not_looked_at"])


@pytest.mark.parametrize(("folder", "level"), [("landing", "--fast"), ("silver", "--checksum")])
def test_a_disk_that_is_away_is_told_and_not_taken_for_a_loss(
    yard: Yard, folder: str, level: str
) -> None:
    yard.load("a.csv", content(1))
    (yard.data / folder).rename(yard.data / "elsewhere")
    told = yard.audit(level)
    assert (told.code, told.report["findings"]) == (2, [])
    assert told.report["not_looked_at"]
    (yard.data / "elsewhere").rename(yard.data / folder)
    assert yard.audit(level).code == 0


def test_a_database_that_goes_away_in_the_middle_is_told(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.load("a.csv", content(1))
    pid = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in tr%%'"
    found = adapter.PostgresSnapshot.rows_per_file

    def cut(self: adapter.PostgresSnapshot) -> dict[int, int]:
        yard.sql(pid)
        return found(self)

    monkeypatch.setattr(adapter.PostgresSnapshot, "rows_per_file", cut)
    told = yard.audit("--checksum")
    assert (told.code, told.report["findings"]) == (2, [])
    assert len(told.report["not_looked_at"]) >= 2


# --- deep ---


def test_each_part_of_a_subset_reads_its_own_files(yard: Yard) -> None:
    ids = [yard.load(f"{n}.csv", content(n)) for n in range(4)]
    for file_id in ids:
        path = yard.landed(file_id)
        path.write_bytes(path.read_bytes()[:-2] + b"~\n")
    found = [yard.audit("--deep", "--subset", f"{n}/2").report["findings"] for n in (1, 2)]
    assert [len(f) for f in found] == [2, 2]
    assert {f["file_id"] for part in found for f in part} == set(ids)
    assert {f["code"] for part in found for f in part} == {"A402 landing-hash"}


def test_an_account_that_the_original_does_not_give_is_found_by_reading_it_again(
    yard: Yard,
) -> None:
    file_id = yard.load("a.csv", content(1) + b"no time,s,temperature,1,degC\n")
    yard.sql("UPDATE files SET rows_rejected = 0, rows_read = rows_read - 1")
    assert yard.audit("--checksum").code == 0
    told = yard.audit("--deep")
    only(told, "mismatched", "A410")
    assert "rejected=1" in told.report["findings"][0]["found"]
    assert yard.ledger.file(file_id)


def test_a_file_loaded_by_another_profile_is_hashed_and_not_read(yard: Yard) -> None:
    yard.load("a.csv", content(1))
    rules = {"temperature": {"min": -500.0}}
    yard.configure(profiles={"long": {"extends": "long", "rules": rules}})
    told = yard.audit("--deep")
    assert told.code == 0, told.report
    assert any("an earlier definition of profile" in note for note in told.report["notes"])


# --- the command ---


def test_a_project_that_has_not_begun_is_clean(yard: Yard) -> None:
    assert not yard.data.exists()
    told = yard.audit("--checksum")
    assert (told.code, told.report["not_looked_at"]) == (0, [])


def test_a_lake_whose_ledger_is_empty_is_orphaned(yard: Yard) -> None:
    yard.load("a.csv", content(1))
    yard.sql("TRUNCATE files, raw_readings CASCADE")
    told = yard.audit()
    assert (told.code, set(told.faults)) == (1, {"A303", "A414"})


def test_one_source_alone_can_be_audited(yard: Yard) -> None:
    file_id = yard.load("a.csv", content(1))
    yard.sql("UPDATE files SET source = 'other'")
    assert yard.audit("--source", "plant").report["files"] == 0
    yard.silver(file_id).rename(yard.silver(file_id).with_name("gone"))
    assert yard.audit("--source", "plant").code == 0
    assert yard.audit().code == 1


def test_all_findings_are_counted_though_few_are_listed(yard: Yard) -> None:
    for n in range(4):
        yard.landed(yard.load(f"{n}.csv", content(n))).unlink()
    told = yard.audit("--fast", "--limit", "1")
    assert (len(told.report["findings"]), told.kinds) == (1, {"lost": 4})
    shown = yard.run("--fast", "--limit", "1")
    assert "and 3 more" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "audit: 4 files, 80 readings: 4 lost"


def test_the_last_line_for_people_is_the_verdict(yard: Yard) -> None:
    yard.load("a.csv", content(1))
    shown = yard.run()
    assert shown.exit_code == 0
    assert shown.stdout == "audit: 1 file, 20 readings: every one accounted for\n"


@pytest.mark.parametrize(
    "given", [("--fast", "--deep"), ("--apply",), ("--subset", "3/2"), ("--source", "nix")]
)
def test_a_mistake_in_the_options_is_said(yard: Yard, given: tuple[str, ...]) -> None:
    with pytest.raises(Misuse):
        yard.run(*given)


def test_what_killed_writers_left_is_a_note(yard: Yard) -> None:
    yard.load("a.csv", content(1))
    left = yard.data / "landing" / ".writing-abcdefgh"
    left.write_bytes(b"x")
    assert yard.audit().report["notes"] == []
    os.utime(left, (1, 1))
    told = yard.audit()
    assert told.code == 0
    assert any(".writing-abcdefgh" in note for note in told.report["notes"])
