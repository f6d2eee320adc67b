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
from project_driver import AuditOutput, ProjectDriver, content

from sensorflow import bootstrap
from sensorflow.adapters.feeds.folder.feed import OpenFile
from sensorflow.adapters.postgres import audit as adapter
from sensorflow.core.states import WORK
from sensorflow.errors import UsageError
from sensorflow.flow.audit import Level, audit
from sensorflow.flow.land import land
from sensorflow.flow.outcomes import Outcome
from sensorflow.flow.register import Found, register

HEAD = "time,sensor,type,value,unit\n"


@pytest.fixture
def driver(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database)
    yield project_driver
    project_driver.close()


def only(result: AuditOutput, kind: str, fault: str) -> None:
    assert (result.code, result.kinds, result.faults) == (1, {kind: 1}, [fault])


def test_files_on_their_way_are_no_findings(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    waiting, running = driver.arrive("b.csv", content(2)), driver.arrive("c.csv", content(3))
    assert driver.ledger.claim(running, WORK, "me", 60)
    result = driver.audit("--checksum")
    assert (result.code, result.report["in_flight"]) == (0, 2)
    assert "2 files in flight" in result.report["verdict"]
    assert driver.ledger.file(waiting)


def test_a_lease_that_ended_long_ago_is_overdue(driver: ProjectDriver) -> None:
    file_id = driver.arrive("a.csv", content(1))
    assert driver.ledger.claim(file_id, WORK, "me", 60)
    driver.sql("UPDATE files SET lease_until = now() - interval '3 seconds'")
    assert driver.audit("--fast").code == 0  # the next sweep sees to it
    driver.sql("UPDATE files SET lease_until = now() - interval '5 seconds'")
    only(driver.audit("--fast"), "overdue", "A502")


def test_a_file_that_nobody_publishes_is_overdue_while_there_is_room(driver: ProjectDriver) -> None:
    file_id = driver.arrive("a.csv", content(1))
    assert driver.audit("--fast").code == 0
    for table, column in (("files", "landed_at"), ("file_events", "at")):
        driver.sql(f"UPDATE {table} SET {column} = {column} - interval '1 minute'")
    only(driver.audit("--fast"), "overdue", "A503")
    driver.ledger.mark_sent(driver.ledger.pending(10, 10))
    assert driver.audit("--fast").code == 0
    assert driver.fact(file_id, "published_at")


def test_what_waits_while_others_are_published_is_not_overdue(driver: ProjectDriver) -> None:
    driver.arrive("a.csv", content(1))
    for table, column in (("files", "landed_at"), ("file_events", "at")):
        driver.sql(f"UPDATE {table} SET {column} = {column} - interval '1 minute'")
    driver.arrive("b.csv", content(2))
    assert driver.audit("--fast").code == 1
    driver.sql("UPDATE files SET published_at = now() WHERE key_text = 'b.csv'")
    assert driver.audit("--fast").code == 0


def test_what_waits_while_others_are_taken_in_is_not_overdue(driver: ProjectDriver) -> None:
    path = driver.project / "drop" / "new.csv"
    path.write_bytes(content(1))
    age(path)
    assert driver.audit("--fast").code == 1
    driver.load("other.csv", content(2))
    assert driver.audit("--fast").code == 0


def test_a_message_that_nobody_takes_is_a_note(driver: ProjectDriver) -> None:
    driver.arrive("a.csv", content(1))
    driver.ledger.mark_sent(driver.ledger.pending(10, 10))
    driver.sql("UPDATE files SET published_at = now() - interval '1 minute'")
    result = driver.audit("--fast")
    assert result.code == 0
    assert any("plant/a.csv" in note for note in result.report["notes"])


def age(path: Path) -> None:
    """A change time cannot be set: wait until it is old enough."""
    while time.time() - path.stat().st_ctime < 2.2:
        time.sleep(0.1)


def test_a_dropped_file_that_was_never_seen_is_overdue(driver: ProjectDriver) -> None:
    path = driver.project / "drop" / "new.csv"
    path.write_bytes(content(1))
    assert driver.audit("--fast").code == 0
    age(path)
    result = driver.audit("--fast")
    only(result, "overdue", "A501")
    assert result.report["findings"][0]["name"] == "new.csv"


def test_a_file_that_is_still_written_or_not_ours_is_not_overdue(driver: ProjectDriver) -> None:
    drop = driver.project / "drop"
    (drop / "copy.part").write_bytes(b"x")
    with (drop / "open.csv").open("wb") as stream:
        stream.write(b"x")
        stream.flush()
        age(drop / "open.csv")
        assert driver.audit("--fast").code == 0


def test_a_file_that_stays_in_its_folder_is_known(project: Path, database: str) -> None:
    driver = ProjectDriver(project, database, {"after": "keep"})
    path = project / "drop" / "kept.csv"
    path.write_bytes(content(1))
    age(path)
    assert driver.audit("--fast").code == 1

    folder = bootstrap.folders(driver.settings)[0]
    with folder.open(b"kept.csv") as stream:
        landed = land(driver.services.landing, OpenFile("plant", b"kept.csv", stream))
        assert landed
        now = datetime.now(UTC)
        register(driver.ledger, driver.settings, Found(landed[1], landed[0], now, now))
    assert driver.audit("--fast").code == 0
    driver.close()


def test_a_quarantined_file_without_its_manifest_is_lost_and_a_replay_mends_it(
    driver: ProjectDriver,
) -> None:
    file_id = driver.quarantine()
    where = driver.data / "quarantine" / driver.fact(file_id, "quarantined_to")
    assert driver.audit().code == 0
    (where / "manifest.json").unlink()
    only(driver.audit("--fast"), "lost", "A102")
    assert driver.audit("--fast", "--repair").report["repair"][0]["able"]
    assert driver.audit("--fast", "--repair", "--apply").code == 0
    driver.work(file_id)
    driver.quarantine_by_hand(file_id)
    assert driver.audit().code == 0


def test_a_quarantined_file_whose_bytes_are_gone_is_lost(driver: ProjectDriver) -> None:
    file_id = driver.quarantine()
    where = driver.data / "quarantine" / driver.fact(file_id, "quarantined_to")
    next((where / "file").iterdir()).unlink()
    only(driver.audit("--fast"), "lost", "A103")


ROW = (
    "INSERT INTO raw_readings SELECT ts, sensor_id, reading_type, value, unit, quality, %s, 1,"
    " gen_random_uuid() FROM raw_readings LIMIT 1"
)


def test_rows_of_a_quarantined_file_are_orphaned_and_removed_only_with_the_original_there(
    driver: ProjectDriver,
) -> None:
    driver.load("a.csv", content(1))
    file_id = driver.quarantine()
    driver.sql(ROW, file_id)
    only(driver.audit(), "orphaned", "A302")
    landed = driver.landed(file_id)
    original = landed.read_bytes()
    landed.write_bytes(original[:-1] + b"?")
    result = driver.audit("--repair", "--apply")
    assert (result.code, result.report["repair"][0]["done"]) == (1, False)
    only(driver.audit(), "orphaned", "A302")
    landed.write_bytes(original)
    assert driver.audit("--repair").report["repair"][0]["able"]
    only(driver.audit(), "orphaned", "A302")  # dry: nothing was changed
    assert driver.audit("--repair", "--apply").code == 0
    assert driver.audit().code == 0
    told_of = [event.what for event in driver.ledger.history(file_id)]
    assert "orphaned rows removed" in told_of


def test_rows_and_lake_files_that_no_ledger_row_knows_are_never_touched(
    driver: ProjectDriver,
) -> None:
    file_id = driver.load("a.csv", content(1))
    driver.sql(ROW, 999)
    path = driver.silver(file_id)
    stray = path.with_name("file-999-v1.parquet")
    stray.write_bytes(path.read_bytes())
    result = driver.audit("--repair", "--apply")
    assert (result.code, result.faults) == (1, ["A301", "A303"])
    assert [step["able"] for step in result.report["repair"]] == [False, False]
    assert stray.exists()
    assert driver.audit().faults == ["A301", "A303"]


@pytest.fixture
def superseding(project: Path, database: str) -> Iterator[ProjectDriver]:
    project_driver = ProjectDriver(project, database, {"on_change": "supersede"})
    yield project_driver
    project_driver.close()


def replaced(driver: ProjectDriver) -> tuple[int, Path, bytes]:
    """A superseded file whose silver is still there, as after a kill between commit and removal."""
    old = driver.load("a.csv", content(1))
    path = driver.silver(old)
    original = path.read_bytes()
    driver.load("a.csv", content(2))
    assert not path.exists()
    path.write_bytes(original)
    return old, path, original


def test_silver_of_a_replaced_file_is_orphaned_once_there_was_time_to_remove_it(
    superseding: ProjectDriver,
) -> None:
    old, path, _ = replaced(superseding)
    assert superseding.audit().code == 0
    superseding.sql("UPDATE files SET finished_at = now() - interval '1 hour' WHERE id = %s", old)
    result = superseding.audit()
    only(result, "orphaned", "A304")
    assert superseding.audit("--repair", "--apply").code == 0
    assert not path.exists()
    result = superseding.audit()
    assert (result.code, result.report["notes"]) == (0, [])


def test_silver_of_a_replaced_file_stays_when_it_may_be_the_only_copy(
    superseding: ProjectDriver,
) -> None:
    old, path, _ = replaced(superseding)
    superseding.sql("UPDATE files SET finished_at = now() - interval '1 hour' WHERE id = %s", old)
    for landed in (superseding.data / "landing").rglob("*"):
        if landed.is_file():
            landed.unlink()
    result = superseding.audit("--repair", "--apply")
    assert result.code == 1
    assert path.exists()
    assert not any(step["done"] for step in result.report["repair"])


def test_what_retention_removed_is_expired_and_not_lost(driver: ProjectDriver) -> None:
    file_id = driver.load("a.csv", content(1))
    driver.landed(file_id).unlink()
    driver.silver(file_id).unlink()
    driver.sql("DELETE FROM raw_readings WHERE line_no > 5")
    assert driver.audit().kinds == {"lost": 3}
    driver.sql("UPDATE files SET expired = '{landing,silver,rows}'")
    result = driver.audit("--deep")
    assert (result.code, result.faults) == (0, [])
    assert result.report["expired"] == {"landing": 1, "silver": 1, "rows": 1}


def test_the_rows_of_a_file_that_goes_through_again_are_those_of_its_last_load(
    driver: ProjectDriver,
) -> None:
    file_id = driver.load("a.csv", content(1))
    driver.sql(
        "UPDATE files SET state = 'pending', stage = 'validate', finished_at = NULL,"
        " previous = jsonb_build_object('rows_loaded', rows_loaded), published_at = now()"
    )
    assert driver.audit("--checksum").code == 0
    driver.sql("DELETE FROM raw_readings WHERE line_no = 5")
    only(driver.audit(), "lost", "A104")
    driver.sql("UPDATE files SET previous = NULL")
    only(driver.audit(), "orphaned", "A302")
    assert driver.audit("--repair", "--apply").report["repair"][0]["able"] is False
    assert driver.ledger.file(file_id)


def test_repeats_with_other_values_are_told_by_their_ordinals(driver: ProjectDriver) -> None:
    rows = [f"2026-02-01T00:00:0{n % 2}Z,s,temperature,{n},degC\n" for n in range(60)]
    file_id = driver.load("a.csv", (HEAD + "".join(rows)).encode())
    assert driver.audit("--deep").code == 0
    driver.sql("UPDATE raw_readings SET value = 0.5 WHERE value = 40")
    only(driver.audit("--checksum"), "mismatched", "A406")
    driver.sql("UPDATE raw_readings SET value = 40 WHERE value = 0.5")
    driver.sql("UPDATE raw_readings SET dedupe_key = gen_random_uuid() WHERE value = 40")
    result = driver.audit("--checksum")
    only(result, "mismatched", "A406")
    assert "1 row" in result.report["findings"][0]["found"]
    assert driver.ledger.file(file_id)


SHARED = {"dedupe_scope": "source", "on_change": "keep"}


def test_readings_that_several_files_of_a_source_hold_are_counted_once(
    project: Path, database: str
) -> None:
    driver = ProjectDriver(project, database, SHARED)
    lines = content(1, 30).decode().splitlines(keepends=True)
    first = driver.load("a.csv", "".join(lines[:21]).encode())
    second = driver.load("b.csv", "".join([lines[0], *lines[11:]]).encode())
    assert driver.fact(second, "rows_duplicate") == 10
    assert driver.audit("--deep").code == 0
    driver.sql("DELETE FROM raw_readings WHERE file_id = %s AND line_no > 18", first)
    result = driver.audit("--checksum")
    assert result.faults == ["A104", "A106"]
    assert {f["file_id"] for f in result.report["findings"]} == {first, second}
    driver.close()


def test_the_name_that_was_written_down_counts_not_what_the_settings_say_by_now(
    project: Path, database: str
) -> None:
    driver = ProjectDriver(project, database)
    driver.load("a.csv", content(1))
    driver.sql("UPDATE files SET identity = 'plant/a.csv'")
    driver.configure(SHARED)
    assert driver.audit("--checksum").code == 0
    driver.close()


def test_versions_that_are_all_kept_have_names_of_their_own(project: Path, database: str) -> None:
    driver = ProjectDriver(project, database, {"on_change": "keep"})
    for number in range(3):
        driver.load("a.csv", content(number))
    result = driver.audit("--deep")
    assert (result.code, result.report["rows"]) == (0, 60)
    driver.sql("UPDATE files SET identity = NULL")  # as 0.1.0 left it
    assert driver.audit("--deep").code == 0
    driver.close()


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
    driver: ProjectDriver, what: str
) -> None:
    file_id = driver.load("a.csv", content(1))
    if DAMAGE[what]:
        driver.sql(DAMAGE[what])
    else:
        driver.silver(file_id).unlink()
    assert driver.audit("--checksum").code == 1
    steps = driver.audit("--checksum", "--repair").report["repair"]
    assert [(s["act"], s["able"], s["done"]) for s in steps] == [("replay", True, False)]
    assert driver.audit("--checksum").report["in_flight"] == 0  # dry: nothing was begun
    assert driver.audit("--checksum", "--repair", "--apply").code == 0
    assert driver.audit("--checksum").report["in_flight"] == 1
    assert driver.work(file_id) is Outcome.LOADED
    result = driver.audit("--deep")
    assert (result.code, result.report["findings"]) == (0, [])


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_damaged_file_is_left_alone_when_its_original_is_not_there(
    driver: ProjectDriver, how: str
) -> None:
    file_id = driver.load("a.csv", content(1))
    driver.sql("DELETE FROM raw_readings WHERE line_no = 5")
    landed = driver.landed(file_id)
    if how == "gone":
        landed.unlink()
    else:
        landed.write_bytes(landed.read_bytes().replace(b"degC", b"degF"))
    result = driver.audit("--repair", "--apply")
    assert result.code == 1
    assert not any(step["done"] for step in result.report["repair"])
    assert driver.audit().report["in_flight"] == 0


# --- while things move ---


def test_an_audit_during_loads_finds_nothing(driver: ProjectDriver) -> None:
    stop, failed = threading.Event(), []

    def load() -> None:
        number = 0
        try:
            while not stop.is_set():
                number += 1
                lines = rows(number % 7, 20, random.Random(number))[number % 3 :]
                driver.load(f"{number % 7}.csv", text(lines))  # new names and new versions
                if number % 5 == 0:
                    driver.quarantine(f"{number}.csv.gz", b"\x1f\x8b%d" % number)
        except Exception as error:
            failed.append(error)
            raise

    worker = threading.Thread(target=load)
    worker.start()
    try:
        turn = 0
        while turn < 12 or driver.ledger.totals()["plant"].rows_replaced < 200:
            turn += 1
            report = audit(bootstrap.audit_context(driver.settings), tuple(Level)[turn % 4])
            assert (report.findings, report.not_checked) == ([], [])
    finally:
        stop.set()
        worker.join()
    assert not failed
    result = driver.audit("--deep")
    assert (result.code, result.report["in_flight"]) == (0, 0)


# --- what is away ---


def test_a_database_that_is_away_is_told_and_not_taken_for_a_finding(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    driver.configure(database_url="postgresql://x:y@127.0.0.1:1/none")
    result = driver.audit()
    assert (result.code, result.report["findings"]) == (2, [])
    assert "could not finish" in result.report["verdict"]
    assert any("I501" in text for text in result.report["not_looked_at"])


@pytest.mark.parametrize(("folder", "level"), [("landing", "--fast"), ("silver", "--checksum")])
def test_a_disk_that_is_away_is_told_and_not_taken_for_a_loss(
    driver: ProjectDriver, folder: str, level: str
) -> None:
    driver.load("a.csv", content(1))
    (driver.data / folder).rename(driver.data / "elsewhere")
    result = driver.audit(level)
    assert (result.code, result.report["findings"]) == (2, [])
    assert result.report["not_looked_at"]
    (driver.data / "elsewhere").rename(driver.data / folder)
    assert driver.audit(level).code == 0


def test_a_database_that_goes_away_in_the_middle_is_told(
    driver: ProjectDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.load("a.csv", content(1))
    pid = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in tr%%'"
    pid += " AND datname = current_database()"  # other tests may use the same server
    found = adapter.PostgresSnapshot.rows_per_file

    def cut(self: adapter.PostgresSnapshot) -> dict[int, int]:
        driver.sql(pid)
        return found(self)

    monkeypatch.setattr(adapter.PostgresSnapshot, "rows_per_file", cut)
    result = driver.audit("--checksum")
    assert (result.code, result.report["findings"]) == (2, [])
    assert len(result.report["not_looked_at"]) >= 2


# --- deep ---


def test_each_part_of_a_subset_reads_its_own_files(driver: ProjectDriver) -> None:
    ids = [driver.load(f"{n}.csv", content(n)) for n in range(4)]
    for file_id in ids:
        path = driver.landed(file_id)
        path.write_bytes(path.read_bytes()[:-2] + b"~\n")
    found = [driver.audit("--deep", "--subset", f"{n}/2").report["findings"] for n in (1, 2)]
    assert [len(f) for f in found] == [2, 2]
    assert {f["file_id"] for part in found for f in part} == set(ids)
    assert {f["code"] for part in found for f in part} == {"A402 landing-hash"}


def test_an_account_that_the_original_does_not_give_is_found_by_reading_it_again(
    driver: ProjectDriver,
) -> None:
    file_id = driver.load("a.csv", content(1) + b"no time,s,temperature,1,degC\n")
    driver.sql("UPDATE files SET rows_rejected = 0, rows_read = rows_read - 1")
    assert driver.audit("--checksum").code == 0
    result = driver.audit("--deep")
    only(result, "mismatched", "A410")
    assert "rejected=1" in result.report["findings"][0]["found"]
    assert driver.ledger.file(file_id)


def test_a_file_loaded_by_another_profile_is_hashed_and_not_read(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    rules = {"temperature": {"min": -500.0}}
    driver.configure(profiles={"long": {"extends": "long", "rules": rules}})
    result = driver.audit("--deep")
    assert result.code == 0, result.report
    assert any("an earlier definition of profile" in note for note in result.report["notes"])


# --- the command ---


def test_a_project_that_has_not_begun_is_clean(driver: ProjectDriver) -> None:
    assert not driver.data.exists()
    result = driver.audit("--checksum")
    assert (result.code, result.report["not_looked_at"]) == (0, [])


def test_a_lake_whose_ledger_is_empty_is_orphaned(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    driver.sql("TRUNCATE files, raw_readings CASCADE")
    result = driver.audit()
    assert (result.code, set(result.faults)) == (1, {"A303", "A414"})


def test_one_source_alone_can_be_audited(driver: ProjectDriver) -> None:
    file_id = driver.load("a.csv", content(1))
    driver.sql("UPDATE files SET source = 'other'")
    assert driver.audit("--source", "plant").report["files"] == 0
    driver.silver(file_id).rename(driver.silver(file_id).with_name("gone"))
    assert driver.audit("--source", "plant").code == 0
    assert driver.audit().code == 1


def test_all_findings_are_counted_though_few_are_listed(driver: ProjectDriver) -> None:
    for n in range(4):
        driver.landed(driver.load(f"{n}.csv", content(n))).unlink()
    result = driver.audit("--fast", "--limit", "1")
    assert (len(result.report["findings"]), result.kinds) == (1, {"lost": 4})
    shown = driver.run("--fast", "--limit", "1")
    assert "and 3 more" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "audit: 4 files, 80 readings: 4 lost"


def test_the_last_line_for_people_is_the_verdict(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    shown = driver.run()
    assert shown.exit_code == 0
    assert shown.stdout == "audit: 1 file, 20 readings: every one accounted for\n"


@pytest.mark.parametrize(
    "given", [("--fast", "--deep"), ("--apply",), ("--subset", "3/2"), ("--source", "nix")]
)
def test_a_mistake_in_the_options_is_said(driver: ProjectDriver, given: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        driver.run(*given)


def test_what_killed_writers_left_is_a_note(driver: ProjectDriver) -> None:
    driver.load("a.csv", content(1))
    left = driver.data / "landing" / ".writing-abcdefgh"
    left.write_bytes(b"x")
    assert driver.audit().report["notes"] == []
    os.utime(left, (1, 1))
    result = driver.audit()
    assert result.code == 0
    assert any(".writing-abcdefgh" in note for note in result.report["notes"])
