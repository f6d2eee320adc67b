"""Guards of the work: messages, workers, stages, outcomes."""

from __future__ import annotations

from guard import (
    FUZZ,
    POOL,
    STALE,
    STRANGERS,
    Guard,
    faults,
    growing,
)

WORK = [
    Guard(  # the reconciler
        2,
        "sensorflow/flow/reconcile.py::reconcile",
        "reconciled = ledger.reconcile(stale_after, _depth(publisher), grace)",
        "reconciled = Reconciled(0, 0)",
        faults(
            "test_worker",
            "test_fault_02_and_05_worker_parent_killed_is_made_good_without_the_brokers_message",
        ),
    ),
    Guard(  # what holds the interpreter is ended from outside
        44,
        "sensorflow/engine/watchdog.py::check",
        "os.kill(slot.pid, signal.SIGKILL)",
        "",
        faults(
            "test_stuck",
            "test_fault_44_a_decoder_that_never_comes_back_is_ended_and_its_file_quarantined",
        ),
    ),
    Guard(  # a worker outlives a child that dies as it starts
        45,
        "workers/pool.py::TaskPool.did_start_ok",
        "return True",
        "return bool(super().did_start_ok())",
        faults("test_stuck", "test_fault_45_a_child_killed_as_its_worker_starts_does_not_end_it"),
    ),
    Guard(  # memory that the host refuses is not the file's fault
        45,
        "sensorflow/flow/outcomes.py::after_failure",
        "if (reason := threads.host_refusal(lack)) is not None:",
        "if (reason := None) is not None:",
        faults("test_stuck", "test_fault_45_refused_memory_costs_no_attempt_and_hangs_nothing"),
    ),
    Guard(  # a task that is refused memory does not end its worker
        45,
        "workers/request.py::PoolRequest.on_failure",
        "if not isinstance(error, MemoryError):",
        "if not isinstance(error, AssertionError):",
        faults("test_stuck", "test_fault_45_a_task_that_is_refused_memory_does_not_end_its_worker"),
    ),
    Guard(  # a worker's mailbox is not exclusive
        2,
        "workers/app.py::configure",
        '"control_queue_exclusive": False,\n"control_queue_durable": True,',
        "",
        faults(
            "test_worker",
            "test_fault_02_a_worker_works_that_is_started_before_the_broker_missed_the_killed_one[rabbitmq]",
        ),
    ),
    Guard(  # the bytes and the manifest are kept before the state says so
        3,
        "sensorflow/flow/process.py::_quarantine",
        "where = quarantine(file_task)",
        'where = f"{file_task.claim.source}/{file_task.claim.file_id}-v{file_task.claim.version}-1"\n'
        "done = StageReport(Stage.QUARANTINE, 0, 0)\n"
        "file_task.services.ledger.mark_quarantined(file_task.claim, where, done)\n"
        "quarantine(file_task)",
        faults(
            "test_worker", "test_fault_03_child_killed_on_the_way_to_quarantine[quarantine.copied]"
        ),
    ),
    Guard(  # whatever ends the consumer's loop is a lost connection
        41,
        "workers/consumer.py::Blueprint.start",
        "raise BrokerLost(reason) from error",
        "raise",
        faults(
            "test_acknowledgements",
            "test_fault_41_a_channel_is_closed_by_rabbitmq_for_it_waited_too_long",
        ),
    ),
    Guard(  # what a full server hands over is worked on
        41,
        "sensorflow/adapters/queues/redis.py::QoS.append",
        "except ResponseError as error:  # it is off its queue, and only held here from now on",
        "except ZeroDivisionError as error:",
        faults("test_acknowledgements", "test_fault_41_valkey_is_full_with_a_task_in_flight"),
    ),
    Guard(  # sweeps keep no child
        41,
        "workers/app.py::configure",
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
        "workers/control.py::GuardedNode.handle",
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
            faults("test_broker", f"test_fault_08_broker_unreachable_and_back_again[{broker}]"),
        )
        for broker in ("valkey", "rabbitmq")
    ),
    Guard(  # the attempt is given back
        14,
        "sensorflow/flow/outcomes.py::after_failure",
        "if isinstance(error, Transient):\n    return _retry(file_task, error, counts_as_attempt=False)",
        "if isinstance(error, Transient):\n    return _retry(file_task, error, counts_as_attempt=True)",
        faults(
            "test_disk",
            "test_fault_14_a_full_or_read_only_lake_keeps_files_pending_and_doubles_nothing",
        ),
    ),
    Guard(  # beat's host may be the one that is gone
        40,
        "sensorflow/flow/publisher.py::PublisherLoop.run",
        "self._housekeeping.run_due_steps()",
        "",
        faults(
            "test_hosts",
            "test_fault_40_hosts_that_are_cut_in_the_middle_of_work_are_followed_by_others",
        ),
    ),
    Guard(  # nor is it sent with them
        27,
        "sensorflow/flow/publish.py::_batches.batch_key",
        "new = entry.token == 0 and entry.version == 1",
        "new = entry.version == 1",
        "tests/unit/test_flow.py::test_a_file_that_was_held_before_is_published_alone",
    ),
    Guard(  # nothing is carried from one file to the next where many are judged at once
        34,
        "sensorflow/core/batch_validation.py::is_row_local",
        "return not (carried or ordered or profile.fill_down)",
        "return True",
        "tests/unit/test_joint.py"
        "::test_what_is_carried_from_row_to_row_is_never_carried_from_file_to_file",
    ),
    Guard(  # silver follows
        20,
        "sensorflow/flow/garbage.py::_remove",
        "if garbage.holds is not None:",
        "if False:",
        "tests/integration/test_versions.py::test_what_is_served_is_what_the_model_says",
    ),
    Guard(  # repeats are those of the whole file
        20,
        "sensorflow/core/cross_part.py::CrossPartDeduplicator.assign_ordinals",
        "if identity in self._others:",
        "if False:",
        growing("test_repeats_are_told_over_all_parts"),
    ),
    Guard(  # the third attempt is the last
        27,
        "sensorflow/flow/outcomes.py::run_to_outcome",
        "claim.attempt > file_task.services.settings.max_attempts",
        "claim.attempt > 1_000",
        faults(
            "test_worker",
            "test_fault_27_a_file_that_crashes_the_parser_is_quarantined_and_its_neighbours_load",
        ),
    ),
    Guard(  # what two versions call a task
        36,
        "sensorflow/adapters/queues/celery.py::task_name",
        'return f"sensorflow.{task}"',
        'return f"sensorflow.v2.{task}"',
        faults(
            "test_fleet",
            "test_faults_36_and_37_two_versions_share_messages_and_a_database_migrated_under_them[valkey]",
        ),
    ),
    Guard(  # faults of the infrastructure burn no attempt
        38,
        "sensorflow/flow/outcomes.py::after_failure",
        "if isinstance(error, Transient):\n    return _retry(file_task, error, counts_as_attempt=False)",
        "if isinstance(error, Transient):\n    return _retry(file_task, error, counts_as_attempt=True)",
        faults(
            "test_database", "test_fault_38_a_storm_of_retries_is_spread_capped_and_burns_nothing"
        ),
    ),
    Guard(  # waits grow
        38,
        "sensorflow/core/retry.py::backoff",
        "bound = min(cap, base * 2.0 ** min(max(attempt - 1, 0), 30))",
        "bound = 0.1",
        faults(
            "test_database", "test_fault_38_a_storm_of_retries_is_spread_capped_and_burns_nothing"
        ),
    ),
    Guard(  # who is refused has it looked at again
        52,
        "sensorflow/flow/outcomes.py::_after_fencing",
        "file_task.services.ledger.mark_garbage(file_task.claim.file_id)",
        "pass",
        STALE + "test_who_finds_the_file_lost_has_what_it_wrote_collected_at_once",
    ),
    Guard(  # who was stopped for long asks first
        52,
        "sensorflow/flow/single_pass.py::Ingest._write",
        "file_task.ensure_claim()",
        "",
        STALE + "test_who_was_stopped_for_long_asks_before_it_names_what_it_wrote",
    ),
    Guard(
        39,
        "sensorflow/flow/publish.py::_pending",
        "return ledger.pending(limit, limits.max_in_flight, limits.backfill_in_flight, share)",
        "return ledger.pending(limit, 10**9)",
        faults(
            "test_fleet",
            "test_fault_39_thousands_of_waiting_files_leave_work_connections_and_memory_bounded",
        ),
    ),
    Guard(  # a folder that was made anew is not taken for losses
        22,
        "sensorflow/flow/audit/recreated.py::RecreatedFolder.explains",
        "if recreated_at is None:",
        "if recreated_at is not None:",
        "tests/integration/test_audit_history.py::"
        "test_a_data_folder_that_was_moved_away_is_not_thirty_losses[True]",
    ),
    Guard(  # a location of another project is refused
        22,
        "sensorflow/flow/location_owner.py::LocationOwner._require_owner",
        "if owner != project.id:",
        "if False:",
        "tests/integration/test_location_owner.py::"
        "test_a_project_is_refused_a_bucket_location_of_another_one",
    ),
    Guard(  # of racing projects, one owns the location
        22,
        "sensorflow/flow/location_owner.py::LocationOwner._claim",
        "self._objects.create(OWNER, _content(project))",
        "self.replace()",
        "tests/conformance/objects/test_owned_objects.py::"
        "test_of_racing_projects_one_owns_the_location[s3]",
    ),
    Guard(  # a heartbeat is of the loop, not of the thread that sends it
        1,
        "sensorflow/flow/heartbeats.py::LoopStatus.report",
        "if not self._in_long_call and silence > MAX_SILENCE_SECONDS:",
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
    Guard(  # a child that ends gives its slot back
        45,
        "workers/pool.py::Processes._maintain_pool",
        "if child not in self._pool and self._putlock:",
        "if False:",
        "tests/unit/test_pool_of_processes.py::test_a_child_that_cannot_be_replaced_gives_its_slot_back",
    ),
    Guard(  # a loop that waits for a server is not called stuck
        44,
        "sensorflow/flow/heartbeats.py::LoopStatus.report",
        "if (code := waiting.awaited(self._thread)) is None:",
        "if (code := None) is None:",
        "tests/unit/test_pulse.py::test_a_loop_that_waits_for_a_server_is_paused_and_not_stuck",
    ),
]
