"""What a bucket promises beyond the port: large objects, ranges, forks, errors, unfinished uploads."""

from __future__ import annotations

import io
import os
import random
import signal
from collections.abc import Callable

from sensorflow.adapters.objects.bucket import BucketObjects

LARGE = random.Random(1).randbytes(21 << 20)


def in_child(work: Callable[[], bool]) -> bool:
    """The result of a function that is called in a forked child; False if it does not end."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        ok = False
        try:
            ok = work()
        finally:
            os._exit(not ok)
    return os.waitpid(pid, 0)[1] == 0


def read(objects: BucketObjects, name: str) -> bytes:
    with objects.open(name) as stream:
        return stream.read()


def test_a_store_that_was_used_before_a_fork_works_in_the_child_and_its_child(
    bucket: BucketObjects,
) -> None:
    bucket.put("a", io.BytesIO(LARGE))

    def use() -> bool:
        with bucket.batch() as batch:
            for number in range(3):
                batch.put(f"child/{os.getpid()}/{number}", io.BytesIO(b"x"))
        return read(bucket, "a") == LARGE

    assert in_child(lambda: use() and in_child(use))
    assert use()
    assert len(list(bucket.list("child/"))) == 9


def test_a_reader_that_was_opened_before_a_fork_goes_on_in_the_child(bucket: BucketObjects) -> None:
    bucket.put("a", io.BytesIO(LARGE))
    with bucket.open("a") as stream:
        start = stream.read(2 << 20)
        assert in_child(lambda: start + stream.read() == LARGE)
        assert start + stream.read() == LARGE
