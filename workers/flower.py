"""Secure defaults for ``celery -A workers flower``: without further configuration, Flower is not open to
everyone."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sensorflow import memory
from sensorflow.embedded import state
from sensorflow.embedded.flower import flower_password
from sensorflow.errors import UsageError
from workers.app import command
from workers.configured import end, settings


def guard() -> None:
    """If the command is Flower, set two defaults: a generated password and the loopback address.

    This runs while the app is imported, when Flower's options are defined but not read yet. The environment
    (FLOWER_BASIC_AUTH), flowerconfig.py and the command line override these defaults.
    """
    if command() != "flower":
        return
    import flower.options  # noqa: F401 - defines them
    from tornado.options import options

    options.address = "127.0.0.1"
    _keep(options)
    _refuse_other_hosts()
    if not _has_authentication():
        options.basic_auth = [_word()]


TASKS = 10_000
"""Maximum number of tasks that Flower remembers; the oldest are dropped. Each uses about 2 KB of memory.
Saving all of them takes a third of a second, during which Flower does not respond."""
SAVE = 30_000
"""Milliseconds between two saves. If Flower is killed, the events since the last save are lost."""


def _keep(options: Any) -> None:
    """Store Flower's history, so that it survives restarts. Flower itself renames a history file that it
    cannot read.

    The history is read with pickle, so nobody else may be allowed to write to its folder. Without such a
    folder, the history is not stored.
    """
    from celery.events.state import Task
    from flower.events import Events

    options.max_tasks = TASKS
    free_at_once(Task)
    folder = history()
    if folder is None:
        return
    save_changes_only(Events)
    options.persistent = True
    options.db = str(folder / "history")
    options.state_save_interval = SAVE


class _SerializerHandlers:
    """The attribute in which each task of Celery keeps three of its own methods."""

    def __get__(self, task: Any, owner: object) -> dict[str, Any]:
        return {
            "children": task._serializable_children,
            "root": task._serializable_root,
            "parent": task._serializable_parent,
        }

    def __set__(self, task: Any, handlers: object) -> None:
        pass


def free_at_once(task: Any) -> None:
    """Make a task that Flower forgets free its memory at once. Otherwise it is in a reference cycle, and
    Python's garbage collector, which looks at all remembered tasks, comes after thousands of them. task:
    Celery's class `Task` of events."""
    task._serializer_handlers = _SerializerHandlers()


def save_changes_only(events: Any) -> None:
    """Make Flower save its history only if a task has changed since the last time. Saving an unchanged
    history every half minute would use more CPU than all else in an idle fleet. events: Flower's class
    `Events`."""
    save = events.save_state

    def save_state(self: Any) -> None:
        latest = max((task.timestamp or 0.0 for task in self.state.tasks.values()), default=0.0)
        if latest != getattr(self, "saved_until", None):
            save(self)
            self.saved_until = latest
            memory.trim_heap()

    events.save_state = save_state


def history() -> Path | None:
    """Returns the folder of Flower's history, or None if there is no safe folder."""
    try:
        folder = state.home(settings().data_folder) / "flower"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not os.access(folder, os.W_OK):
            reason = f"{folder} must belong to this user, and only this user may write to it"
        else:
            return folder
    except (OSError, UsageError) as error:
        reason = str(error)
    sys.stderr.write(f"Flower will forget its tasks when it ends: {reason}\n")
    return None


def _refuse_other_hosts() -> None:
    """Accept requests only if they are addressed to an IP address, to localhost, or to a name in
    `flower_hosts`.

    With DNS rebinding, a malicious web page could resolve its own name to Flower's address, and read
    everything that the browser's user may read. Flower has no setting against this.
    """
    from flower.app import Flower
    from tornado.web import ErrorHandler

    find = Flower.find_handler

    def find_handler(app: Any, request: Any, **kwargs: Any) -> Any:
        if allowed(request.host_name, _hosts()):
            return find(app, request, **kwargs)
        return app.get_handler_delegate(request, ErrorHandler, {"status_code": MISDIRECTED})

    Flower.find_handler = find_handler


MISDIRECTED = 421
"""The status 421 Misdirected Request, RFC 9110, 15.5.20."""


def allowed(host: str, names: Collection[str]) -> bool:
    """Whether a request to this host is allowed. IP addresses are always allowed, because DNS rebinding
    requires a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().rstrip(".") in {"localhost", *map(str.lower, names)}
    return True


def _hosts() -> tuple[str, ...]:
    try:
        return settings().flower_hosts
    except UsageError:
        return ()


def _has_authentication() -> bool:
    """Whether the user has configured authentication for Flower."""
    given = (word.lstrip("-").partition("=")[0].replace("-", "_") for word in sys.argv[1:])
    named = any(os.environ.get(name) for name in ("FLOWER_BASIC_AUTH", "FLOWER_AUTH"))
    return named or any(name in ("basic_auth", "auth") for name in given)


def _word() -> str:
    try:
        password, where = flower_password(settings())
    except UsageError as error:
        end(error)
    sys.stderr.write(f"Flower asks for user {settings().flower_user} and {where}\n")
    return f"{settings().flower_user}:{password}"
