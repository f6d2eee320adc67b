"""Classifies database errors as outages that end by themselves or as faults that an operator must fix.

Errors are classified by SQLSTATE (PostgreSQL's manual, appendix A): first by the exact code, then by its
class. Codes that are not listed here are classified by the driver's exception class: operational and
internal errors are outages, because no file can cause them. If a connection cannot be opened, libpq
reports only the server's message and no SQLSTATE. In this case the error is classified by the text of the
message, which works only if the message is in English.
"""

from __future__ import annotations

import re

import psycopg

from sensorflow.adapters.postgres import pooler
from sensorflow.errors import Code, Transient

_EXACT: dict[str, Code | None] = {
    "3D000": Code.DATABASE_LOGIN,  # the database does not exist
    "3F000": Code.SCHEMA,
    "42501": Code.DATABASE_RIGHTS,
    "42P01": Code.SCHEMA,
    "42703": Code.SCHEMA,
    "42704": Code.SCHEMA,
    "42883": Code.SCHEMA,
    "53100": Code.DATABASE_FULL,
    "53400": Code.DATABASE_LIMIT,  # TimescaleDB's code for too many decompressed rows
    "57P04": Code.DATABASE_LOGIN,  # the database was dropped
}
_CLASS: dict[str, Code] = {
    "08": Code.DATABASE,  # connection
    "25": Code.DATABASE,  # read-only: a standby; a transaction that failed earlier, or timed out
    "26": Code.DATABASE,  # a prepared statement that no longer exists
    "28": Code.DATABASE_LOGIN,
    "40": Code.DATABASE,  # deadlock, serialization
    "53": Code.DATABASE,  # resources, too many connections
    "54": Code.DATABASE_LIMIT,
    "55": Code.DATABASE,  # a lock not available, an object in use or not ready
    "57": Code.DATABASE,  # shutdown, cancelled
    "58": Code.DATABASE,  # an I/O error of the server
    "XX": Code.DATABASE,
}
_REFUSED = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|authentication failed"
    r"|role \".*\" does not exist|is not permitted to log in|database \".*\" does not exist|no such user"
    r"|no such database|permission denied for database|certificate authentication failed"
    r"|server does not support SSL|certificate verify failed|does not match host name",
    re.IGNORECASE,
)
_WAITED = "55P03"
"""lock_not_available: a statement has waited for `lock_timeout`."""
_BUSY = "run the command again when the other one has ended, such as retention, an undo or a schema change"
_CONNECTION_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
_HINTS = {
    Code.DATABASE_RIGHTS: "the database user does not have the required role, see `doctor`",
    Code.SCHEMA: "the schema is not up to date: run `sensorflow db upgrade`",
}


def fault_of(cause: BaseException | None) -> Transient | None:
    """Convert an error of psycopg to a Transient. Return None if the statement or its values caused the
    error, or if `cause` is not an error of psycopg."""
    if not isinstance(cause, psycopg.Error):
        return None
    code = _code(cause)
    if code is None:
        return None
    text = line(cause)
    if code is Code.POOLER:
        return pooler.not_in_session_mode(text)
    if cause.sqlstate == _WAITED:
        return Transient(code, f"{text}: another command or process has the lock", do=_BUSY)
    return Transient(code, f"{text}: {_HINTS[code]}" if code in _HINTS else text)


def _code(cause: psycopg.Error) -> Code | None:
    state = cause.sqlstate
    if pooler.is_pooler_error(str(cause)):
        return Code.POOLER
    if state is None:
        if not isinstance(cause, _CONNECTION_ERRORS):
            return None
        return Code.DATABASE_LOGIN if _REFUSED.search(str(cause)) else Code.DATABASE
    if (
        state == "0A000"
    ):  # a prepared statement whose table was altered; the next attempt prepares it again
        return Code.DATABASE if "cached plan" in str(cause) else None
    unlisted = Code.DATABASE if isinstance(cause, _CONNECTION_ERRORS) else None
    return _EXACT.get(state, _CLASS.get(state[:2], unlisted))


def line(error: BaseException) -> str:
    """Return the first line of an error's text, at most 300 characters; the name of its class if the text
    is empty."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
