"""Protects against faulty decoders of other packages: checks the chunks that a decoder yields, and
reports failures with the name of the decoder."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from sensorflow.core.binding.resolve import Resolve
from sensorflow.core.formats.chunk import Chunk, Reject
from sensorflow.core.profile import Profile
from sensorflow.core.profile.formats import Reader
from sensorflow.errors import Code, DecoderFailed, SensorflowError, Transient

OWN = (errno.EINVAL, errno.EBADF, errno.ESPIPE)
"""Error numbers (errno) that a decoder causes by wrong use of the stream. Any other error number comes from
the store."""
_END = object()
LONGEST = 1000
"""Maximum length in characters of a decoder's error message; the remainder is omitted."""


def guarded(reader: Reader, name: str) -> Reader:
    """Return a reader that calls a decoder. It raises DecoderFailed if the decoder fails or yields an
    invalid chunk.

    Transient, Permanent and exceptions of the stream propagate unchanged. name: the names of the format and
    of its package, for messages. The decoder's exception becomes the `__cause__` of DecoderFailed. Callers
    inspect this cause, because it may be a lack of memory or threads.
    """

    def chunks(stream: BinaryIO, profile: Profile, resolve: Resolve) -> Iterator[Chunk]:
        watched = Watched(stream)

        def step(work: Callable[[], Any]) -> Any:
            try:
                return work()
            except (SensorflowError, KeyboardInterrupt):
                raise
            except BaseException as error:
                if watched.failed is not None and _is_of(error, watched.failed):
                    raise watched.failed from error
                raise failed(name, f"{type(error).__name__}: {_text(error)}") from error

        found = step(lambda: iter(reader(watched, profile, resolve)))
        while (chunk := step(lambda: next(found, _END))) is not _END:
            require(chunk, name)
            spot = chunk.spot
            yield replace(chunk, spot=lambda row, spot=spot: step(lambda: spot(row)))

    return chunks


def failed(name: str, what: str) -> DecoderFailed:
    do = f"correct the decoder {name}, or send its author the traceback in a worker's log; then replay"
    return DecoderFailed(Code.UNEXPECTED, f"the decoder {name} failed: {what}"[:LONGEST], do=do)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:LONGEST]
    except Exception:  # noqa: BLE001 - it is the package's too
        return "(its message cannot be shown)"


def _is_of(error: BaseException | None, cause: BaseException) -> bool:
    """Return whether an error is `cause`, or was raised because of `cause`."""
    while error is not None:
        if error is cause:
            return True
        error = error.__cause__ or error.__context__
    return False


def require(chunk: object, name: str) -> None:
    """Raise DecoderFailed if the object is not a `Chunk`, or if its line or record numbers are invalid."""
    if not isinstance(chunk, Chunk):
        raise failed(name, f"it yielded a {type(chunk).__name__}, not a Chunk")
    lines, records = chunk.lines, chunk.records
    if not isinstance(lines, np.ndarray) or lines.dtype.kind not in "iu":
        raise failed(name, "the lines of a chunk are not an array of whole numbers")
    if len(lines) and int(lines.min()) < 1:
        raise failed(name, f"line {int(lines.min())}: lines are counted from 1")
    if records is not None and not _counts(records, 0):
        raise failed(name, f"records = {records!r}: not a whole number of at least 0")
    for reject in chunk.rejects:
        if not isinstance(reject, Reject):
            raise failed(name, f"a reject is a {type(reject).__name__}, not a Reject")
        if reject.line_no is not None and not _counts(reject.line_no, 1):
            raise failed(name, f"a reject of line {reject.line_no!r}: lines are counted from 1")


def _counts(number: object, least: int) -> bool:
    is_integer = isinstance(number, int | np.integer) and not isinstance(number, bool)
    return is_integer and number >= least  # type: ignore[operator]


class Watched:
    """A stream that remembers whether reading has failed. failed: the error of the store; None if
    reading has not failed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.failed: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        return self._noting(found) if name.startswith(("read", "seek")) else found

    def _noting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any, **named: Any) -> Any:
            try:
                return call(*given, **named)
            except Transient as error:
                self.failed = error
                raise
            except OSError as error:
                if error.errno is not None and error.errno not in OWN:
                    self.failed = error
                raise

        return noted

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __next__(self) -> bytes:
        if line := self.readline():
            return bytes(line)
        raise StopIteration

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
