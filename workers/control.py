"""Remote control, as Flower uses it, but for what ends a child at work or makes a worker send messages.

Whoever reaches the broker can broadcast commands. A child that is ended by one would count as an attempt of
its file, and after three the file would be in quarantine.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.pidbox import Node

from sensorflow.adapters.queues.celery import QUEUES, task_name
from sensorflow.errors import Code, Misuse
from sensorflow.telemetry import Event, emit

MOST = 64
"""Children that may be asked for."""
_HARMLESS = frozenset(
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
"""A shutdown is an operator's wish: children finish what they have in hand."""
_SCALING = frozenset(("pool_grow", "pool_shrink", "autoscale"))
_CONSUMING = frozenset(("add_consumer", "cancel_consumer"))
_QUEUES = frozenset(task_name(queue) for queue in QUEUES)
_CLOCK = 1 << 53


def refusal(command: str, arguments: dict[str, Any]) -> str | None:
    """Why a command is refused; None when it is not."""
    if command in _SCALING:
        numbers = [value for value in arguments.values() if value is not None]
        if all(type(value) is int and 0 < value <= MOST for value in numbers):
            return None
        return f"{command} is refused: numbers from 1 to {MOST} only"
    if command in _CONSUMING:
        queue = arguments.get("queue")
        known = isinstance(queue, str) and queue in _QUEUES
        other = any(arguments.get(n) for n in arguments.keys() - {"queue"})
        return None if known and not other else f"{command} is refused: only for our own queues"
    if command == "revoke" and not arguments.get("terminate"):
        return None
    if command in _HARMLESS:
        return None
    return f"{command[:50]!a} is refused, see docs/explanation/security.md"


class Guarded(Node):  # type: ignore[misc]  # kombu has no types
    def handle_message(self, body: Any, message: Any = None) -> Any:
        try:
            self._check(body, message.headers if message else {})
        except Misuse as error:
            emit(
                Event.MESSAGE_REFUSED, code=str(error.code), queue="commands", reason=error.message
            )
            return None
        return super().handle_message(body, message)

    def _check(self, body: Any, headers: Any) -> None:
        """Raises Misuse for what could not be handled, or what a pattern could keep busy for ever."""
        if not isinstance(body, dict) or not isinstance(headers, dict):
            raise Misuse("a command that is no object", Code.MESSAGE)
        clock, to = headers.get("clock") or 0, body.get("destination")
        if type(clock) is not int or not 0 <= clock < _CLOCK:
            raise Misuse("a command whose clock is no number", Code.MESSAGE)
        if to is not None and not (isinstance(to, list) and all(isinstance(n, str) for n in to)):
            raise Misuse("a command whose destination is no list of names", Code.MESSAGE)
        if body.get("pattern") or body.get("matcher"):
            raise Misuse("a command for a pattern of names", Code.MESSAGE)
        if not isinstance(body.get("method"), str):
            raise Misuse("a command without a name", Code.MESSAGE)
        if not isinstance(body.get("arguments") or {}, dict):
            raise Misuse("a command whose arguments are no object", Code.MESSAGE)
        self._check_reply(body.get("reply_to"))

    def _check_reply(self, reply: Any) -> None:
        """The exchange of a reply is declared: it may only be the one that is there for that."""
        if not reply:
            return
        own = isinstance(reply, dict) and reply.get("exchange") == self.mailbox.reply_exchange.name
        if not own or not isinstance(reply.get("routing_key"), str):
            raise Misuse("a command that wants its reply elsewhere", Code.MESSAGE)

    def handle(self, method: str, arguments: Any = None) -> Any:
        if reason := refusal(method, arguments or {}):
            emit(Event.COMMAND_REFUSED, reason=reason)
            return {"error": reason}
        return super().handle(method, arguments)


def guard(app: Celery) -> None:
    """Have the workers of `app` handle commands so."""
    app.control.mailbox.node_cls = Guarded
