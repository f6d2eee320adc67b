"""Guards of the database: claims, loads, outbox, sessions, schema."""

from __future__ import annotations

from guard import (
    LOADING,
    MERGED,
    POSTGRES,
    SESSIONS,
    STALE,
    STATES,
    TURNS,
    Guard,
    conformance,
    faults,
    sql,
)
from patches import Patch

LEDGER = [
    Guard(  # on a share a file is known by what lasts
        49,
        f"{sql('intake')}::seen",
        "OR (starts_with(CAST(:fingerprint AS text), '*:*:')",
        "OR (false",
        "tests/conformance/intake/test_registering.py::test_a_state_without_a_lasting_inode_is_known_by_one_that_had_it",
    ),
    Guard(  # the attempt is counted with the claim
        3,
        f"{sql('claims')}::claim",
        "attempts = attempts + 1,\n           started_at = coalesce",
        "attempts = attempts,\n           started_at = coalesce",
        faults("test_worker", "test_fault_03_and_04_child_killed_before_the_commit[claimed]"),
    ),
    Guard(  # rows and their state are one transaction
        4,
        f"{LOADING}::load",
        "failpoints.hit(failpoints.Failpoint.COPIED)",
        'c.exec_driver_sql("COMMIT")\nfailpoints.hit(failpoints.Failpoint.COPIED)',
        faults(
            "test_worker",
            "test_fault_03_04_and_05_killed_anywhere_children_lose_and_double_nothing",
        ),
    ),
    Guard(  # and nothing is left to do after it
        5,
        f"{LOADING}::load",
        "_finish(c, claim, counts, written, span, load, index_mode)",
        'c.exec_driver_sql("COMMIT")\n'
        "failpoints.hit(failpoints.Failpoint.COMMITTED)\n"
        "_finish(c, claim, counts, written, span, load, index_mode)",
        faults(
            "test_worker",
            "test_fault_05_child_killed_between_commit_and_acknowledgement[load.committed]",
        ),
    ),
    Guard(  # messages that the broker should hold are counted
        6,
        f"{POSTGRES}/outbox.py::Outbox.reconcile",
        "lost = waiting - (depth or 0)",
        "lost = waiting * 0",
        faults("test_broker", "test_fault_06_emptied_valkey_costs_nothing"),
    ),
    Guard(  # a failure is not believed where the ledger knows better
        9,
        f"{sql('claims')}::release",
        "AND stage = :stage AND state IN ('running', 'pending');",
        "AND state IN ('running', 'pending', 'loaded');",
        faults(
            "test_database",
            "test_fault_09_a_load_whose_commit_was_not_answered_is_read_from_the_ledger",
        ),
    ),
    Guard(  # a full disk is told from a server that is away
        12,
        f"{STATES}::_EXACT",
        '"53100": Code.DATABASE_FULL',
        '"53100": Code.DATABASE',
        faults(
            "test_disk", "test_fault_12_a_full_database_disk_pauses_the_intake_and_blames_no_file"
        ),
    ),
    Guard(  # a claim has one winner
        15,
        f"{sql('claims')}::claim",
        "OR state = 'running' AND lease_until < now())",
        "OR state = 'running')",
        faults(
            "test_worker", "test_fault_15_a_message_delivered_five_times_has_one_effect[valkey]"
        ),
    ),
    Guard(  # the fencing token
        16,
        f"{sql('loading')}::finish",
        "lease_token = :token",
        ":token > 0",
        "tests/conformance/claims/test_claims.py::test_the_holder_of_an_older_token_is_refused_everywhere[postgres]",
    ),
    Guard(  # a stopped worker's session is ended
        16,
        f"{LOADING}::_evict_and_hold_rivals",
        "if not claim.is_first_claim:",
        "if claim.attempt > 1_000:",
        faults("test_worker", "test_fault_16_a_worker_stopped_past_its_lease_cannot_commit"),
    ),
    Guard(  # at any attempt: one that was given back is the first again
        40,
        f"{LOADING}::_evict_and_hold_rivals",
        "if not claim.is_first_claim:",
        "if claim.attempt > 1:",
        SESSIONS
        + "test_at_its_first_attempt_too_a_file_is_taken_from_the_session_of_a_host_that_is_cut",
    ),
    Guard(  # but only by who has the file
        40,
        f"{sql('loading')}::evict",
        "WHERE id = :id AND lease_token = :token AND state = 'running');",
        "WHERE id = :id AND :token > 0);",
        SESSIONS + "test_a_worker_that_has_lost_a_file_ends_nobodys_session",
    ),
    Guard(  # a publisher that is stopped holds up nobody
        40,
        f"{sql('outbox')}::take_lease",
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
        faults(
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
        "return not is_pooler_error(str(error))",
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
        faults(
            "test_database",
            "test_faults_09_to_12_and_37_what_the_database_says_is_no_files_fault"
            "[53400-I512 database-limit]",
        ),
    ),
    Guard(  # nothing that the server says of itself is a file's fault, listed or not
        38,
        f"{STATES}::_code",
        "unlisted = Code.DATABASE if isinstance(cause, _CONNECTION_ERRORS) else None",
        "unlisted = None",
        faults(
            "test_database",
            "test_faults_09_to_12_and_37_what_the_database_says_is_no_files_fault"
            "[24000-I501 database-unavailable]",
        ),
    ),
    Guard(  # also one that has many files in hand
        16,
        f"{POSTGRES}/batch_loading.py::_require_no_rivals",
        'run(c, "hold_together", ids=ids)',
        "",
        faults(
            "test_worker", "test_fault_16_a_worker_stopped_with_many_files_in_hand_cannot_commit"
        ),
    ),
    Guard(  # and the token of each of them
        16,
        f"{sql('loading')}::finish_together",
        "WHERE f.id = d.id AND f.lease_token = d.token AND f.state = 'running'\n  AND (to_regclass",
        "WHERE f.id = d.id AND f.state IN ('running', 'pending') AND d.token > 0\n"
        "  AND (to_regclass",
        "tests/conformance/loading/test_loads.py"
        "::test_of_files_together_none_is_loaded_when_a_claim_is_lost[postgres]",
    ),
    Guard(  # what ended a worker once takes no neighbours along again
        27,
        f"{sql('claims')}::claim",
        "AND (id = :first OR started_at IS NULL)",
        "",
        "tests/conformance/claims/test_claims.py"
        "::test_what_was_held_before_is_not_fresh_and_claimed_by_its_own_message_only[postgres]",
    ),
    Guard(  # nor does it take them along
        27,
        f"{sql('claims')}::claim",
        "WHERE id = :first AND fresh AND version = 1",
        "WHERE id = :first AND version = 1",
        "tests/conformance/claims/test_taking_along.py::test_what_was_held_before_takes_nothing_along[postgres]",
    ),
    Guard(  # nor is it taken along
        27,
        f"{sql('claims')}::claim",
        "AND started_at IS NULL AND version = 1 AND stage = 'validate' AND size < :file_bytes",
        "AND version = 1 AND stage = 'validate' AND size < :file_bytes",
        "tests/conformance/claims/test_taking_along.py"
        "::test_only_small_new_published_files_of_the_same_source_and_lane_are_taken_along[postgres]",
        also=(
            Patch(
                f"{sql('claims')}::claim",
                "(SELECT id FROM waiting) AND state = 'pending' AND started_at IS NULL",
                "(SELECT id FROM waiting) AND state = 'pending'",
            ),
        ),
    ),
    Guard(  # messages, not files, are what the broker may lack
        7,
        f"{sql('outbox')}::waiting_messages",
        "SELECT count(DISTINCT coalesce(sent_with, id)) FROM files",
        "SELECT count(*) FROM files",
        "tests/conformance/outbox/test_due.py"
        "::test_of_messages_with_many_files_as_many_are_missed_as_the_broker_lacks[postgres]",
    ),
    Guard(  # what is stated again takes the place of what was stated before
        20,
        f"{POSTGRES}/ownership.py::OwnershipResolver._replace_in_older",
        "older = [i for i in group if i < self.claim.file_id]",
        "older: list[int] = []",
        MERGED,
    ),
    Guard(  # and a version that is loaded late takes nothing from a newer one
        20,
        f"{POSTGRES}/ownership.py::OwnershipResolver._yield_to_newer",
        "newer = [i for i in group if i > self.claim.file_id]",
        "newer: list[int] = []",
        "tests/integration/test_versions.py::test_what_is_served_is_what_the_model_says",
    ),
    Guard(  # a growth follows what is the newest one
        20,
        f"{sql('growing')}::is_newest_growth",
        "WHERE root = :root AND last_file = :last AND size = :size);",
        "WHERE root = :root AND :last > 0 AND :size >= 0);",
        conformance("test_of_two_that_go_on_at_one_place_the_first_is_taken[postgres]"),
    ),
    Guard(  # and is claimed after that is finished
        20,
        f"{sql('claims')}::claim",
        "WHERE g.file_id = files.id AND p.state IN ('pending', 'running'))",
        "WHERE g.file_id = files.id AND p.state IN ('none'))",
        conformance("test_a_growth_is_due_and_claimed_when_the_one_before_is_finished[postgres]"),
    ),
    Guard(
        21,
        f"{sql('intake')}::twin",
        "AND NOT :name_matters AND f.rows_replaced = 0 AND NOT EXISTS (SELECT 1 FROM newest)",
        "AND NOT :name_matters AND false",
        faults(
            "test_files", "test_fault_21_the_same_content_under_two_names_and_twice_is_loaded_once"
        ),
    ),
    Guard(
        36,
        f"{POSTGRES}/outbox.py::Outbox.reconcile",
        "lost = waiting - (depth or 0)",
        "lost = waiting * 0",
        faults(
            "test_fleet", "test_fault_36_a_message_that_no_worker_knows_is_not_a_lost_file[valkey]"
        ),
    ),
    Guard(
        37,
        f"{STATES}::_code",
        'return Code.DATABASE if "cached plan" in str(cause) else None',
        "return None",
        faults(
            "test_database", "test_fault_37_a_table_altered_under_prepared_statements_is_transient"
        ),
    ),
    Guard(  # an outage longer than a lease burns none either
        38,
        f"{sql('claims')}::release",
        "AND stage = :stage AND state IN ('running', 'pending');",
        "AND stage = :stage AND state = 'running';",
        "tests/conformance/claims/test_claims.py::test_a_lease_that_ended_in_an_outage_is_given_back_with_its_attempt[postgres]",
    ),
    Guard(  # nor is the file taken from a holder that could not give it back
        38,
        f"{sql('outbox')}::expire",
        "AND pg_postmaster_start_time() < now() - make_interval(secs => :grace)",
        "AND :grace >= 0",
        faults(
            "test_database",
            "test_fault_38_after_a_start_a_lease_is_not_taken_before_its_holder_can_be_back",
        ),
    ),
    Guard(  # what was read by an older lease of the intake is not registered
        48,
        f"{POSTGRES}/registering.py::hold_source",
        "if lease is None:\n    return",
        "if True:\n    return",
        faults(
            "test_two_daemons",
            "test_fault_48_a_daemon_stopped_over_its_lease_registers_no_old_bytes",
        ),
    ),
    Guard(  # what is finished is looked at twice
        52,
        f"{sql('maintenance')}::tidied",
        "SET tidy = state = 'loaded' OR finished_at < now() - make_interval(secs => :again),",
        "SET tidy = :again > 0,",
        STALE
        + "test_in_every_order_of_events_silver_is_there_for_what_is_loaded_and_for_nothing_else",
    ),
    Guard(
        52,
        f"{sql('claims')}::quarantined",
        "finished_at = now(), tidy = false,",
        "finished_at = now(),",
        STALE + "test_of_a_quarantined_file_no_silver_is_left",
    ),
    Guard(  # files that are loaded at once are bounded one by one
        50,
        f"{POSTGRES}/batch_loading.py::_copy",
        "except Permanent as error:  # perhaps of all of them together",
        "except ZeroDivisionError as error:",
        "tests/integration/test_months.py::test_files_that_are_loaded_at_once_share_no_bound",
    ),
    Guard(  # a month is empty under its lock when it is dropped
        50,
        "migrations/versions/0020_partition_widths.py",
        "                EXECUTE format('LOCK TABLE ONLY raw_readings IN ACCESS EXCLUSIVE MODE');\n",
        "                EXECUTE 'SET LOCAL lock_timeout = 0';\n",
        "tests/integration/test_months.py::test_a_month_that_is_being_loaded_into_is_not_dropped",
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
    Guard(  # each source has its turn in the outbox
        39,
        f"{sql('outbox')}::due",
        "ORDER BY turn, placed.id",
        "ORDER BY placed.id",
        TURNS + "test_what_is_in_flight_counts_for_whose_turn_it_is[postgres]",
    ),
    Guard(  # and its share, whatever others have in flight
        39,
        f"{sql('outbox')}::due",
        "OR :live AND (turn = 0 OR",
        "OR NOT :live AND (turn = 0 OR",
        TURNS + "test_a_flood_fills_its_window_and_another_source_goes_beyond_it[postgres]",
    ),
    Guard(  # of what is in flight; which follows what is finished, and nothing else
        39,
        f"{sql('outbox')}::pace",
        "/ :work_bytes) FILTER (WHERE e.finished), 0)",
        "/ :work_bytes), 0)",
        TURNS + "test_the_pace_is_of_what_was_finished_while_files_wait[postgres]",
    ),
    Guard(  # an alias among others is one, also where its name comes twice
        39,
        f"{sql('intake')}::add_aliases",
        "WHERE g.named = 1",
        "WHERE g.named > 0",
        "tests/conformance/intake/test_registering.py::"
        "test_many_aliases_of_a_group_are_what_they_would_be_one_by_one[postgres]",
    ),
    Guard(  # a month that two make at once
        50,
        "migrations/versions/0020_partition_widths.py",
        "    made := low IS NULL;\n",
        "    made := true;\n",
        "tests/integration/test_months.py::test_a_month_that_two_make_at_once_is_made_once",
    ),
]
