"""Flower is never open to all: what ``celery -A workers flower`` starts from, unless told otherwise."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sensorflow import bootstrap
from sensorflow.embedded import state
from sensorflow.errors import Misuse
from workers.app import command
from workers.configured import settings


def guard() -> None:
    """Where the command is Flower: a password of ours and the loopback address, as its defaults.

    Here, while the app is imported, for then Flower's options are defined and not yet read: its
    environment (FLOWER_BASIC_AUTH), flowerconfig.py and command line go over what is set here.
    """
    if command() != "flower":
        return
    import flower.options  # noqa: F401 - defines them
    from tornado.options import options

    options.address = "127.0.0.1"
    _keep(options)
    _refuse_other_hosts()
    if not _told():
        options.basic_auth = [_word()]


TASKS = 10_000
"""Tasks that Flower remembers; the oldest go. Each is about 2 KB of memory, and saving them all takes a
third of a second, in which it shows nothing."""
SAVE = 30_000
"""Milliseconds between two savings: a kill loses what came in between."""


def _keep(options: Any) -> None:
    """What it has seen is there again after a restart; what cannot be read is put aside by Flower itself.

    It is read back with pickle: the folder is nobody else's to write. Without a folder it forgets.
    """
    options.max_tasks = TASKS
    folder = history()
    if folder is None:
        return
    options.persistent = True
    options.db = str(folder / "history")
    options.state_save_interval = SAVE


def history() -> Path | None:
    """The folder of Flower's history; None where there can be none."""
    try:
        folder = state.home(settings().data_folder) / "flower"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not os.access(folder, os.W_OK):
            reason = "others may write into it"
        else:
            return folder
    except (OSError, Misuse) as error:
        reason = str(error)
    sys.stderr.write(f"Flower will forget its tasks when it ends: {reason}\n")
    return None


def _refuse_other_hosts() -> None:
    """Answer only to an address, to localhost and to the names of `flower_hosts`.

    A page of somebody else may give its own name our address (DNS rebinding), and would be let read here
    what the browser's user may. Flower has no setting for it.
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
"""The status of RFC 9110, 15.5.20: not for this server."""


def allowed(host: str, names: Collection[str]) -> bool:
    """Whether a request may be for this host. An address is nobody's name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower().rstrip(".") in {"localhost", *map(str.lower, names)}
    return True


def _hosts() -> tuple[str, ...]:
    try:
        return settings().flower_hosts
    except Misuse:
        return ()


def _told() -> bool:
    """Whether somebody says who may come in."""
    given = (word.lstrip("-").partition("=")[0].replace("-", "_") for word in sys.argv[1:])
    named = any(os.environ.get(name) for name in ("FLOWER_BASIC_AUTH", "FLOWER_AUTH"))
    return named or any(name in ("basic_auth", "auth") for name in given)


def _word() -> str:
    try:
        password, where = bootstrap.flower_password(settings())
    except Misuse as error:
        raise SystemExit(f"sensorflow: {error}") from error
    sys.stderr.write(f"Flower asks for user {settings().flower_user} and {where}\n")
    return f"{settings().flower_user}:{password}"
