"""Flower is never open to all: what ``celery -A workers flower`` starts from, unless told otherwise."""

from __future__ import annotations

import os
import sys

from sensorflow import bootstrap
from sensorflow.errors import Misuse
from workers.app import command


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
    if not _told():
        options.basic_auth = [_word()]


def _told() -> bool:
    """Whether somebody says who may come in."""
    given = (word.lstrip("-").partition("=")[0].replace("-", "_") for word in sys.argv[1:])
    named = any(os.environ.get(name) for name in ("FLOWER_BASIC_AUTH", "FLOWER_AUTH"))
    return named or any(name in ("basic_auth", "auth") for name in given)


def _word() -> str:
    try:
        settings = bootstrap.settings()
        password, where = bootstrap.flower_password(settings)
    except Misuse as error:
        raise SystemExit(f"sensorflow: {error}") from error
    sys.stderr.write(f"Flower asks for user {settings.flower_user} and {where}\n")
    return f"{settings.flower_user}:{password}"
