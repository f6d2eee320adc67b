"""Each test of a fault, and a guard whose loss it must notice.

``make faults-proof`` takes one guard at a time out of a copy of the tree, runs the test there, and
expects it to fail. FAULTS="8 12" chooses.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))

from patches import Patch, apply  # noqa: E402

POSTGRES = "sensorflow/adapters/postgres"


@dataclass(frozen=True)
class Guard:
    """With `new` in the place of `old`, which is once in `where` (see `Patch`), `test` fails."""

    fault: int
    where: str
    old: str
    new: str
    test: str
    also: tuple[Patch, ...] = ()
    """Where one guard is behind the other."""

    @property
    def patches(self) -> list[Patch]:
        return [Patch(self.where, self.old, self.new), *self.also]


def _faults(file: str, test: str) -> str:
    return f"tests/faults/{file}.py::{test}"


def _sql(subject: str) -> str:
    return f"{POSTGRES}/sql/{subject}.sql"


def _growing(test: str) -> str:
    return f"tests/unit/test_growing.py::{test}"


def _conformance(test: str) -> str:
    return f"tests/conformance/ledger/test_growth_ledger.py::{test}"


ANYWHERE = _faults(
    "test_daemon", "test_fault_01_and_24_killed_or_not_running_the_daemon_loses_and_doubles_nothing"
)
MERGED = _faults(
    "test_files",
    "test_fault_20_new_content_replaces_what_it_states_again_and_deletes_nothing[rewritten]",
)
LOADING = f"{POSTGRES}/loading.py"
STATES = f"{POSTGRES}/sqlstates.py"
SESSIONS = "tests/integration/test_sessions.py::"
POOL = (
    "tests/acceptance/test_pool.py::"
    "test_the_pool_grows_to_its_most_and_shrinks_although_sweeps_go_on"
)
FUZZ = "tests/fuzz/test_messages_fuzz.py::test_fault_42_spoiled_messages_on_"
STRANGERS = _faults("test_strangers", "test_fault_43_time_limits_and_commands_end_no_child")
TREE = "sensorflow/adapters/feeds/folder/tree.py"
STALE = "tests/integration/test_stale_silver.py::"

TURNS = "tests/conformance/outbox/test_turns_ledger.py::"
GUARDS = [
    Guard(  # a file leaves its folder only after it is registered
        1,
        "sensorflow/flow/intake/take.py::Group._land_some",
        "for _ in chain.from_iterable(landed.values()):",
        "for source, files in landed.items():\n"
        "    lease = self._round.lease(source)\n"
        "    self._acknowledge(self._round.feed(source), files, lease)\n"
        "for _ in chain.from_iterable(landed.values()):",
        ANYWHERE,
    ),
    Guard(  # the sweeper
        2,
        "sensorflow/flow/sweep.py::sweep",
        "swept = ledger.sweep(stale_after, publisher.depth(), grace)",
        "swept = Swept(0, 0)",
        _faults(
            "test_worker",
            "test_fault_02_and_05_worker_parent_killed_is_made_good_without_the_brokers_message",
        ),
    ),
    Guard(  # an edit that was refused is tried again
        51,
        "sensorflow/cli/up/edits.py::Edits.apply",
        "if not edited and not (self._refused and time.monotonic() >= self._next):",
        "if not edited:",
        "tests/acceptance/test_up.py::test_an_edit_holds_for_the_database_too_as_soon_as_it_can",
    ),
    Guard(  # whatever an edit ends with, the stack goes on
        51,
        "sensorflow/cli/up/edits.py::Edits.apply",
        "except Exception as error:  # noqa: BLE001 - no edit ends what runs",
        "except (Misuse, Transient) as error:",
        "tests/acceptance/test_up.py::test_an_edit_holds_for_the_database_too_as_soon_as_it_can",
    ),
    Guard(  # settings without sources are half an edit
        51,
        "sensorflow/cli/up/stack.py::Stack._apply",
        "require_sources(settings)\nif settings.data_folder",
        "if settings.data_folder",
        "tests/acceptance/test_up.py::"
        "test_an_edit_of_the_settings_is_taken_over_by_the_running_stack",
    ),
    Guard(  # and holds for the URLs too
        51,
        "sensorflow/cli/up/stack.py::Stack._apply",
        "self.running = self._servers(settings)\nself._generation += 1",
        "self._generation += 1",
        "tests/acceptance/test_up.py::test_an_edit_holds_for_the_database_too_as_soon_as_it_can",
    ),
    Guard(  # a log line that cannot be written is lost, and nothing else
        45,
        "sensorflow/steady.py::Steady.write",
        "with suppress(OSError, ValueError):",
        "with suppress(ValueError):",
        _faults("test_logs", "test_fault_45_a_full_log_disk_ends_no_process"),
    ),
    Guard(  # a drop folder that was replaced is watched anew
        49,
        "sensorflow/adapters/feeds/folder/watch.py::Watch.renew",
        "root != now.root or not self._lives(now) or _replaced(",
        "now.watch is None and _replaced(",
        "tests/unit/test_watch.py::test_a_folder_that_was_removed_and_made_again_is_watched",
    ),
    Guard(  # a link may lead elsewhere by now
        49,
        "sensorflow/bootstrap.py::folders",
        "settings.path(source.path), source",
        "settings.path(source.path).resolve(), source",
        "tests/unit/test_watch.py::test_a_link_that_leads_elsewhere_by_now_is_watched",
    ),
    Guard(  # a scan takes its turns, with looks at what is watched in between
        49,
        "sensorflow/adapters/feeds/folder/tree.py::Tree.all_files",
        "places: dict[bytes, tuple[int, int]] = {}",
        "places = self.places = {}",
        "tests/unit/test_watch.py::test_a_folder_within_that_is_mounted_over_is_watched",
    ),
    Guard(  # a folder that comes later is recovered too
        49,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed._scanned",
        "if self._unrecovered and self.folder.readable():",
        "if not self._unrecovered:",
        _faults(
            "test_daemon",
            "test_fault_49_a_share_that_is_mounted_late_keeps_no_other_source_waiting",
        ),
    ),
    Guard(  # also one whose inode has the number of the old one, and one within
        49,
        "sensorflow/adapters/feeds/folder/watch.py::Watch.renew",
        "or _replaced(now.places, folder.places):",
        ":",
        "tests/unit/test_watch.py::test_a_folder_within_that_is_mounted_over_is_watched",
    ),
    Guard(  # on a share a file is known by what lasts
        49,
        f"{_sql('intake')}::seen",
        "OR (starts_with(CAST(:fingerprint AS text), '*:*:')",
        "OR (false",
        "tests/conformance/intake/test_registering.py::test_a_state_without_a_lasting_inode_is_known_by_one_that_had_it",
    ),
    Guard(  # what holds the interpreter is ended from outside
        44,
        "workers/watchdog.py::look",
        "os.kill(slot.pid, signal.SIGKILL)",
        "",
        _faults(
            "test_stuck",
            "test_fault_44_a_decoder_that_never_comes_back_is_ended_and_its_file_quarantined",
        ),
    ),
    Guard(  # a pattern that backtracks is searched by a library with a time limit
        44,
        "sensorflow/core/patterns.py::Pattern.search",
        "if len(text) <= self._safe:",
        "if len(text) <= 60:",
        "tests/unit/test_patterns.py::test_a_pattern_that_backtracks_costs_its_file_alone",
    ),
    Guard(  # a worker outlives a child that dies as it starts
        45,
        "workers/pool.py::TaskPool.did_start_ok",
        "return True",
        "return bool(super().did_start_ok())",
        _faults("test_stuck", "test_fault_45_a_child_killed_as_its_worker_starts_does_not_end_it"),
    ),
    Guard(  # memory that the host refuses is not the file's fault
        45,
        "sensorflow/flow/outcomes.py::failed",
        "if (why := threads.refused(lack)) is not None:",
        "if (why := None) is not None:",
        _faults("test_stuck", "test_fault_45_refused_memory_costs_no_attempt_and_hangs_nothing"),
    ),
    Guard(  # a task that is refused memory does not end its worker
        45,
        "workers/request.py::HandedOver.on_failure",
        "if not isinstance(error, MemoryError):",
        "if not isinstance(error, AssertionError):",
        _faults(
            "test_stuck", "test_fault_45_a_task_that_is_refused_memory_does_not_end_its_worker"
        ),
    ),
    Guard(  # a worker's mailbox is not exclusive
        2,
        "workers/app.py::settle",
        '"control_queue_exclusive": False,\n"control_queue_durable": True,',
        "",
        _faults(
            "test_worker",
            "test_fault_02_a_worker_works_that_is_started_before_the_broker_missed_the_killed_one[rabbitmq]",
        ),
    ),
    Guard(  # the attempt is counted with the claim
        3,
        f"{_sql('claims')}::claim",
        "attempts = attempts + 1,\n           started_at = coalesce",
        "attempts = attempts,\n           started_at = coalesce",
        _faults("test_worker", "test_fault_03_and_04_child_killed_before_the_commit[claimed]"),
    ),
    Guard(  # the bytes and the manifest are kept before the state says so
        3,
        "sensorflow/flow/process.py::_quarantine",
        "where = quarantine(job)",
        'where = f"{job.claim.source}/{job.claim.file_id}-v{job.claim.version}-1"\n'
        "done = StageReport(Stage.QUARANTINE, 0, 0)\n"
        "job.world.ledger.quarantined(job.claim, where, done)\n"
        "quarantine(job)",
        _faults(
            "test_worker", "test_fault_03_child_killed_on_the_way_to_quarantine[quarantine.copied]"
        ),
    ),
    Guard(  # rows and their state are one transaction
        4,
        f"{LOADING}::load",
        "crash.point(crash.Point.COPIED)",
        'c.exec_driver_sql("COMMIT")\ncrash.point(crash.Point.COPIED)',
        _faults(
            "test_worker",
            "test_fault_03_04_and_05_killed_anywhere_children_lose_and_double_nothing",
        ),
    ),
    Guard(  # and nothing is left to do after it
        5,
        f"{LOADING}::load",
        "_finish(c, claim, counts, loader.inserted.checksum, span, load, wanted)",
        'c.exec_driver_sql("COMMIT")\n'
        "crash.point(crash.Point.COMMITTED)\n"
        "_finish(c, claim, counts, loader.inserted.checksum, span, load, wanted)",
        _faults(
            "test_worker",
            "test_fault_05_child_killed_between_commit_and_acknowledgement[load.committed]",
        ),
    ),
    Guard(  # messages that the broker should hold are counted
        6,
        f"{POSTGRES}/outbox.py::Outbox.sweep",
        "lost = waiting - (depth or 0)",
        "lost = waiting * 0",
        _faults("test_broker", "test_fault_06_emptied_valkey_costs_nothing"),
    ),
    Guard(  # whatever ends the consumer's loop is a lost connection
        41,
        "workers/consumer.py::Blueprint.start",
        "raise BrokerLost(reason) from error",
        "raise",
        _faults(
            "test_acknowledgements",
            "test_fault_41_a_channel_is_closed_by_rabbitmq_for_it_waited_too_long",
        ),
    ),
    Guard(  # what a full server hands over is worked on
        41,
        "sensorflow/adapters/queues/redis.py::QoS.append",
        "except ResponseError as error:  # it is off its queue, and only held here from now on",
        "except ZeroDivisionError as error:",
        _faults("test_acknowledgements", "test_fault_41_valkey_is_full_with_a_task_in_flight"),
    ),
    Guard(  # sweeps keep no child
        41,
        "workers/app.py::settle",
        '"worker_autoscaler": "workers.autoscaler:Autoscaler",',
        "",
        POOL,
    ),
    Guard(  # a message is taken apart before Celery has it
        42,
        "workers/consumer.py::Consumer.create_task_handler.received",
        "messages.own(message)",
        "",
        f"{FUZZ}rabbitmq",
    ),
    Guard(  # an envelope before kombu has it
        42,
        "sensorflow/adapters/queues/redis.py::Transport._deliver",
        "_check(message)",
        "pass",
        f"{FUZZ}valkey",
    ),
    Guard(  # and what no driver can decode
        42,
        "sensorflow/adapters/queues/rabbitmq.py::_frames.on_frame",
        "return handle((kind, channel, _readable(kind, payload)))",
        "return handle(frame)",
        f"{FUZZ}rabbitmq",
    ),
    Guard(  # a time limit in a message is nobody's
        43,
        "workers/messages.py::_headers",
        '"retries": 0}',
        '"retries": 0, "timelimit": given.get("timelimit")}',
        f"{STRANGERS}[rabbitmq]",
    ),
    Guard(  # and commands end no child
        43,
        "workers/control.py::Guarded.handle",
        "if reason := refusal(method, arguments or {}):",
        "if reason := None:",
        f"{STRANGERS}[valkey]",
    ),
    *(
        Guard(
            8,
            "sensorflow/adapters/queues/celery.py::configuration",
            '"broker_connection_retry_on_startup": True',
            '"broker_connection_retry": False',
            _faults("test_broker", f"test_fault_08_broker_unreachable_and_back_again[{broker}]"),
        )
        for broker in ("valkey", "rabbitmq")
    ),
    Guard(  # a failure is not believed where the ledger knows better
        9,
        f"{_sql('claims')}::release",
        "AND stage = :stage AND state IN ('running', 'pending');",
        "AND state IN ('running', 'pending', 'loaded');",
        _faults(
            "test_database",
            "test_fault_09_a_load_whose_commit_was_not_answered_is_read_from_the_ledger",
        ),
    ),
    Guard(  # a full disk is told from a server that is away
        12,
        f"{STATES}::_EXACT",
        '"53100": Code.DATABASE_FULL',
        '"53100": Code.DATABASE',
        _faults(
            "test_disk", "test_fault_12_a_full_database_disk_pauses_the_intake_and_blames_no_file"
        ),
    ),
    Guard(
        12,
        "sensorflow/flow/intake/loop.py::Intake._run",
        "self._require_room()",
        "",
        _faults("test_disk", "test_fault_12_files_given_back_for_want_of_room_keep_new_ones_out"),
    ),
    Guard(  # the attempt is given back
        14,
        "sensorflow/flow/outcomes.py::failed",
        "if isinstance(error, Transient):\n    return _retried(job, error, burned=False)",
        "if isinstance(error, Transient):\n    return _retried(job, error, burned=True)",
        _faults(
            "test_disk",
            "test_fault_14_a_full_or_read_only_lake_keeps_files_pending_and_doubles_nothing",
        ),
    ),
    Guard(  # a claim has one winner
        15,
        f"{_sql('claims')}::claim",
        "OR state = 'running' AND lease_until < now())",
        "OR state = 'running')",
        _faults(
            "test_worker", "test_fault_15_a_message_delivered_five_times_has_one_effect[valkey]"
        ),
    ),
    Guard(  # the fencing token
        16,
        f"{_sql('loading')}::finish",
        "lease_token = :token",
        ":token > 0",
        "tests/conformance/claims/test_claims.py::test_the_holder_of_an_older_token_is_refused_everywhere[postgres]",
    ),
    Guard(  # a stopped worker's session is ended
        16,
        f"{LOADING}::_alone",
        "if not claim.fresh:",
        "if claim.attempt > 1_000:",
        _faults("test_worker", "test_fault_16_a_worker_stopped_past_its_lease_cannot_commit"),
    ),
    Guard(  # at any attempt: one that was given back is the first again
        40,
        f"{LOADING}::_alone",
        "if not claim.fresh:",
        "if claim.attempt > 1:",
        SESSIONS
        + "test_at_its_first_attempt_too_a_file_is_taken_from_the_session_of_a_host_that_is_cut",
    ),
    Guard(  # but only by who has the file
        40,
        f"{_sql('loading')}::evict",
        "WHERE id = :id AND lease_token = :token AND state = 'running');",
        "WHERE id = :id AND :token > 0);",
        SESSIONS + "test_a_worker_that_has_lost_a_file_ends_nobodys_session",
    ),
    Guard(  # a publisher that is stopped holds up nobody
        40,
        f"{_sql('outbox')}::take_lease",
        "WHERE l.until <= clock_timestamp() OR l.process = :ended",
        "WHERE l.process = :ended",
        "tests/conformance/outbox/test_due.py::test_a_publisher_that_falls_silent_is_followed_by_another_one[postgres]",
    ),
    Guard(  # nor one that was killed, for a moment
        40,
        f"{POSTGRES}/publishing.py::_Lease.take",
        "if has_ended(holder):",
        "if not holder:",
        SESSIONS + "test_of_a_publisher_that_was_killed_the_lease_need_not_run_out",
    ),
    Guard(  # what a host held that is cut is free again by itself
        40,
        f"{POSTGRES}/connect.py::SESSION",
        '"tcp_user_timeout": f"{SILENT}s",',
        "",
        _faults(
            "test_hosts",
            "test_fault_40_hosts_that_are_cut_in_the_middle_of_work_are_followed_by_others",
        ),
        also=(
            Patch(
                f"{POSTGRES}/connect.py::SESSION",
                '"tcp_keepalives_idle": "6"',
                '"tcp_keepalives_idle": "600"',
            ),
        ),
    ),
    Guard(  # beat's host may be the one that is gone
        40,
        "sensorflow/flow/publisher.py::PublisherLoop.run",
        "sweep_at = time.monotonic() + s.sweep",
        "sweep_at = math.inf",
        _faults(
            "test_hosts",
            "test_fault_40_hosts_that_are_cut_in_the_middle_of_work_are_followed_by_others",
        ),
    ),
    Guard(  # a process that is stopped keeps its locks no longer
        40,
        f"{POSTGRES}/connect.py::SESSION",
        '"idle_in_transaction_session_timeout": f"{IDLE}s",',
        "",
        SESSIONS + "test_each_session_gives_up_a_silent_client",
    ),
    Guard(  # a pool at its limit still serves
        46,
        f"{POSTGRES}/pooler.py::_keeps_sessions",
        "return not is_said(str(error))",
        "raise",
        "tests/integration/test_pooler.py::test_a_pool_at_its_limit_keeps_nobody_from_the_start",
    ),
    Guard(  # what was found once holds for the next connection too
        46,
        f"{POSTGRES}/pooler.py::require_session_mode",
        "_looked.pop(where, None)",
        "",
        "tests/integration/test_pooler.py::"
        "test_a_pooler_that_is_not_in_session_mode_is_refused[transaction-0]",
    ),
    Guard(  # a pooler that gives a session's connection to others
        46,
        f"{POSTGRES}/connect.py::_begin",
        "pooler.require_session_mode(connection)",
        "pass",
        "tests/integration/test_pooler.py::"
        "test_a_pooler_that_is_not_in_session_mode_is_refused[transaction-0]",
    ),
    Guard(
        46,
        f"{POSTGRES}/connect.py::_try_again",
        'if row[0] != record.info.get("pid", row[0]):',
        "if row is None:",
        "tests/integration/test_pooler.py::test_a_session_that_is_moved_later_is_noticed",
    ),
    Guard(  # no outage where no waiting helps
        38,
        f"{STATES}::_EXACT",
        '"53400": Code.DATABASE_LIMIT',
        '"53400": Code.DATABASE',
        _faults(
            "test_database",
            "test_faults_09_to_12_and_37_what_the_database_says_is_no_files_fault"
            "[53400-I512 database-limit]",
        ),
    ),
    Guard(  # nothing that the server says of itself is a file's fault, listed or not
        38,
        f"{STATES}::_code",
        "unlisted = Code.DATABASE if isinstance(cause, _AWAY) else None",
        "unlisted = None",
        _faults(
            "test_database",
            "test_faults_09_to_12_and_37_what_the_database_says_is_no_files_fault"
            "[24000-I501 database-unavailable]",
        ),
    ),
    Guard(
        38,
        "sensorflow/cli/doctor.py::_database",
        "for found in lasting(url):",
        "for found in lasting(url)[:0]:",
        SESSIONS + "test_what_outlasts_an_outage_is_named_by_doctor_and_status_with_its_remedy",
    ),
    Guard(  # also one that has many files in hand
        16,
        f"{POSTGRES}/together.py::_alone",
        'run(c, "hold_together", ids=ids)',
        "",
        _faults(
            "test_worker", "test_fault_16_a_worker_stopped_with_many_files_in_hand_cannot_commit"
        ),
    ),
    Guard(  # and the token of each of them
        16,
        f"{_sql('loading')}::finish_together",
        "WHERE f.id = d.id AND f.lease_token = d.token AND f.state = 'running'\n  AND (to_regclass",
        "WHERE f.id = d.id AND f.state IN ('running', 'pending') AND d.token > 0\n"
        "  AND (to_regclass",
        "tests/conformance/loading/test_loads.py"
        "::test_of_files_together_none_is_loaded_when_a_claim_is_lost[postgres]",
    ),
    Guard(  # what ended a worker once takes no neighbours along again
        27,
        f"{_sql('claims')}::claim",
        "AND (id = :first OR started_at IS NULL)",
        "",
        "tests/conformance/claims/test_claims.py"
        "::test_what_was_held_before_is_not_fresh_and_claimed_by_its_own_message_only[postgres]",
    ),
    Guard(  # nor does it take them along
        27,
        f"{_sql('claims')}::claim",
        "WHERE id = :first AND fresh AND version = 1",
        "WHERE id = :first AND version = 1",
        "tests/conformance/claims/test_taking_along.py::test_what_was_held_before_takes_nothing_along[postgres]",
    ),
    Guard(  # nor is it taken along
        27,
        f"{_sql('claims')}::claim",
        "AND started_at IS NULL AND version = 1 AND stage = 'validate' AND size < :file_bytes",
        "AND version = 1 AND stage = 'validate' AND size < :file_bytes",
        "tests/conformance/claims/test_taking_along.py"
        "::test_only_small_new_published_files_of_the_same_source_and_lane_are_taken_along[postgres]",
        also=(
            Patch(
                f"{_sql('claims')}::claim",
                "(SELECT id FROM waiting) AND state = 'pending' AND started_at IS NULL",
                "(SELECT id FROM waiting) AND state = 'pending'",
            ),
        ),
    ),
    Guard(  # nor is it sent with them
        27,
        "sensorflow/flow/publish.py::_groups.plain",
        "new = waiting.token == 0 and waiting.version == 1",
        "new = waiting.version == 1",
        "tests/unit/test_flow.py::test_a_file_that_was_held_before_is_published_alone",
    ),
    Guard(  # messages, not files, are what the broker may lack
        7,
        f"{_sql('outbox')}::waiting_messages",
        "SELECT count(DISTINCT coalesce(sent_with, id)) FROM files",
        "SELECT count(*) FROM files",
        "tests/conformance/outbox/test_due.py"
        "::test_of_messages_with_many_files_as_many_are_missed_as_the_broker_lacks[postgres]",
    ),
    Guard(  # nothing is carried from one file to the next where many are judged at once
        34,
        "sensorflow/core/joint.py::plain",
        "return not (carried or ordered or profile.fill_down)",
        "return True",
        "tests/unit/test_joint.py"
        "::test_what_is_carried_from_row_to_row_is_never_carried_from_file_to_file",
    ),
    Guard(  # a file that changed while it was read is not taken
        18,
        "sensorflow/flow/land.py::land",
        "if before != after or landed.size != after.size:",
        "if False:",
        _faults(
            "test_files",
            "test_fault_18_a_file_rewritten_while_it_is_read_is_taken_as_it_is_at_last",
        ),
    ),
    Guard(
        18,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed._settled",
        "except Gone as error:\n    self._vanished(key, error)",
        "except Gone:\n    self._settling.forget(key)",
        _faults("test_files", "test_fault_18_a_file_deleted_while_it_is_read_is_told"),
    ),
    Guard(  # who writes is asked of the kernel
        19,
        "sensorflow/adapters/feeds/folder/tree.py::Tree._being_written",
        "return error.errno == errno.EAGAIN",
        "return error.errno != errno.EAGAIN",
        _faults("test_files", "test_fault_19_a_file_is_not_taken_before_it_is_whole"),
    ),
    Guard(  # what is stated again takes the place of what was stated before
        20,
        f"{POSTGRES}/contest.py::Contest._take",
        "older = [i for i in group if i < self.claim.file_id]",
        "older: list[int] = []",
        MERGED,
    ),
    Guard(  # and a version that is loaded late takes nothing from a newer one
        20,
        f"{POSTGRES}/contest.py::Contest._yield",
        "newer = [i for i in group if i > self.claim.file_id]",
        "newer: list[int] = []",
        "tests/integration/test_versions.py::test_what_is_served_is_what_the_model_says",
    ),
    Guard(  # silver follows
        20,
        "sensorflow/flow/tidy.py::tidy.remove",
        'if left.holds is not None and not left.expired & {"silver", "rows"}:',
        "if False:",
        "tests/integration/test_versions.py::test_what_is_served_is_what_the_model_says",
    ),
    Guard(  # a growth ends with a line
        20,
        "sensorflow/core/growth.py::complete",
        "return end - width + at + 1",
        "return end",
        _growing("test_a_half_line_waits_for_its_end"),
    ),
    Guard(  # a growth follows what is the newest one
        20,
        f"{_sql('growing')}::is_newest_growth",
        "WHERE root = :root AND last_file = :last AND size = :size);",
        "WHERE root = :root AND :last > 0 AND :size >= 0);",
        _conformance("test_of_two_that_go_on_at_one_place_the_first_is_taken[postgres]"),
    ),
    Guard(  # and is claimed after that is finished
        20,
        f"{_sql('claims')}::claim",
        "WHERE g.file_id = files.id AND p.state IN ('pending', 'running'))",
        "WHERE g.file_id = files.id AND p.state IN ('none'))",
        _conformance("test_a_growth_is_due_and_claimed_when_the_one_before_is_finished[postgres]"),
    ),
    Guard(  # a file that was written anew is told by its edges
        20,
        "sensorflow/core/growth.py::compare",
        "if edges(stream, taken.size) != (taken.head, taken.tail):",
        "if False:",
        _growing("test_a_file_that_was_rewritten_begins_anew"),
    ),
    Guard(  # a renamed file is known by its inode
        20,
        "sensorflow/adapters/feeds/folder/look.py::Look.growths",
        "by_inode, by_key = ours",
        "by_inode, by_key = None, ours[1]\nours = [by_inode, by_key]",
        _growing("test_a_file_rotated_on_and_on_is_known_under_each_name"),
        also=(
            Patch(
                "sensorflow/adapters/feeds/folder/look.py::Look._copied",
                "if by_inode is not None or self._all.name_matters:",
                "if True:",
            ),
        ),
    ),
    Guard(  # and its rest is looked for before the new one is begun
        20,
        "sensorflow/adapters/feeds/folder/look.py::Look._replaced",
        "return [*rest, *begun]",
        "return begun",
        _growing("test_a_rotated_file_is_one_file_and_its_rest_is_taken"),
    ),
    Guard(  # repeats are those of the whole file
        20,
        "sensorflow/core/chained.py::Chained.number",
        "if identity in self._others:",
        "if False:",
        _growing("test_repeats_are_told_over_all_parts"),
    ),
    Guard(
        21,
        f"{_sql('intake')}::twin",
        "AND NOT :name_matters AND f.rows_replaced = 0 AND NOT EXISTS (SELECT 1 FROM newest)",
        "AND NOT :name_matters AND false",
        _faults(
            "test_files", "test_fault_21_the_same_content_under_two_names_and_twice_is_loaded_once"
        ),
    ),
    Guard(  # lost events bring a rescan
        23,
        "sensorflow/adapters/feeds/folder/watch.py::_Overflow.emit",
        'if "overflow" in record.getMessage():',
        "if False:",
        _faults(
            "test_daemon", "test_fault_23_events_lost_in_a_full_queue_are_made_good_by_a_rescan"
        ),
    ),
    Guard(  # without watches the daemon goes on
        23,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed.start",
        "except OSError as error:\n    emit(Event.WATCH_DEGRADED",
        "except ZeroDivisionError as error:\n    emit(Event.WATCH_DEGRADED",
        _faults("test_daemon", "test_fault_23_and_26_without_watches_the_rescan_finds_every_file"),
    ),
    Guard(  # the first scan
        24,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed.__init__",
        "self._next_scan = self._next_look = self._next_watch = -math.inf",
        "self._next_scan = self._next_look = self._next_watch = math.inf",
        ANYWHERE,
    ),
    Guard(  # the third attempt is the last
        27,
        "sensorflow/flow/outcomes.py::outcome_of",
        "if claim.attempt > job.world.settings.max_attempts and",
        "if claim.attempt > 1_000 and",
        _faults(
            "test_worker",
            "test_fault_27_a_file_that_crashes_the_parser_is_quarantined_and_its_neighbours_load",
        ),
    ),
    Guard(
        28,
        "sensorflow/core/formats/compression.py::Bounded._check",
        "if self._count > GRACE and self._count > self._packed * ratio:",
        "if False:",
        _faults("test_files", "test_fault_28_bombs_and_nested_archives_are_stopped_and_say_so"),
    ),
    Guard(  # what is no file is not even looked at
        31,
        f"{TREE}::Tree.all_files",
        "if modes.S_ISREG(status.st_mode) and wanted(prefix + name):",
        "if self.takes(prefix + name):",
        _faults("test_files", "test_fault_31_what_is_no_file_is_left_alone_and_blocks_nothing"),
        also=(
            Patch(
                f"{TREE}::Tree.open",
                "if not modes.S_ISREG(os.fstat(stream.fileno()).st_mode):",
                "if False:",
            ),
            Patch(f"{TREE}::Tree.stat", "if not modes.S_ISREG(status.st_mode):", "if False:"),
        ),
    ),
    Guard(  # a link is not followed, also where it comes in the last moment
        31,
        "sensorflow/adapters/local/places.py::FILE",
        "FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC",
        "tests/conformance/test_stores.py::test_nothing_outside_of_the_folder_is_opened",
    ),
    Guard(  # names are bytes
        32,
        "sensorflow/adapters/feeds/folder/tree.py::entries",
        "return sorted(os.fsencode(name) for name in wanted)",
        'return sorted(os.fsencode(n).decode("utf-8", "replace").encode() for n in wanted)',
        _faults("test_files", "test_fault_32_odd_names_are_kept_byte_for_byte"),
    ),
    Guard(  # however their letters are encoded, they are one
        32,
        "sensorflow/core/names.py::composed",
        'return unicodedata.normalize("NFC", text)',
        "return text",
        "tests/conformance/intake/test_names.py::test_two_spellings_of_a_name_are_versions_and_keep_their_bytes",
    ),
    Guard(  # and where both lie in a folder, the second is no version of the first
        32,
        "sensorflow/flow/intake/spelling.py::Spellings._other",
        "return key if key is not None and feed.has_other(key, file.candidate) else None",
        "return None",
        "tests/integration/test_spellings.py"
        "::test_of_two_spellings_that_stay_in_a_folder_the_second_is_refused_until_the_first_is_gone",
    ),
    Guard(  # what two versions call a task
        36,
        "sensorflow/adapters/queues/celery.py::task_name",
        'return f"sensorflow.{task}"',
        'return f"sensorflow.v2.{task}"',
        _faults(
            "test_fleet",
            "test_faults_36_and_37_two_versions_share_messages_and_a_database_migrated_under_them[valkey]",
        ),
    ),
    Guard(
        36,
        f"{POSTGRES}/outbox.py::Outbox.sweep",
        "lost = waiting - (depth or 0)",
        "lost = waiting * 0",
        _faults(
            "test_fleet", "test_fault_36_a_message_that_no_worker_knows_is_not_a_lost_file[valkey]"
        ),
    ),
    Guard(
        37,
        f"{STATES}::_code",
        'return Code.DATABASE if "cached plan" in str(cause) else None',
        "return None",
        _faults(
            "test_database", "test_fault_37_a_table_altered_under_prepared_statements_is_transient"
        ),
    ),
    Guard(  # faults of the infrastructure burn no attempt
        38,
        "sensorflow/flow/outcomes.py::failed",
        "if isinstance(error, Transient):\n    return _retried(job, error, burned=False)",
        "if isinstance(error, Transient):\n    return _retried(job, error, burned=True)",
        _faults(
            "test_database", "test_fault_38_a_storm_of_retries_is_spread_capped_and_burns_nothing"
        ),
    ),
    Guard(  # waits grow
        38,
        "sensorflow/core/retry.py::backoff",
        "bound = min(cap, base * 2.0 ** min(max(attempt - 1, 0), 30))",
        "bound = 0.1",
        _faults(
            "test_database", "test_fault_38_a_storm_of_retries_is_spread_capped_and_burns_nothing"
        ),
    ),
    Guard(  # an outage longer than a lease burns none either
        38,
        f"{_sql('claims')}::release",
        "AND stage = :stage AND state IN ('running', 'pending');",
        "AND stage = :stage AND state = 'running';",
        "tests/conformance/claims/test_claims.py::test_a_lease_that_ended_in_an_outage_is_given_back_with_its_attempt[postgres]",
    ),
    Guard(  # nor is the file taken from a holder that could not give it back
        38,
        f"{_sql('outbox')}::expire",
        "AND pg_postmaster_start_time() < now() - make_interval(secs => :grace)",
        "AND :grace >= 0",
        _faults(
            "test_database",
            "test_fault_38_after_a_start_a_lease_is_not_taken_before_its_holder_can_be_back",
        ),
    ),
    Guard(  # what was read by an older lease of the intake is not registered
        48,
        f"{POSTGRES}/registering.py::hold_source",
        "if lease is None:\n    return",
        "if True:\n    return",
        _faults(
            "test_two_daemons",
            "test_fault_48_a_daemon_stopped_over_its_lease_registers_no_old_bytes",
        ),
    ),
    Guard(  # nor by one of its own that it has taken again since
        48,
        "sensorflow/flow/intake/take.py::Group.take",
        "lease = leases[source]",
        '__import__("time").sleep(5)\nlease = self._round._keeper.held(source)',
        _faults(
            "test_two_daemons",
            "test_fault_48_a_daemon_stopped_over_its_lease_registers_no_old_bytes",
        ),
    ),
    Guard(  # what is finished is looked at twice
        52,
        f"{_sql('maintenance')}::tidied",
        "SET tidy = state = 'loaded' OR finished_at < now() - make_interval(secs => :again),",
        "SET tidy = :again > 0,",
        STALE
        + "test_in_every_order_of_events_silver_is_there_for_what_is_loaded_and_for_nothing_else",
    ),
    Guard(  # who is refused has it looked at again
        52,
        "sensorflow/flow/outcomes.py::_fenced",
        "job.world.ledger.collect_again(job.claim.file_id)",
        "pass",
        STALE + "test_who_finds_the_file_lost_has_what_it_wrote_collected_at_once",
    ),
    Guard(  # who was stopped for long asks first
        52,
        "sensorflow/flow/single_pass.py::Ingest.__iter__",
        "job.confirm()",
        "",
        STALE + "test_who_was_stopped_for_long_asks_before_it_names_what_it_wrote",
    ),
    Guard(
        52,
        f"{_sql('claims')}::quarantined",
        "finished_at = now(), tidy = false\n"
        " WHERE id = :id AND lease_token = :token AND state = 'running'",
        "finished_at = now()\n WHERE id = :id AND lease_token = :token AND state = 'running'",
        STALE + "test_of_a_quarantined_file_no_silver_is_left",
    ),
    Guard(
        39,
        "sensorflow/flow/publish.py::_due",
        "return ledger.due(most, limits.max_in_flight, limits.backfill_in_flight, share)",
        "return ledger.due(most, 10**9)",
        _faults(
            "test_fleet",
            "test_fault_39_thousands_of_waiting_files_leave_work_connections_and_memory_bounded",
        ),
    ),
    Guard(  # a file makes few months with a handful of readings
        50,
        "sensorflow/core/months.py::NewMonths.count",
        "if new and sparse > self.limits.sparse:",
        "if new and sparse > 10**9:",
        "tests/integration/test_months.py::"
        "test_a_reading_a_month_over_decades_makes_no_month_and_is_quarantined_with_advice",
    ),
    Guard(  # files that are loaded at once are bounded one by one
        50,
        f"{POSTGRES}/together.py::_copy",
        "except Permanent as error:  # perhaps of all of them together",
        "except ZeroDivisionError as error:",
        "tests/integration/test_months.py::test_files_that_are_loaded_at_once_share_no_bound",
    ),
    Guard(  # a month is empty under its lock when it is dropped
        50,
        "migrations/versions/0011_histories_and_months.py",
        "                EXECUTE format('LOCK TABLE ONLY raw_readings IN ACCESS EXCLUSIVE MODE');\n",
        "                EXECUTE 'SET LOCAL lock_timeout = 0';\n",
        "tests/integration/test_months.py::test_a_month_that_is_being_loaded_into_is_not_dropped",
    ),
    Guard(  # times that a source does not expect
        50,
        "sensorflow/core/judge/times.py::Times._bounded",
        "codes[bad] = Code.TIMESTAMP_OUTSIDE.number\n"
        "return Instants(pc.if_else(pa.array(bad), None, found.ts), codes)",
        "return found",
        "tests/unit/test_costs.py::test_times_that_a_source_does_not_expect_are_rejects",
    ),
    Guard(  # rows for each byte
        28,
        "sensorflow/core/formats/__init__.py::_chunks",
        "rows > size * profile.max_rows_per_byte",
        "rows < 0",
        "tests/unit/test_costs.py::test_millions_of_equal_rows_in_a_few_bytes_of_parquet",
    ),
    Guard(  # cells that are walked
        28,
        "sensorflow/core/formats/xlsx.py::sheet_rows",
        "walked += len(cells) + number - before - 1",
        "",
        "tests/unit/test_costs.py::test_a_cell_far_from_the_table_in_every_row",
    ),
    Guard(  # texts of a spreadsheet, whatever their part is called
        28,
        "sensorflow/core/formats/ooxml.py::_package",
        "_check_parts(archive, paths, profile)",
        "",
        "tests/unit/test_costs.py::test_what_is_held_of_a_spreadsheet_is_bounded_whatever_its_part_is_called",
    ),
    Guard(  # texts of files are escaped in the error's constructor
        32,
        "sensorflow/errors.py::SensorflowError.__init__",
        "message = shown(message, keep=self._kept)",
        "",
        "tests/unit/test_shown.py::test_an_error_is_escaped_where_it_is_made_whatever_becomes_of_it",
    ),
    Guard(  # and in JSON
        32,
        "sensorflow/shown.py::json_of",
        "return _HIDDEN.sub(lambda found: _escaped(found[0]), text)",
        "return text",
        "tests/integration/test_hostile_texts.py::test_what_commands_print_of_a_file",
    ),
    Guard(  # events of one file are hashed in the order of their numbers
        22,
        "migrations/versions/0011_histories_and_months.py",
        "            late := e.id < h.last_event;\n",
        "",
        "tests/integration/test_audit_history.py::"
        "test_events_of_one_file_by_several_writers_at_once_stay_one_chain",
    ),
    Guard(  # the first events of a file of before the hashes, by two at once
        22,
        "migrations/versions/0011_histories_and_months.py",
        "                    INSERT INTO file_histories SELECT (h).* ON CONFLICT DO NOTHING;\n",
        "",
        "tests/integration/test_audit_history.py::"
        "test_a_file_of_before_the_hashes_counts_from_then_on",
    ),
    Guard(  # what retention forgets is hashed before it goes
        22,
        "migrations/versions/0011_histories_and_months.py",
        "base = start, after",
        "after",
        "tests/integration/test_audit_history.py::"
        "test_what_retention_removes_of_a_history_leaves_the_rest_provable",
    ),
    Guard(  # a folder that was made anew is not taken for losses
        22,
        "sensorflow/flow/audit/elsewhere.py::Elsewhere.has",
        "if made is None:",
        "if made is not None:",
        "tests/integration/test_audit_history.py::"
        "test_a_data_folder_that_was_moved_away_is_not_thirty_losses[True]",
    ),
    Guard(  # a copy to the archive has its name when it is whole
        22,
        "sensorflow/adapters/local/keeping.py::_copy_new",
        "with temporary(target.parent) as (new, path):\n    while block := stream.read(1 << 20):",
        'with target.open("xb") as new, temporary(target.parent) as (_, path):\n'
        "    while block := stream.read(1 << 20):",
        "tests/integration/test_garbage.py::test_what_a_killed_writer_left_goes_after_an_hour[archive]",
    ),
    Guard(  # each source has its turn in the outbox
        39,
        f"{_sql('outbox')}::due",
        "ORDER BY turn, placed.id",
        "ORDER BY placed.id",
        TURNS + "test_what_is_in_flight_counts_for_whose_turn_it_is[postgres]",
    ),
    Guard(  # and its share, whatever others have in flight
        39,
        f"{_sql('outbox')}::due",
        "OR :live AND (turn = 0 OR",
        "OR NOT :live AND (turn = 0 OR",
        TURNS + "test_a_flood_fills_its_window_and_another_source_goes_beyond_it[postgres]",
    ),
    Guard(  # of what is in flight; which follows what is finished, and nothing else
        39,
        f"{_sql('outbox')}::pace",
        "/ :work_bytes) FILTER (WHERE e.finished), 0)",
        "/ :work_bytes), 0)",
        TURNS + "test_the_pace_is_of_what_was_finished_while_files_wait[postgres]",
    ),
    Guard(  # and in the intake
        39,
        "sensorflow/flow/intake/turns.py::Turns.gather",
        "if not ended:\n    self._streams.append(stream)",
        "if not ended:\n    self._streams.appendleft(stream)",
        "tests/unit/test_turns.py::test_a_group_has_files_of_each_feed_in_turn",
    ),
    Guard(  # an alias among others is one, also where its name comes twice
        39,
        f"{_sql('intake')}::add_aliases",
        "WHERE g.named = 1",
        "WHERE g.named > 0",
        "tests/conformance/intake/test_registering.py::"
        "test_many_aliases_of_a_group_are_what_they_would_be_one_by_one[postgres]",
    ),
    Guard(  # a heartbeat is of the loop, not of the thread that sends it
        1,
        "sensorflow/flow/pulse.py::Loop.pulse",
        "if not self._held and now() - self._touched > SILENT:",
        "if False:",
        "tests/unit/test_pulse.py::test_a_loop_that_does_not_go_on_is_not_vouched_for",
    ),
    Guard(  # an event without a message does not hold a worker's loop
        41,
        "sensorflow/adapters/queues/redis.py::Channel.subclient",
        "block=False, timeout=READ)",
        "block=True)",
        "tests/integration/test_valkey.py::test_an_event_without_a_message_does_not_hold_the_loop",
    ),
    Guard(  # a child that has ended keeps no worker from connecting again
        41,
        "workers/pool.py::Processes._track_child_process",
        'if getattr(proc, "_sentinel_poll", hub) is not None:',
        "if True:",
        "tests/unit/test_pool_of_processes.py::"
        "test_a_child_that_has_ended_keeps_no_worker_from_connecting_again",
    ),
    Guard(  # a month that two make at once
        50,
        "migrations/versions/0011_histories_and_months.py",
        "            IF NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid\n"
        "                            WHERE i.inhparent = 'raw_readings'::regclass "
        "AND c.relname = part) THEN\n",
        "            IF to_regclass(part) IS NULL THEN\n",
        "tests/integration/test_months.py::test_a_month_that_two_make_at_once_is_made_once",
    ),
]


def prove(guard: Guard) -> bool:
    """Whether the test fails without its guard."""
    with tempfile.TemporaryDirectory(prefix="guard-") as name:
        tree = Path(name) / "tree"
        ignored = shutil.ignore_patterns(
            ".venv", ".git", "__pycache__", ".demo", "dist", "real_data"
        )
        shutil.copytree(ROOT, tree, ignore=ignored)
        apply(tree, guard.patches)
        # the release before this one comes from the history
        (tree / ".git").symlink_to(_history())
        done = subprocess.run(
            [sys.executable, "-m", "pytest", guard.test],
            cwd=tree,
            env={"PATIENCE": "45", **os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=False,
        )
    why = [line[1:].strip() for line in done.stdout.splitlines() if line.startswith("E  ")]
    print(f"    {why[0][:200] if why else 'passed'}")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 1


def _history() -> Path:
    how = ["--path-format=absolute", "--git-common-dir"]
    asked = ["git", "-C", str(ROOT), "rev-parse", *how]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def main() -> int:
    wanted = {int(number) for number in os.environ.get("FAULTS", "").split()}
    blind = []
    for guard in GUARDS:
        if wanted and guard.fault not in wanted:
            continue
        print(
            f"fault {guard.fault}: {guard.where}\n    {guard.test.rpartition('::')[2]}", flush=True
        )
        began = time.monotonic()
        seen = prove(guard)
        print(
            f"    {'noticed' if seen else 'NOT NOTICED'} in {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if not seen:
            blind.append(guard)
    for guard in blind:
        print(f"passes without its guard: fault {guard.fault}, {guard.where}, {guard.test}")
    return 1 if blind else 0


if __name__ == "__main__":
    sys.exit(main())
