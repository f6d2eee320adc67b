"""Error codes, remedies and exception classes.

The code that raises a failure classifies it as `Transient` (retry; the file is not at fault) or as
`Permanent` (the file cannot be loaded as it is). A `UsageError` is a user's mistake in a command or a
setting.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sensorflow.escaping import escape, escape_all


class Code(StrEnum):
    """The error codes, which never change. F1xx: errors of rows and cells. F2xx: errors of files. I5xx:
    failures of the infrastructure. S0xx: mistakes of users."""

    # rows and cells
    COLUMN_COUNT = "F101 column-count"
    TIMESTAMP_MISSING = "F102 timestamp-missing"
    TIMESTAMP_UNREADABLE = "F103 timestamp-unreadable"
    TIMESTAMP_OUT_OF_RANGE = "F104 timestamp-out-of-range"
    TIMESTAMP_NONEXISTENT = "F105 timestamp-nonexistent"
    TIMESTAMP_AMBIGUOUS = "F106 timestamp-ambiguous"
    TIMESTAMP_NO_ZONE = "F107 timestamp-no-zone"
    TIMESTAMP_RELATIVE = "F108 timestamp-relative"
    TIMESTAMP_OUTSIDE = "F109 timestamp-outside-bounds"
    VALUE_NOT_A_NUMBER = "F111 value-not-a-number"
    VALUE_NOT_REPRESENTABLE = "F112 value-not-representable"
    VALUE_NOT_FINITE = "F113 value-not-finite"
    SENSOR_MISSING = "F121 sensor-missing"
    TYPE_MISSING = "F122 reading-type-missing"
    NOTHING_MEASURED = "F123 nothing-measured"
    RULE_REQUIRED = "F151 required-missing"
    RULE_INTEGER = "F152 not-an-integer"
    RULE_RANGE = "F153 out-of-range"
    RULE_UNIT = "F154 unit-not-allowed"
    RULE_ALLOWED = "F155 value-not-allowed"
    RULE_FUTURE = "F156 in-the-future"
    RULE_MONOTONIC = "F157 not-monotonic"
    QUALITY_REFUSED = "F158 quality-refused"
    NUL_BYTE = "F131 nul-byte"
    INVALID_UTF8 = "F132 invalid-utf8"
    MALFORMED_ROW = "F141 malformed-row"
    CHECKSUM = "F142 checksum-wrong"
    # whole files
    EMPTY = "F201 file-empty"
    COLUMN_MISSING = "F202 column-missing"
    UNREADABLE = "F203 file-unreadable"
    TOO_MANY_REJECTS = "F204 too-many-rejects"
    BYTES_CHANGED = "F205 landed-bytes-changed"
    VERSION_REFUSED = "F206 version-refused"
    CRASHED = "F207 worker-crashed"
    LINE_TOO_LONG = "F208 line-too-long"
    SOURCE_UNKNOWN = "F209 source-unknown"
    TOO_LARGE = "F210 decompressed-too-large"
    DRIFT = "F211 columns-drifted"
    TOO_MANY_COLUMNS = "F212 too-many-columns"
    TOO_MANY_ROWS = "F213 too-many-rows"
    TOO_DEEP = "F214 too-deep"
    TOO_SLOW = "F215 too-slow"
    ARCHIVE = "F216 archive-refused"
    OUT_OF_MEMORY = "F217 out-of-memory"
    NAME_TAKEN = "F218 name-taken"
    TOO_MANY_MONTHS = "F219 too-many-months"
    TOO_MANY_CELLS = "F220 too-many-cells"
    PATTERN_TOO_SLOW = "F221 pattern-too-slow"
    HEADER_ROWS = "F222 header-rows-unequal"
    DOCTYPE = "F226 doctype-refused"
    GATE_MISMATCH = "F223 gate-mismatch"
    UNEXPECTED = "F299 unexpected-error"
    # infrastructure
    DATABASE = "I501 database-unavailable"
    BROKER = "I502 broker-unavailable"
    STORAGE = "I503 storage-unavailable"
    FENCED = "I504 lease-lost"
    DATABASE_FULL = "I505 database-full"
    INDEX_DIFFERS = "I506 dedupe-index-differs"
    INTAKE_LOST = "I507 intake-lease-lost"
    POOLER = "I508 pooler-not-in-session-mode"
    DATABASE_LOGIN = "I509 database-login-refused"
    DATABASE_RIGHTS = "I510 database-rights-missing"
    SCHEMA = "I511 schema-outdated"
    DATABASE_LIMIT = "I512 database-limit"
    DISK_RESERVE = "I513 disk-reserve-reached"
    NOT_OWNED = "I514 location-of-another-project"
    HOST = "I520 host-refuses"
    # use
    SETTINGS = "S001 settings"
    COMMAND = "S002 command"
    MESSAGE = "S003 message-refused"

    @property
    def number(self) -> int:
        """The number of the code, for example 104 for `F104`. No two codes have the same number."""
        return int(self[1:4])

    @classmethod
    def of(cls, number: int) -> Code:
        """Return the code that has the number `number`."""
        return _NUMBERED[number]


_NUMBERED = {code.number: code for code in Code}


REMEDY: dict[Code, str] = {
    Code.EMPTY: "check the logger; put the file into the drop folder again when it has content",
    Code.COLUMN_MISSING: "correct the profile's column names in sensorflow.toml, then replay the file",
    Code.UNREADABLE: "request the file again from its sender; the bytes received are kept",
    Code.TOO_MANY_REJECTS: "check the rejected rows; correct the profile or raise max_rejects, then replay",
    Code.BYTES_CHANGED: "check the disk or bucket of the landing zone; put the file into the drop folder "
    "again",
    Code.VERSION_REFUSED: "the source refuses changed files; set on_change or rename the file, then replay",
    Code.CRASHED: "the file crashed its worker on every attempt; check the worker's log, then replay",
    Code.LINE_TOO_LONG: "check that this is a text file with line ends; if so, raise max_line, then replay",
    Code.SOURCE_UNKNOWN: "put the source back into sensorflow.toml, then replay",
    Code.TOO_LARGE: "if the file is legitimate, raise max_decompressed, then replay",
    Code.DRIFT: 'correct the profile, or set the source\'s drift to "ignore" or "rescue", then replay',
    Code.TOO_MANY_COLUMNS: "check the delimiter; or, if the file is legitimate, raise max_columns; "
    "then replay",
    Code.TOO_MANY_ROWS: "if the file is legitimate, raise max_rows or max_rows_per_byte, then replay",
    Code.TOO_DEEP: "if the file is legitimate, raise max_nesting or max_record, then replay",
    Code.TOO_SLOW: "if the file is legitimate, raise max_seconds, then replay",
    Code.ARCHIVE: "select one file with member, or set unpack = true for the source, then replay; or "
    "put the files of the archive into the drop folder",
    Code.OUT_OF_MEMORY: "split the file, or raise max_memory if the host has enough memory, then replay",
    Code.NAME_TAKEN: "the names of two files in the folder differ only in their Unicode normalization "
    "(NFC, NFD): rename one of them, or remove the one that is not wanted",
    Code.TOO_MANY_MONTHS: "check that the times are read correctly (time.format, earliest); "
    "if the file is legitimate, raise the source's sparse_months or new_months, then replay",
    Code.TOO_MANY_CELLS: "delete the cells far from the table; or, if the file is legitimate, raise "
    "max_cells; then replay",
    Code.PATTERN_TOO_SLOW: "simplify the pattern in sensorflow.toml: avoid nested repeats such as (a+)+, "
    "use [^;]* instead of .*, start it with ^; then replay",
    Code.HEADER_ROWS: 'set align to "left" or "right" in the profile, or correct header, delimiter or '
    "skip, then replay",
    Code.DOCTYPE: "ask the sender to omit the <!DOCTYPE …>, or remove it; then put the file into the drop "
    "folder again",
    Code.GATE_MISMATCH: "the file differs from what its gate announced: request both again from the "
    "sender. If the file is right and the gate is wrong, put the file into the drop folder again, with a "
    "correct gate",
    Code.UNEXPECTED: "this is a defect in sensorflow: report it with the manifest, then replay",
    Code.DATABASE_FULL: "free space on the database's disk; work resumes automatically",
    Code.DISK_RESERVE: "free space on this disk, or set min_free to a smaller reserve; work resumes "
    "automatically",
    Code.POOLER: "set the pooler in front of the database to session mode (PgBouncer: "
    "pool_mode = session), or point database_url at the server itself; then restart daemon, workers and "
    "beat",
    Code.DATABASE_LOGIN: "correct the user, password or database in database_url, or the server's "
    "pg_hba.conf; then restart daemon, workers and beat",
    Code.DATABASE_RIGHTS: "`sensorflow db roles` prints the grants that the database user needs: pipe them "
    "to psql as an administrator; work resumes automatically",
    Code.SCHEMA: "run `sensorflow db upgrade`; work resumes automatically",
    Code.DATABASE_LIMIT: "raise the limit that the message names in the database; "
    "work resumes automatically",
    Code.NOT_OWNED: "set another location in [storage], and restart; or, if the data there belongs to this "
    "project, see `sensorflow storage claim --help`",
    Code.HOST: "correct the cause in the message: allow more memory or threads (ulimit -v, -u), reduce "
    "workers, or install the missing package; work resumes automatically",
    Code.INDEX_DIFFERS: "run `sensorflow db upgrade`, or correct dedupe_index and restart",
}


ROW_REMEDY: dict[Code, str] = {
    Code.COLUMN_COUNT: 'check delimiter and quote; set short_rows = "missing" if trailing cells are '
    'omitted, align = "right" or names if the header lacks a title, long_rows = "ignore" to drop the '
    "cells after the last title",
    Code.TIMESTAMP_MISSING: "set fill_down if only the first row of each group has the time",
    Code.TIMESTAMP_UNREADABLE: "correct time.format; add time zone abbreviations to time.zones",
    Code.TIMESTAMP_OUT_OF_RANGE: "correct time.format, or the logger's clock",
    Code.TIMESTAMP_NONEXISTENT: "set time.nonexistent, or set time.zone to a fixed offset",
    Code.TIMESTAMP_AMBIGUOUS: 'set time.ambiguous, for example to "order"',
    Code.TIMESTAMP_NO_ZONE: 'set time.zone, for example to "Europe/Berlin"',
    Code.TIMESTAMP_RELATIVE: "configure the logger to send a base time",
    Code.TIMESTAMP_OUTSIDE: "correct the logger's clock, or earliest and latest of the source or profile",
    Code.VALUE_NOT_A_NUMBER: "add the text to missing or values; for other number notations set decimal, "
    "thousands or clean",
    Code.VALUE_NOT_FINITE: "add the text to missing if it means that there is no value",
    Code.SENSOR_MISSING: "correct sensor: its column is empty here, or its pattern does not match",
    Code.TYPE_MISSING: "correct type: its column is empty here",
    Code.NOTHING_MEASURED: "correct records, or the names in columns",
    Code.NUL_BYTE: 'set encoding, for example to "utf-16"; NULs at the end of a file are preallocated '
    "space that the logger has not written yet",
    Code.INVALID_UTF8: 'set encoding, for example to "cp1252" or "latin-1"',
    Code.CHECKSUM: "check the transmission from the logger; if the lines have no checksum, remove checksum "
    "from the profile",
    Code.MALFORMED_ROW: 'set quote = "" if quote characters have no special meaning',
    Code.RULE_UNIT: "add other names of a unit to units",
}
"""Advice for rejected rows, by code. The settings that the texts name are keys of the profile, unless the
text says otherwise."""
DOCUMENT = (
    'set format = "json" if the file is one JSON document, "csv" if it is a table; `sensorflow sniff` '
    "proposes a profile"
)
DECODER = (
    "correct format if the lines have a different format: `sensorflow sniff` proposes a profile"
)


def row_remedy(code: Code, form: str = "") -> str:
    """Return advice for rows that were rejected with `code`; "" if there is none. form: the format of the
    profile, such as "csv"."""
    if code is Code.MALFORMED_ROW and form == "jsonl":
        return DOCUMENT
    if code is Code.MALFORMED_ROW and form in ("influx", "nem12", "senml"):
        return DECODER
    return ROW_REMEDY.get(code, "")


DO = "do"
"""The key in `SensorflowError.place` under which an error stores a remedy of its own, which replaces the
remedy of its code."""


LOST = "lost"
"""The key in `SensorflowError.place` under which an error stores the name of a landed object that does not
exist although its store is available. No retry helps until somebody stores the object again."""


CAUSE = "cause"
"""The key in the stored place of an error under which the ledger keeps the error for which a file is
quarantined: a dictionary with the keys "code", "detail" and "place". The quarantine has failed so far."""


def quarantine_reason(
    code: str, message: str, place: dict[str, Any]
) -> tuple[str, str, dict[str, Any]]:
    """Return the error for which a file is quarantined: (code, message, place). The arguments are the error
    that the ledger has stored; see `CAUSE`."""
    if (cause := place.get(CAUSE)) is None:
        return code, message, place
    return cause["code"], cause["detail"], cause["place"] or {}


OUTAGE_CODES = frozenset(
    {
        Code.POOLER,
        Code.DATABASE_LOGIN,
        Code.DATABASE_RIGHTS,
        Code.SCHEMA,
        Code.DATABASE_LIMIT,
        Code.INDEX_DIFFERS,
        Code.NOT_OWNED,
    }
)
"""Codes of failures that last until somebody changes the database or the settings. Files with such a
failure are retried at long intervals."""


class SensorflowError(Exception):
    """The base class of all errors of sensorflow.

    code: the error code. message: the message without the code. place: further fields, such as the line
    and the column of the file. The constructor escapes non-printable characters in message and place,
    because both may quote a file and are shown in terminals and logs. Errors can be pickled.
    """

    _unescaped = "\n"

    def __init__(self, code: Code, message: str, **place: Any) -> None:
        message = escape(message, keep=self._unescaped)
        place = escape_all(place)
        super().__init__(code, message, place)
        self.code = code
        self.message = message
        self.place = {name: value for name, value in place.items() if value is not None}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.place))

    @property
    def remedy(self) -> str:
        """Advice on how to fix this failure: the error's own remedy (see `DO`), or else the remedy of its
        code; "" if there is neither."""
        return str(self.place.get(DO) or REMEDY.get(self.code, ""))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def __repr__(self) -> str:
        """Return the same as `str()`, because Flower shows the repr of the error of a failed task."""
        return str(self)


def _rebuild(
    kind: type[SensorflowError], code: Code, message: str, place: dict[str, Any]
) -> SensorflowError:
    return kind(code, message, **place)


class Transient(SensorflowError):
    """A failure of the infrastructure and not of the file. A retry may help. The failed attempt does not
    count against the maximum number of attempts."""


class PermissionMissing(Transient):
    """Raised if a store refuses an operation for which the credentials lack a permission. Others may work.
    `place` contains the refused operation, such as "write", under the key "operation"."""


def unexpected(error: Exception) -> Transient:
    """Convert an exception that only a bug can cause to a `Transient`. Used by loops that log the error
    and continue."""
    return Transient(Code.UNEXPECTED, f"{type(error).__name__}: {error}")


class Fenced(Transient):
    """Raised if another worker has acquired the lease of a file. The worker that gets this error must not
    commit its work."""

    def __init__(self, message: str, **place: Any) -> None:
        super().__init__(Code.FENCED, message, **place)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_fenced, (self.message, self.place))


def _rebuild_fenced(message: str, place: dict[str, Any]) -> Fenced:
    return Fenced(message, **place)


class IntakeLost(Transient):
    """Raised if another daemon has acquired the intake lease of a source. The daemon that gets this error
    must not register files of the source."""

    def __init__(self, message: str, **place: Any) -> None:
        super().__init__(Code.INTAKE_LOST, message, **place)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_intake_lost, (self.message, self.place))


def _rebuild_intake_lost(message: str, place: dict[str, Any]) -> IntakeLost:
    return IntakeLost(message, **place)


class Permanent(SensorflowError):
    """A failure that a retry cannot fix: the file cannot be loaded as it is, and is quarantined."""

    _unescaped = (
        ""  # escape newlines too: a quoted line of a file must not look like a line of the output
    )


class DecoderFailed(Permanent):
    """A decoder that an installed package adds has failed, possibly because of a bug in that package.
    Unlike after other permanent failures, the file is retried. It is quarantined after the maximum number
    of attempts."""


class FormerName(FutureWarning):
    """A warning that a setting or command is used under its former name. The next version will not accept
    this name. The command line prints the text of the warning as one line on stderr."""


class UsageError(SensorflowError):
    """A user's mistake in a command or a setting. `str()` returns the message for the user, without the
    code."""

    def __init__(self, message: str, code: Code = Code.COMMAND, **place: Any) -> None:
        super().__init__(code, message, **place)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_usage_error, (self.message, self.code, self.place))

    def __str__(self) -> str:
        return self.message


def _rebuild_usage_error(message: str, code: Code, place: dict[str, Any]) -> UsageError:
    return UsageError(message, code, **place)
