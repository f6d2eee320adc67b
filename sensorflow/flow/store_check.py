"""Checks whether the store of a zone works with the credentials of this process: writes, reads, lists and
deletes an object, and compares the store's clock."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sensorflow.errors import PermissionMissing, SensorflowError, Transient
from sensorflow.ports.objects import Object, ObjectStore

PREFIX = "sensorflow-check-"
"""The names of the objects that a check stores begin with this text."""
ABANDONED = timedelta(hours=1)
"""Age after which an object that a check has stored is removed, because the check was killed."""
SKEW = timedelta(seconds=5)
"""Difference of two clocks from which a check warns. A store may truncate times to seconds."""
REFUSED_SKEW = timedelta(minutes=15)
"""Difference of the clocks from which S3 refuses requests."""


LOSES = "use another store: this one loses data"
NO_STORE = "check bucket and endpoint in [storage]: the server may be another service than a store"


class Step(StrEnum):
    LOCATION = "location"
    OWNER = "owner"
    LOOK_UP = "look up a missing object"
    WRITE = "write"
    READ = "read back"
    CREATE = "conditional create"
    LIST = "list"
    DELETE = "delete"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step. verdict: "ok", "warn", or "fail". found: in words. todo: what the user must
    do if the verdict is not "ok". refused: the operation for which a permission is missing, as in
    `errors.PermissionMissing`; or ""."""

    step: Step
    verdict: str
    found: str
    todo: str = ""
    refused: str = ""


class StoreCheck:
    """Checks one store. A store without objects begins with the check (see `ObjectStore.created_at`).
    Apart from that, the check leaves nothing behind, unless the process is killed or may not delete.

    is_unavailable: whether a step has failed for a reason that concerns the whole store. No further steps
    are tried then.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._name, self._data = f"{PREFIX}{secrets.token_hex(8)}", secrets.token_bytes(32)
        self._written: Object | None = None
        self._has_put = False
        self._midpoint = datetime.now(UTC)
        self.is_unavailable = False

    def run(self) -> Iterator[StepResult]:
        """Yield the result of each step. A step that needs the object that was written is left out if the
        object could not be written."""
        yield from self._all((Step.LOOK_UP, self._look_up), (Step.WRITE, self._write))
        if self._has_put:
            yield from self._all((Step.READ, self._read), (Step.CREATE, self._create))
        yield from self._all((Step.LIST, self._list), (Step.DELETE, self._delete))
        if self._written is not None and not self.is_unavailable:
            yield clock(
                self._written.modified_at - self._midpoint, "the store's clock", "this host"
            )

    def read_only(self) -> Iterator[StepResult]:
        """Yield the results of the steps that store nothing: listing, and looking up a missing object."""
        yield from self._all((Step.LIST, self._list_first), (Step.LOOK_UP, self._look_up))

    def of_previous(self) -> Iterator[StepResult]:
        """Yield the results of the steps that a location needs from which objects are moved: those of
        `read_only`, and deleting an object that does not exist."""
        yield from self.read_only()
        yield from self._all((Step.DELETE, self._delete))

    def _all(self, *steps: tuple[Step, Callable[[], str]]) -> Iterator[StepResult]:
        for step, check in steps:
            if not self.is_unavailable:
                yield self._tried(step, check)

    def _tried(self, step: Step, check: Callable[[], str]) -> StepResult:
        try:
            return StepResult(step, "ok", check())
        except _WrongError as error:
            self.is_unavailable = step is Step.LOOK_UP
            return StepResult(step, "fail", str(error), NO_STORE if self.is_unavailable else LOSES)
        except PermissionMissing as error:
            refused = str(error.place.get("operation", ""))
            return StepResult(step, "fail", _text(error), error.remedy, refused)
        except (SensorflowError, OSError) as error:
            self.is_unavailable = not isinstance(error.__cause__, PermissionError)
            remedy = error.remedy if isinstance(error, Transient) else ""
            return StepResult(step, "fail", _text(error), remedy)

    def _write(self) -> str:
        before = datetime.now(UTC)
        self._objects.put(self._name, io.BytesIO(self._data))
        self._has_put = True
        self._midpoint = before + (datetime.now(UTC) - before) / 2
        return f"{len(self._data)} bytes"

    def _read(self) -> str:
        with self._objects.open(self._name) as stream:
            if stream.read() != self._data:
                raise _WrongError("the object that was read differs from the one that was written")
        self._written = self._objects.head(self._name)
        if self._written is None:
            raise _WrongError("the object is missing although it was written")
        return "the same bytes"

    def _create(self) -> str:
        if self._objects.create(self._name, b""):
            raise _WrongError("an existing object was replaced: the server ignores the condition")
        return "an existing object is not replaced"

    def _list(self) -> str:
        names = set()
        for found in self._objects.list(PREFIX):
            names.add(found.name)
            if found.modified_at < datetime.now(UTC) - ABANDONED:
                with suppress(SensorflowError):
                    self._objects.delete(found.name)
        if self._written is not None and self._name not in names:
            raise _WrongError("the object that was written is not listed")
        return "the object is listed" if self._written else "allowed"

    def _list_first(self) -> str:
        next(iter(self._objects.list()), None)
        return "allowed"

    def _look_up(self) -> str:
        if self._objects.head(self._name) is not None:
            raise _WrongError("an object that does not exist was found")
        return "allowed"

    def _delete(self) -> str:
        self._objects.delete(self._name)
        if self._written is not None and self._objects.head(self._name) is not None:
            raise _WrongError("the object still exists after it was deleted")
        return "allowed" if self._written is None else "the object is gone"


def _text(error: Exception) -> str:
    """Return the message of an error without its remedy, which is shown on its own line."""
    remedy = error.remedy if isinstance(error, SensorflowError) else ""
    return str(error).removesuffix(f"; {remedy}")


class _WrongError(Exception):
    """The store does not do what it must."""


def clock(skew: timedelta, clock_of: str, reference: str) -> StepResult:
    """Return the result of the comparison of two clocks. clock_of, reference: whose clocks these are."""
    found = f"{clock_of} differs from {reference} by {skew.total_seconds():+.1f} s"
    if abs(skew) >= REFUSED_SKEW:
        return StepResult(
            Step.CLOCK, "fail", found, "synchronize this host with NTP: S3 refuses its requests"
        )
    if abs(skew) >= SKEW:
        todo = "synchronize the clocks with NTP"
        return StepResult(Step.CLOCK, "warn", found, todo)
    return StepResult(Step.CLOCK, "ok", found)
