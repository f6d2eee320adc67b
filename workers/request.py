"""A message in the worker's parent, from its arrival to its acknowledgement."""

from __future__ import annotations

from typing import Any

from celery.exceptions import TaskRevokedError
from celery.worker import state
from celery.worker.request import Request

from sensorflow import crash
from sensorflow.errors import Code
from sensorflow.telemetry import Event, emit


class HandedOver(Request):  # type: ignore[misc]  # celery has no types
    """What cannot be handed over to a child is refused."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Celery makes a subclass for each task, with an `execute_using_pool` of its own."""
        super().__init_subclass__(**options)
        execute = cls.execute_using_pool

        def execute_using_pool(self: HandedOver, pool: Any, **given: Any) -> Any:
            try:
                return execute(self, pool, **given)
            except (TaskRevokedError, MemoryError, OSError):
                raise
            except Exception as error:
                self.refuse(error)
                raise TaskRevokedError(self.id) from error  # which frees the child's place

        cls.execute_using_pool = execute_using_pool

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> None:
        """A child that was refused memory costs no more than its own turn: Celery would end the worker, and
        with it the files that other children have in hand.

        Not delivered again at once, when there would be no more memory than now: the ledger sends it, and
        beat what is no file's.
        """
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if not isinstance(error, MemoryError):
            super().on_failure(exc_info, *args, **options)
            return
        reason = "a task was refused memory; it is sent again later"
        emit(Event.WORK_REFUSED, code=Code.HOST, reason=reason)
        state.task_ready(self)
        self.acknowledge()

    def refuse(self, error: Exception) -> None:
        reason = ascii(f"{type(error).__name__}: {error}"[:300])
        emit(Event.MESSAGE_REFUSED, code=str(Code.MESSAGE), queue=self.name, reason=reason)
        state.task_ready(self)
        self.reject(requeue=False)


class Message(HandedOver):
    """Of a file, with the crash points of its end."""

    def acknowledge(self) -> None:
        crash.point(crash.Point.ACK)
        super().acknowledge()
        crash.point(crash.Point.ACKED)
