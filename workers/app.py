"""The Celery application. Nothing is read or connected at import: settings are, on first use."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click
from celery import Celery

from sensorflow import bootstrap, telemetry
from sensorflow.adapters.queues.celery import configuration
from sensorflow.errors import Misuse
from workers import configured
from workers.schedule import schedule


def settle() -> dict[str, Any]:
    """All of Celery's settings, from sensorflow's. A mistake in them ends the command with one line."""
    try:
        settings = configured.settings()
        broker = bootstrap.broker_url(settings)
        if _COMMAND in ("worker", "beat"):
            bootstrap.require_sessions(settings)
    except Misuse as error:
        raise SystemExit(f"sensorflow: {error}") from error
    telemetry.configure(settings.log_level)
    with suppress(OSError):  # beat opens its schedule there, maybe before any file has landed
        settings.data_folder.mkdir(parents=True, exist_ok=True)
    return {
        **configuration(broker, settings.to_broker),
        "beat_schedule": schedule(settings),
        "beat_schedule_filename": str(settings.data_folder / "beat-schedule"),
        "beat_scheduler": "workers.pulse:Scheduler",
        "beat_max_loop_interval": 5,  # seconds between two ticks at most: each is a sign of life
        "timezone": "UTC",
        # a task is acknowledged when its outcome is in the ledger, not when it is received
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": True,
        "task_reject_on_worker_lost": True,
        # one message a child: an idle node must not hoard what another could do
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": True,
        "task_send_sent_event": _COMMAND != "beat",  # see tasks.sweep
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # else a pool that is small when the broker restarts gets so few messages, and never grows
        "worker_enable_prefetch_count_reduction": False,
        # RabbitMQ may see the end of a killed worker late, a child of it being busy: the one that is
        # started in its place would find its mailbox locked, and end
        "control_queue_exclusive": False,
        "control_queue_durable": True,
        "worker_hijack_root_logger": False,
        # no child that dies early ends its worker; one on a busy host may take a while to begin
        "worker_pool": "workers.pool:TaskPool",
        "worker_proc_alive_timeout": 30.0,
        "worker_max_memory_per_child": 1_000_000,  # KiB
        "worker_consumer": "workers.consumer:Consumer",
        "worker_autoscaler": "workers.autoscaler:Autoscaler",
        "worker_disable_rate_limits": True,
    }


def command() -> str | None:
    """What follows ``celery -A workers``, while that imports this app; None elsewhere."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.invoked_subcommand


_COMMAND = command()
# beat knows tasks by name: without theirs it starts in half the time, in half the memory
_TASKS = [] if _COMMAND == "beat" else ["workers.tasks", "workers.signals"]

app = Celery("sensorflow", include=_TASKS)
app.add_defaults(settle)
if _COMMAND == "worker":
    from workers.events import Gathered
    from workers.pulse import Pulse

    app.steps["consumer"].add(Gathered)
    app.steps["consumer"].add(Pulse)
