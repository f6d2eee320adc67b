"""Restrict remote control to the commands that Flower needs. Commands that end busy children or make a
worker send messages are refused.

Anyone with access to the broker can broadcast commands. If a command ends a child, the attempt of the
child's file counts, and after three attempts the file is quarantined.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.pidbox import Node

from sensorflow.adapters.queues.celery import QUEUES, task_name
from sensorflow.errors import Code, UsageError
from sensorflow.telemetry import Event, emit

MAX_CHILDREN = 64
"""Maximum number of children that a command may request."""
_ALLOWED_COMMANDS = frozenset(
    (
        *(
            "report",
            "conf",
            "dump_conf",
            "query_task",
            "heartbeat",
            "clock",
            "hello",
            "ping",
            "stats",
        ),
        *("scheduled", "dump_schedule", "reserved", "dump_reserved", "active", "dump_active"),
        *("revoked", "dump_revoked", "registered", "dump_tasks", "active_queues"),
        *("enable_events", "disable_events", "shutdown"),
    )
)
"""Shutdown is allowed, because operators use it, and because the children finish their messages before they
end."""
_SCALING = frozenset(("pool_grow", "pool_shrink", "autoscale"))
_CONSUMING = frozenset(("add_consumer", "cancel_consumer"))
_QUEUES = frozenset(task_name(queue) for queue in QUEUES)
_CLOCK = 1 << 53


def refusal(command: str, arguments: dict[str, Any]) -> str | None:
    """Returns the reason why a command is refused, or None if it is allowed."""
    if command in _SCALING:
        numbers = [value for value in arguments.values() if value is not None]
        if all(type(value) is int and 0 < value <= MAX_CHILDREN for value in numbers):
            return None
        return f"{command} is refused: its numbers must be from 1 to {MAX_CHILDREN}"
    if command in _CONSUMING:
        queue = arguments.get("queue")
        known = isinstance(queue, str) and queue in _QUEUES
        other = any(arguments.get(n) for n in arguments.keys() - {"queue"})
        return (
            None
            if known and not other
            else f"{command} is refused: only our own queues are allowed"
        )
    if command == "revoke" and not arguments.get("terminate"):
        return None
    if command in _ALLOWED_COMMANDS:
        return None
    return f"{command[:50]!a} is refused, see docs/explanation/security.md"


class GuardedNode(Node):  # type: ignore[misc]  # kombu has no types
    def handle_message(self, body: Any, message: Any = None) -> Any:
        try:
            self._check(body, message.headers if message else {})
        except UsageError as error:
            emit(
                Event.MESSAGE_REFUSED, code=str(error.code), queue="commands", reason=error.message
            )
            return None
        return super().handle_message(body, message)

    def _check(self, body: Any, headers: Any) -> None:
        """Raises UsageError for a command that cannot be handled, or whose pattern could take unlimited
        processor time."""
        if not isinstance(body, dict) or not isinstance(headers, dict):
            raise UsageError("a command that is not an object", Code.MESSAGE)
        clock, to = headers.get("clock") or 0, body.get("destination")
        if type(clock) is not int or not 0 <= clock < _CLOCK:
            raise UsageError("a command whose clock is not a number", Code.MESSAGE)
        if to is not None and not (isinstance(to, list) and all(isinstance(n, str) for n in to)):
            raise UsageError("a command whose destination is not a list of names", Code.MESSAGE)
        if body.get("pattern") or body.get("matcher"):
            raise UsageError("a command for a pattern of names", Code.MESSAGE)
        if not isinstance(body.get("method"), str):
            raise UsageError("a command without a name", Code.MESSAGE)
        if not isinstance(body.get("arguments") or {}, dict):
            raise UsageError("a command whose arguments are not an object", Code.MESSAGE)
        self._check_reply(body.get("reply_to"))

    def _check_reply(self, reply: Any) -> None:
        """Raises UsageError unless the reply goes to the regular reply exchange, because sending a reply
        also declares its exchange."""
        if not reply:
            return
        own = isinstance(reply, dict) and reply.get("exchange") == self.mailbox.reply_exchange.name
        if not own or not isinstance(reply.get("routing_key"), str):
            raise UsageError("a command with a foreign reply exchange", Code.MESSAGE)

    def handle(self, method: str, arguments: Any = None) -> Any:
        if reason := refusal(method, arguments or {}):
            emit(Event.COMMAND_REFUSED, reason=reason)
            return {"error": reason}
        return super().handle(method, arguments)


def guard(app: Celery) -> None:
    """Make the workers of `app` apply these checks."""
    app.control.mailbox.node_cls = GuardedNode
