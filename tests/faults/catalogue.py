"""What must be survived, by number, and the tests that stand elsewhere."""

from __future__ import annotations

STARRED = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    9,
    12,
    14,
    15,
    16,
    18,
    19,
    20,
    21,
    23,
    24,
    27,
    28,
    31,
    32,
    36,
    38,
    39,
    40,
    44,
    45,
)
"""Those without which nothing is released."""

ELSEWHERE: dict[int, tuple[str, ...]] = {
    2: (
        "acceptance/test_exactly_once.py::test_daemon_and_worker_killed_in_the_middle_lose_and_double_nothing",
    ),
    3: ("conformance/claims/test_claims.py::test_a_claim_counts_the_attempt_before_the_work",),
    4: ("conformance/loading/test_loads.py::test_a_load_that_breaks_leaves_nothing",),
    7: (
        "conformance/outbox/test_due.py::test_only_as_many_messages_are_missed_as_the_broker_lacks",
    ),
    8: ("integration/test_unreachable.py::test_a_broker_that_is_away",),
    9: (
        "integration/test_unreachable.py::test_sessions_ended_by_the_server_are_transient_and_the_next_call_works",
    ),
    13: (
        "conformance/claims/test_claims.py::test_a_renewed_lease_is_kept",
        "unit/test_flow.py::test_a_lease_lost_while_working_commits_nothing",
    ),
    14: ("conformance/objects/test_local_objects.py::test_a_full_disk_is_transient",),
    15: ("unit/test_flow.py::test_the_same_message_five_times_has_one_effect",),
    16: (
        "conformance/claims/test_claims.py::test_the_holder_of_an_older_token_is_refused_everywhere",
    ),
    17: (
        "conformance/claims/test_claims.py::test_an_older_version_cannot_load_after_a_newer_one",
        "integration/test_races.py::test_an_alias_that_arrives_while_its_twin_is_superseded_keeps_its_readings",
    ),
    18: ("unit/test_flow.py::test_a_file_that_changes_while_it_is_read_is_not_landed",),
    19: ("conformance/test_stores.py::test_an_open_file_is_told",),
    22: (
        "conformance/test_stores.py::test_an_archived_name_is_never_overwritten",
        "conformance/objects/test_object_zones.py::test_a_quarantined_file_is_never_overwritten",
    ),
    26: ("acceptance/test_odd_files.py::test_polling_alone_works",),
    27: (
        "unit/test_flow.py::test_a_file_that_ends_its_worker_three_times_is_quarantined",
        "acceptance/test_memory.py::test_a_memory_bomb_is_quarantined_after_three_tries_and_its_neighbours_load",
    ),
    28: (
        "unit/test_limits.py::test_a_bomb_is_stopped_by_its_ratio",
        "unit/test_limits.py::test_a_bomb_is_stopped_by_its_bytes",
        "unit/test_limits.py::test_a_bomb_is_stopped_while_it_streams",
        "unit/test_limits.py::test_an_archive_in_an_archive",
        "unit/test_limits.py::test_a_tar_and_archives_of_several_files",
    ),
    29: (
        "unit/test_limits.py::test_a_line_of_10_gb",
        "unit/test_limits.py::test_a_million_columns",
    ),
    30: (
        "unit/test_limits.py::test_a_bad_byte_is_told_by_its_offset",
        "unit/test_limits.py::test_a_bad_character_of_an_encoding",
    ),
    31: ("conformance/test_stores.py::test_nothing_outside_of_the_folder_is_opened",),
    34: (
        "unit/test_limits.py::test_values_that_are_no_double",
        "unit/test_limits.py::test_times_that_are_none",
        "unit/test_numbers.py::test_what_is_no_number_is_refused_and_never_changed",
    ),
    35: (
        "unit/test_zones.py::test_every_time_of_a_day_with_a_change",
        "unit/test_zones.py::test_mixed_offsets",
    ),
    41: (
        "acceptance/test_pool.py::test_the_pool_grows_to_its_most_and_shrinks_although_sweeps_go_on",
    ),
    42: (
        "fuzz/test_messages_fuzz.py::test_fault_42_spoiled_messages_on_valkey",
        "fuzz/test_messages_fuzz.py::test_fault_42_spoiled_messages_on_rabbitmq",
        "unit/test_strange_messages.py::test_nothing_that_acts_on_a_child_or_asks_for_a_message_is_kept",
    ),
    43: ("unit/test_strange_messages.py::test_commands",),
    38: (
        "unit/test_core.py::test_waits_grow_and_are_bounded",
        "conformance/claims/test_claims.py::test_a_lease_that_ended_in_an_outage_is_given_back_with_its_attempt",
        "integration/test_sessions.py::test_what_outlasts_an_outage_is_named_by_doctor_and_status_with_its_remedy",
    ),
    40: (
        "integration/test_sessions.py::test_at_its_first_attempt_too_a_file_is_taken_from_the_session_of_a_host_that_is_cut",
        "conformance/outbox/test_due.py::test_a_publisher_that_falls_silent_is_followed_by_another_one",
    ),
    46: (
        "integration/test_pooler.py::test_a_pooler_that_is_not_in_session_mode_is_refused",
        "integration/test_pooler.py::test_in_session_mode_files_are_loaded_and_no_setting_of_the_pooler_is_needed",
    ),
}
"""By path below tests/; the names of those in tests/faults hold their numbers."""

OPEN = frozenset({33})
"""Without a test: nothing is unreadable for root, as whom the servers of the tests run."""
