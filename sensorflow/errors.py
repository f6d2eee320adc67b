"""Every way in which sensorflow can fail, with a stable code and what to do next.

A failure is `Transient` (try again, the file is not to blame) or `Permanent` (the file cannot be
loaded as it is) where it is raised. `Misuse` is a person's mistake in a command or a setting.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sensorflow.shown import shown, shown_in


class Code(StrEnum):
    """Stable codes. F1xx: one row or cell; F2xx: a whole file; I5xx: the infrastructure; S: use."""

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
    HOST = "I520 host-refuses"
    # use
    SETTINGS = "S001 settings"
    COMMAND = "S002 command"
    MESSAGE = "S003 message-refused"

    @property
    def number(self) -> int:
        """The digits, which no other code has."""
        return int(self[1:4])

    @classmethod
    def of(cls, number: int) -> Code:
        """The code of a `number`."""
        return _NUMBERED[number]


_NUMBERED = {code.number: code for code in Code}


REMEDY: dict[Code, str] = {
    Code.EMPTY: "check the logger; drop the file again when it has content",
    Code.COLUMN_MISSING: "mend the profile's column names in sensorflow.toml, then replay the file",
    Code.UNREADABLE: "request the file again from its sender; the bytes received are kept",
    Code.TOO_MANY_REJECTS: "look at the rejected rows; mend the profile or raise max_rejects, then replay",
    Code.BYTES_CHANGED: "check the disk below the landing folder; drop the file again",
    Code.VERSION_REFUSED: "the source refuses changed files; set on_change or rename the file, then replay",
    Code.CRASHED: "the file ended its worker each time; look at the worker's log, then replay",
    Code.LINE_TOO_LONG: "check that this is a text file with line ends; raise max_line, then replay",
    Code.SOURCE_UNKNOWN: "put the source back into sensorflow.toml, then replay",
    Code.TOO_LARGE: "raise max_decompressed if the file is honest, then replay",
    Code.DRIFT: "mend the profile, or set the source's drift to ignore or rescue, then replay",
    Code.TOO_MANY_COLUMNS: "check the delimiter; raise max_columns if the file is honest, then replay",
    Code.TOO_MANY_ROWS: "raise max_rows, or max_rows_per_byte, if the file is honest, then replay",
    Code.TOO_DEEP: "raise max_nesting or max_record if the file is honest, then replay",
    Code.TOO_SLOW: "raise max_seconds if the file is honest, then replay",
    Code.ARCHIVE: "name the one file by member, or set unpack = true for the source, then replay; or drop "
    "the files themselves",
    Code.OUT_OF_MEMORY: "split the file, or raise max_memory if the host has it, then replay",
    Code.NAME_TAKEN: "the names of two files in the folder differ only in how their letters are encoded "
    "(NFC, NFD): rename one of them, or remove the one that is not wanted",
    Code.TOO_MANY_MONTHS: "are its times read rightly? See time.format and the source's earliest; raise "
    "the source's sparse_months or new_months if the file is honest, then replay",
    Code.TOO_MANY_CELLS: "clear what lies far from the table, or raise max_cells if the file is honest, "
    "then replay",
    Code.PATTERN_TOO_SLOW: "make the pattern plainer in sensorflow.toml: no repeat within a repeat as in "
    "(a+)+, [^;]* in place of .*, ^ at its begin; then replay",
    Code.HEADER_ROWS: 'set align to "left" or "right" in the profile, or correct header, delimiter or '
    "skip, then replay",
    Code.DOCTYPE: "have the sender leave the <!DOCTYPE …> out, or remove it, then drop the file again",
    Code.GATE_MISMATCH: "request the file and its gate again from the sender: what arrived is not what it "
    "announced. If the file is right and the gate wrong, drop both again with the right gate",
    Code.UNEXPECTED: "a defect of sensorflow: keep the manifest and report it, then replay",
    Code.DATABASE_FULL: "make room on the database's disk; work resumes by itself",
    Code.POOLER: "set the pooler in front of the database to session mode (PgBouncer: "
    "pool_mode = session), or let database_url lead to the server itself; then start daemon, workers and "
    "beat again",
    Code.DATABASE_LOGIN: "correct the user, password or database in database_url, or the server's "
    "pg_hba.conf, then start daemon, workers and beat again",
    Code.DATABASE_RIGHTS: "`sensorflow db roles` prints the grants this user needs: pipe them to psql as "
    "an administrator; work resumes by itself",
    Code.SCHEMA: "run `sensorflow db upgrade`; work resumes by itself",
    Code.DATABASE_LIMIT: "raise the limit that the message names at the database; work resumes by itself",
    Code.HOST: "give this host what the message names: more memory or threads (ulimit -v, -u) or fewer "
    "workers, or the package again; work resumes by itself",
    Code.INDEX_DIFFERS: "run `sensorflow db upgrade`, or set dedupe_index right and start again",
}


ROW_REMEDY: dict[Code, str] = {
    Code.COLUMN_COUNT: 'look at delimiter and quote; short_rows = "missing" where cells at the end are '
    'left out; align = "right" or names where the header lacks a title; long_rows = "ignore" where what '
    "follows the last title is not wanted",
    Code.TIMESTAMP_MISSING: "fill_down where the time stands in the first row of several alone",
    Code.TIMESTAMP_UNREADABLE: "correct time.format; an abbreviation of a zone goes into time.zones",
    Code.TIMESTAMP_OUT_OF_RANGE: "correct time.format, or the logger's clock",
    Code.TIMESTAMP_NONEXISTENT: "set time.nonexistent, or a fixed offset as time.zone",
    Code.TIMESTAMP_AMBIGUOUS: 'set time.ambiguous, for example to "order"',
    Code.TIMESTAMP_NO_ZONE: 'set time.zone, as in zone = "Europe/Berlin"',
    Code.TIMESTAMP_RELATIVE: "let the logger send a base time",
    Code.TIMESTAMP_OUTSIDE: "correct the logger's clock, or the source's earliest and latest",
    Code.VALUE_NOT_A_NUMBER: "name the text in missing or values; decimal, thousands and clean read other "
    "ways to write a number",
    Code.VALUE_NOT_FINITE: "name it in missing if it stands for nothing",
    Code.SENSOR_MISSING: "correct sensor: its column or pattern gives nothing here",
    Code.TYPE_MISSING: "correct type: its column gives nothing here",
    Code.NOTHING_MEASURED: "correct records, or the names in columns",
    Code.NUL_BYTE: 'set encoding, for example to "utf-16"; NULs at a file\'s end are space that the logger '
    "has not written yet",
    Code.INVALID_UTF8: 'set encoding, for example to "cp1252" or "latin-1"',
    Code.CHECKSUM: "look at the line between logger and file; leave checksum out where lines have none",
    Code.MALFORMED_ROW: 'quote = "" where quotes are none',
    Code.RULE_UNIT: "another name of a unit goes into units",
}
"""What to change for rejected rows, in the profile unless it says otherwise."""
DOCUMENT = (
    'format = "json" if the file is one JSON document, "csv" if it is a table; `sensorflow sniff` proposes '
    "a profile for it"
)
DECODER = "correct format if the lines are of another one: `sensorflow sniff` proposes a profile"


def row_remedy(code: Code, form: str = "") -> str:
    """What to change for rows that are rejected with a code; "" if nothing helps. form: the format."""
    if code is Code.MALFORMED_ROW and form == "jsonl":
        return DOCUMENT
    if code is Code.MALFORMED_ROW and form in ("influx", "nem12", "senml"):
        return DECODER
    return ROW_REMEDY.get(code, "")


DO = "do"
"""The key of a failure's place under which it says what to do, where that depends on the cause."""


LASTING = frozenset(
    {
        Code.POOLER,
        Code.DATABASE_LOGIN,
        Code.DATABASE_RIGHTS,
        Code.SCHEMA,
        Code.DATABASE_LIMIT,
        Code.INDEX_DIFFERS,
    }
)
"""What no waiting cures: somebody must change something at the database. Retried all the same, seldom."""


class SensorflowError(Exception):
    """A failure with a code and a place. Survives pickling, so that it can cross processes.

    What a file holds and its message tells goes to terminals and logs: it is escaped here, once.
    """

    _kept = "\n"

    def __init__(self, code: Code, message: str, **place: Any) -> None:
        message = shown(message, keep=self._kept)
        place = shown_in(place)
        super().__init__(code, message, place)
        self.code = code
        self.message = message
        self.place = {name: value for name, value in place.items() if value is not None}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.place))

    @property
    def remedy(self) -> str:
        """What to do: by the cause, where it was known when this was raised, or else by the code. "" where
        that is not known either."""
        return str(self.place.get(DO) or REMEDY.get(self.code, ""))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def __repr__(self) -> str:
        """What Flower shows of a failed task."""
        return str(self)


def _rebuild(
    kind: type[SensorflowError], code: Code, message: str, place: dict[str, Any]
) -> SensorflowError:
    return kind(code, message, **place)


class Transient(SensorflowError):
    """Trying again may help: the infrastructure is to blame, not the file, and no attempt is burned."""


def unexpected(error: Exception) -> Transient:
    """A defect, as a loop that goes on reports what it waits for."""
    return Transient(Code.UNEXPECTED, f"{type(error).__name__}: {error}")


class Fenced(Transient):
    """The lease was lost to somebody else: whatever was done must not be committed."""

    def __init__(self, message: str, **place: Any) -> None:
        super().__init__(Code.FENCED, message, **place)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_fenced, (self.message, self.place))


def _rebuild_fenced(message: str, place: dict[str, Any]) -> Fenced:
    return Fenced(message, **place)


class IntakeLost(Transient):
    """Another daemon has taken over the intake of a source: nothing of it may be registered here."""

    def __init__(self, message: str, **place: Any) -> None:
        super().__init__(Code.INTAKE_LOST, message, **place)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_intake_lost, (self.message, self.place))


def _rebuild_intake_lost(message: str, place: dict[str, Any]) -> IntakeLost:
    return IntakeLost(message, **place)


class Permanent(SensorflowError):
    """The file cannot be loaded as it is: quarantine."""

    _kept = ""  # a line of a file looks like none of ours


class DecoderFailed(Permanent):
    """The decoder of another package has failed, whose defect it may be: a worker tries again, each attempt
    counts, and the last one quarantines."""


class Misuse(SensorflowError):
    """A person's mistake. `str()` is the one line that the person reads."""

    def __init__(self, message: str, code: Code = Code.COMMAND, **place: Any) -> None:
        super().__init__(code, message, **place)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_misuse, (self.message, self.code, self.place))

    def __str__(self) -> str:
        return self.message


def _rebuild_misuse(message: str, code: Code, place: dict[str, Any]) -> Misuse:
    return Misuse(message, code, **place)
