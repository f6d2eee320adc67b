"""The Celery application. The settings are read and connections are opened on first use, not on import."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click
from celery import Celery

from sensorflow import bootstrap, stores, telemetry, tracing
from sensorflow.adapters.queues.celery import configuration
from sensorflow.errors import UsageError
from workers import configured
from workers.schedule import schedule


def configure() -> dict[str, Any]:
    """Returns all of Celery's settings, derived from sensorflow's settings. If these are invalid, the
    command ends with a message of one line."""
    try:
        settings = configured.settings()
        broker = bootstrap.broker_url(settings)
        if _COMMAND in ("worker", "beat"):
            bootstrap.require_sessions(settings)
        if _COMMAND == "worker":
            tracing.require()
            stores.require_access(settings, bootstrap.project_of(settings))
    except UsageError as error:
        configured.end(error)
    telemetry.configure_for(settings)
    with suppress(
        OSError
    ):  # beat opens its schedule there, perhaps before the first file is landed
        settings.data_folder.mkdir(parents=True, exist_ok=True)
    return {
        **configuration(broker, settings.to_broker),
        "beat_schedule": schedule(settings),
        "beat_schedule_filename": str(settings.data_folder / "beat-schedule"),
        "beat_scheduler": "workers.heartbeats:Scheduler",
        "beat_max_loop_interval": 5,  # maximum seconds between two ticks, each of which sends a heartbeat
        "timezone": "UTC",
        # a task is acknowledged when its outcome is in the ledger, not when it is received
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": True,
        "task_reject_on_worker_lost": True,
        # one message per child: a node must not hoard work that an idle one could do
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": True,
        "task_send_sent_event": _COMMAND != "beat",  # see tasks.sweep
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # otherwise a pool that is small when the broker restarts gets few messages and never grows
        "worker_enable_prefetch_count_reduction": False,
        # RabbitMQ may notice late that a worker was killed while a child was busy. The replacement
        # would then find its mailbox locked, and end
        "control_queue_exclusive": False,
        "control_queue_durable": True,
        "worker_hijack_root_logger": False,
        # a child that dies early must not end its worker; on a busy host, start-up may be slow
        "worker_pool": "workers.pool:TaskPool",
        "worker_proc_alive_timeout": 30.0,
        "worker_max_memory_per_child": 1_000_000,  # KiB
        "worker_consumer": "workers.consumer:Consumer",
        "worker_autoscaler": "workers.autoscaler:Autoscaler",
        "worker_disable_rate_limits": True,
    }


def command() -> str | None:
    """Returns the subcommand of ``celery -A workers`` if Celery is importing this app for a command, else
    None."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.invoked_subcommand


_COMMAND = command()
# beat only needs tasks by name; without importing them it starts twice as fast, in half the memory
_TASKS = [] if _COMMAND == "beat" else ["workers.tasks", "workers.signals"]

app = Celery("sensorflow", include=_TASKS)
app.add_defaults(configure)
if _COMMAND == "worker":
    from workers.events import EventBufferStep, ProgressStep
    from workers.heartbeats import HeartbeatStep

    app.steps["consumer"].add(EventBufferStep)
    app.steps["consumer"].add(ProgressStep)
    app.steps["consumer"].add(HeartbeatStep)
