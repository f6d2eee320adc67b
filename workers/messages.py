"""Rebuild each message from the fields that sensorflow's publisher and beat send, and discard everything
else.

Anyone with access to the broker can send any message, and Celery acts on much of its content. A time limit
ends a busy child, callbacks and chains make it send messages anywhere, and an unexpected type ends the
worker. Therefore, each message is rebuilt from the few required fields before Celery processes it.
"""

from __future__ import annotations

import json
from typing import Any

from kombu.utils.json import loads

from sensorflow.adapters.queues.celery import QUEUES, RETAIN, SWEEP, TASKS, task_name
from sensorflow.core.states import WORK
from sensorflow.errors import Code, UsageError

MAX_MESSAGE_BYTES = 1 << 20
"""Maximum size of a message in bytes. Regular messages have a few thousand."""
_DEPTH = 10
"""Maximum nesting of the arguments. Regular messages have three levels."""
_LONGEST = 2000
_NAMES = frozenset(task_name(task) for task in TASKS)
_HOUSEKEEPING = frozenset((task_name(SWEEP), task_name(RETAIN)))
_LINKS = frozenset(task_name(stage) for stage in WORK)
_QUEUES = frozenset(task_name(queue) for queue in QUEUES)
_SHOWN = ("argsrepr", "kwargsrepr", "origin", "root_id", "parent_id")


def own(message: Any) -> None:
    """Rebuild a kombu message in place from its known fields. Raises UsageError MESSAGE if the message is
    not valid."""
    headers, properties = message.headers, message.properties
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        raise UsageError("headers or properties that are not objects", Code.MESSAGE)
    task = headers.get("task")
    if not isinstance(task, str):
        raise UsageError("a message without the name of a task", Code.MESSAGE)
    if task not in _NAMES:
        raise UsageError(f"an unregistered task {task[:100]!a}", Code.MESSAGE)
    if not _short(headers.get("id"), 100):
        raise UsageError("a message without an id", Code.MESSAGE)
    args, kwargs, embed = _body(message)
    if len(args) != (task not in _HOUSEKEEPING) or kwargs:  # the task validates the content
        raise UsageError("arguments that this task does not take", Code.MESSAGE)
    chain = _chain(embed, args)
    message.headers = _headers(headers, task)
    # fields that request a reply or an order are left out
    message.properties = {"correlation_id": headers["id"], "priority": 0}
    message.body = json.dumps((args, kwargs, _embed(chain))).encode()
    message._decoded_cache = [args, kwargs, _embed(chain)]


def _headers(given: dict[str, Any], task: str) -> dict[str, Any]:
    shown = {name: given[name] for name in _SHOWN if _short(given.get(name), _LONGEST)}
    # a file's message never expires; housekeeping messages do, so that they do not pile up
    expires = given.get("expires") if task in _HOUSEKEEPING else None
    expires = expires if _short(expires, 40) else None
    fixed = {"lang": "py", "task": task, "id": given["id"], "retries": 0}
    return {**fixed, **shown, "expires": expires}


def _body(message: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    if (message.content_type, message.content_encoding) != ("application/json", "utf-8"):
        kind = f"{message.content_type!a} in {message.content_encoding!a}"[:100]
        raise UsageError(f"untrusted content of type {kind}", Code.MESSAGE)
    if len(message.body or b"") > MAX_MESSAGE_BYTES:
        raise UsageError("a message that is too large", Code.MESSAGE)
    try:
        args, kwargs, embed = loads(bytes(message.body))
    except Exception as error:  # kombu's decoder also builds dates and other objects
        raise UsageError(
            "the body is not a JSON list of arguments, keyword arguments and options",
            Code.MESSAGE,
        ) from error
    if not (isinstance(args, list) and isinstance(kwargs, dict) and isinstance(embed, dict)):
        raise UsageError(
            "the body is not a list of arguments, keyword arguments and options", Code.MESSAGE
        )
    if _deeper(args, _DEPTH) or _deeper(kwargs, _DEPTH):
        raise UsageError("arguments that are nested too deeply", Code.MESSAGE)
    return args, kwargs, embed


def _deeper(value: Any, levels: int) -> bool:
    """Whether a value has more than `levels` levels of nesting. JSON can express deeper nesting than pickle
    can."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_deeper(part, levels - 1) for part in inner)


def _embed(chain: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {"callbacks": None, "errbacks": None, "chord": None, "chain": chain}


def _chain(embed: dict[str, Any], args: list[Any]) -> list[dict[str, Any]] | None:
    """Returns the messages of the following stages of the same file. Raises UsageError if the message
    requests any other message."""
    if any(embed.get(name) for name in ("callbacks", "errbacks", "chord")):
        raise UsageError("a message with callbacks", Code.MESSAGE)
    links = embed.get("chain")
    if not links:
        return None
    if not isinstance(links, list) or len(links) >= len(WORK):
        raise UsageError("a chain with other tasks than the stages of a file", Code.MESSAGE)
    return [_link(link, args) for link in links]


def _link(link: Any, args: list[Any]) -> dict[str, Any]:
    options = link.get("options") if isinstance(link, dict) else None
    if not isinstance(options, dict) or not _one_of(link.get("task"), _LINKS):
        raise UsageError("a chain with other tasks than the stages of a file", Code.MESSAGE)
    shown = ("argsrepr", "kwargsrepr", "task_id")
    shown_options = {name: options[name] for name in shown if _short(options.get(name), _LONGEST)}
    for name in ("queue", "routing_key"):
        if _one_of(options.get(name), _QUEUES):
            shown_options[name] = options[name]
    fixed: dict[str, Any] = {"kwargs": {}, "subtask_type": None, "immutable": True}
    return {**fixed, "task": link["task"], "args": args, "options": shown_options}


def _one_of(value: Any, names: frozenset[str]) -> bool:
    return isinstance(value, str) and value in names


def _short(value: Any, length: int) -> bool:
    """Whether a value is a printable string of at most `length` characters."""
    return isinstance(value, str) and 0 < len(value) <= length and value.isprintable()
