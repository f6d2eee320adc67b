"""The request for a message in the worker's parent, from the message's arrival to its acknowledgement."""

from __future__ import annotations

from typing import Any

from celery.exceptions import TaskRevokedError
from celery.worker import state
from celery.worker.request import Request

from sensorflow import failpoints
from sensorflow.errors import Code
from sensorflow.telemetry import Event, emit


class PoolRequest(Request):  # type: ignore[misc]  # celery has no types
    """A request that is rejected if it cannot be passed to a child."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Replace `execute_using_pool`, because Celery creates a subclass for each task with its own
        version of this method."""
        super().__init_subclass__(**options)
        execute = cls.execute_using_pool

        def execute_using_pool(self: PoolRequest, pool: Any, **given: Any) -> Any:
            try:
                return execute(self, pool, **given)
            except (TaskRevokedError, MemoryError, OSError):
                raise
            except Exception as error:
                self.refuse(error)
                raise TaskRevokedError(self.id) from error  # this frees the child's slot

        cls.execute_using_pool = execute_using_pool

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> None:
        """Handle a child that ran out of memory: only its own task fails. By default, Celery would end the
        worker, and with it the work on the files of all children.

        The message is not redelivered at once, because there would still be no memory. The outbox later
        sends files again, and beat sends the other tasks.
        """
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if not isinstance(error, MemoryError):
            super().on_failure(exc_info, *args, **options)
            return
        reason = "no memory for a task; its message is sent again later"
        emit(Event.WORK_REFUSED, code=Code.HOST, reason=reason)
        state.task_ready(self)
        self.acknowledge()

    def refuse(self, error: Exception) -> None:
        reason = ascii(f"{type(error).__name__}: {error}"[:300])
        emit(Event.MESSAGE_REFUSED, code=str(Code.MESSAGE), queue=self.name, reason=reason)
        state.task_ready(self)
        self.reject(requeue=False)


class Message(PoolRequest):
    """The request for a message of a file. Adds the failpoints before and after the acknowledgement."""

    def acknowledge(self) -> None:
        failpoints.hit(failpoints.Failpoint.ACK)
        super().acknowledge()
        failpoints.hit(failpoints.Failpoint.ACKED)
