"""Faults of a bucket's server and of the way to it. Bytes stay exact, and errors are one line."""

from __future__ import annotations

import io
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from http_proxy import Answer, Cut, HttpProxy, Request, Rule, s3_error
from object_servers import BUCKET, READER, Seaweed
from patience import PATIENCE
from servers import ServerFolder

from sensorflow.adapters.objects.bucket import BucketObjects, open_bucket
from sensorflow.adapters.objects.bucket_access import BucketOptions
from sensorflow.adapters.objects.bucket_errors import translated
from sensorflow.core.arrival import Landed
from sensorflow.errors import Code, Transient
from sensorflow.flow.landing import Landing

LARGE = random.Random(1).randbytes(9 << 20)
CONTENTS = {f"{number}": random.Random(number).randbytes(20_000) for number in range(12)}


@pytest.fixture
def proxy(seaweed: Seaweed) -> Iterator[HttpProxy]:
    with HttpProxy(seaweed.port) as proxy:
        yield proxy


@pytest.fixture
def objects(proxy: HttpProxy, s3_environment: None) -> BucketObjects:
    """A store behind the proxy."""
    return open_bucket(f"s3://{BUCKET}/{uuid.uuid4()}", BucketOptions(proxy.endpoint))


@pytest.fixture
def impatient(proxy: HttpProxy, s3_environment: None) -> BucketObjects:
    """The same, without retries."""
    options = BucketOptions(proxy.endpoint, retry_seconds=0.01)
    return open_bucket(f"s3://{BUCKET}/{uuid.uuid4()}", options)


def work(objects: BucketObjects) -> None:
    """Write and read small and large objects."""
    with objects.batch() as batch:
        for name, content in CONTENTS.items():
            batch.put(name, io.BytesIO(content))
        landed = batch.put("large", io.BytesIO(LARGE))
    objects.copy(landed, "copy")
    objects.delete("large")
    assert {found.name for found in objects.list()} == {*CONTENTS, "copy"}
    for name, content in {**CONTENTS, "copy": LARGE}.items():
        with objects.open(name) as stream:
            assert stream.read() == content
        assert getattr(objects.head(name), "size", None) == len(content)


def one_in(count: int, todo: Answer | Cut, methods: tuple[str, ...] = ()) -> Rule:
    return lambda request: (
        todo if request.number % count == 0 and (not methods or request.method in methods) else None
    )


@pytest.mark.parametrize(
    "rule",
    [
        one_in(3, s3_error(503, "SlowDown", "Please reduce your request rate.")),
        one_in(20, s3_error(500, "InternalError")),
        one_in(4, Answer(429)),
        one_in(2, Cut(5_000), ("GET",)),
    ],
    ids=["SlowDown", "InternalError", "429", "answers cut"],
)
def test_objects_are_exact_if_some_requests_fail(
    proxy: HttpProxy, objects: BucketObjects, rule: Rule
) -> None:
    proxy.rule = rule
    work(objects)
    proxy.rule = lambda _: None
    assert objects.list_unfinished(-1) == []


def test_a_connection_that_is_reset_before_the_answer_is_tried_again(
    proxy: HttpProxy, objects: BucketObjects
) -> None:
    proxy.rule = one_in(5, Cut(None), ("GET", "HEAD", "PUT"))
    work(objects)


def test_a_server_that_is_killed_and_started_again_in_a_put_keeps_the_contract(
    place: ServerFolder, s3_environment: None
) -> None:
    server = Seaweed(place.root)
    server.start()
    try:
        with HttpProxy(server.port) as proxy:
            objects = open_bucket(f"s3://{BUCKET}/a", BucketOptions(proxy.endpoint))
            killed = threading.Event()

            def kill_once(request: Request) -> None:
                if "partNumber=2" in request.path and not killed.is_set():
                    server.kill()
                    killed.set()

            def land() -> Landed:
                while True:
                    with suppress(Transient):
                        return Landing(objects).put(io.BytesIO(LARGE))

            proxy.rule = kill_once
            with ThreadPoolExecutor(1) as writer:
                landing = writer.submit(land)
                assert killed.wait(PATIENCE)
                server.start()
                landed = landing.result()
            assert [found.name for found in objects.list()] == [landed.name]
            with objects.open(landed.name) as stream:
                assert stream.read() == LARGE
    finally:
        server.stop()


FAILURES = [
    (s3_error(403, "AccessDenied"), "no permission", "grant"),
    (s3_error(403, "InvalidAccessKeyId"), "refuses the credentials", "correct AWS_ACCESS_KEY_ID"),
    (s3_error(400, "ExpiredToken"), "the credentials have expired", "renew them"),
    (s3_error(403, "RequestTimeTooSkewed"), "the clock of this host", "synchronize the clock"),
    (s3_error(403, "QuotaExceeded"), "full or over its quota", "raise the quota"),
    (Answer(507), "full or over its quota", "raise the quota"),
    (s3_error(404, "NoSuchBucket"), "the bucket does not exist", "create the bucket"),
    (s3_error(301, "PermanentRedirect"), "in another region", "set the region"),
    (s3_error(503, "SlowDown"), "limits the rate of requests", "fewer workers"),
    (s3_error(500, "InternalError"), "has a failure", "work resumes automatically"),
]
TEXTS = [
    (
        "HTTP error: error sending request\n\nDebug source:\nInvalidCertificate(Other(CaUsedAsEndEntity))",
        "self-signed",
        "set AWS_CA_BUNDLE or SSL_CERT_FILE",
    ),
    (
        "HTTP error: x\n\nDebug source:\nInvalidCertificate(NotValidForNameContext { })",
        "another host name",
        "set endpoint",
    ),
    (
        "Generic S3 error: a PUT http://169.254.169.254/latest in 1ms - status code: 403 Forbidden",
        "no credentials were found",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        "Generic S3 error: a PUT http://169.254.169.254/latest in 1ms - status code: 403 Forbidden",
        "no credentials were found",
        "not read by sensorflow: AWS_PROFILE and /dev/null",
    ),
    (
        "Generic S3 error: strange answer of http://h/b?token=hidden",
        "(strange answer of http://h/b)",
        "that endpoint is the URL",
    ),
]
OPERATIONS: dict[str, Callable[[BucketObjects], object]] = {
    "write": lambda objects: objects.put("a", io.BytesIO(b"x")),
    "write large": lambda objects: objects.put("a", io.BytesIO(LARGE)),
    "create": lambda objects: objects.create("a", b"x"),
    "open": lambda objects: objects.open("a"),
    "head": lambda objects: objects.head("a"),
    "list": lambda objects: list(objects.list()),
    "copy": lambda objects: objects.copy("a", "b"),
    "delete": lambda objects: objects.delete("a"),
    "created_at": lambda objects: objects.created_at(),
    "unfinished": lambda objects: objects.list_unfinished(0),
}


@pytest.mark.parametrize(
    ("answer", "text", "next_step"), FAILURES, ids=lambda value: str(value)[:40]
)
def test_a_failure_is_told_in_one_line_with_the_next_step(
    proxy: HttpProxy, impatient: BucketObjects, answer: Answer, text: str, next_step: str
) -> None:
    impatient.put("a", io.BytesIO(b"x"))
    proxy.rule = lambda _: answer
    for operation, do in OPERATIONS.items():
        if answer.status == 301 and operation == "unfinished":
            continue  # botocore asks for the region of the bucket, and would be answered like this
        with pytest.raises(Transient) as caught:
            do(impatient)
        message = str(caught.value)
        assert caught.value.code is Code.STORAGE, operation
        assert text in message, operation
        assert next_step in message, operation
        assert next_step in caught.value.remedy, operation
        assert f"s3://{BUCKET}" in message, operation
        assert "\n" not in message, operation
        assert not isinstance(caught.value.__cause__, FileNotFoundError), operation


@pytest.mark.parametrize(("error", "text", "next_step"), TEXTS)
def test_an_error_without_an_answer_of_the_provider_is_explained(
    error: str, text: str, next_step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "plant")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    found = translated(Exception(error), "read", "s3://b/a")
    assert text in found.message
    assert next_step in found.remedy
    assert "hidden" not in found.message


def test_a_bucket_that_does_not_exist_is_not_taken_for_an_empty_one(
    seaweed: Seaweed, s3_environment: None
) -> None:
    objects = open_bucket("s3://no-such-bucket/a", BucketOptions(seaweed.endpoint))
    for operation, do in OPERATIONS.items():
        with pytest.raises(Transient, match="the bucket does not exist"):
            do(objects)
        assert operation


def test_a_user_who_may_only_read_is_told_what_is_missing(
    seaweed: Seaweed, bucket: BucketObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", io.BytesIO(b"x"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER[1])
    objects = open_bucket(f"s3://{BUCKET}/{bucket.prefix}", BucketOptions(seaweed.endpoint))
    assert objects.open("a").read() == b"x"
    assert objects.head("b") is None
    for operation in ("write", "write large", "create", "copy", "delete"):
        with pytest.raises(Transient, match="no permission"):
            OPERATIONS[operation](objects)


def test_a_server_that_is_away_is_told_within_the_time_for_retries(s3_environment: None) -> None:
    objects = open_bucket(
        f"s3://{BUCKET}/a", BucketOptions("http://127.0.0.1:1", retry_seconds=0.1)
    )
    for operation in OPERATIONS.keys() - {"unfinished"}:
        with pytest.raises(Transient, match=r"cannot be reached \(Connection refused\)"):
            OPERATIONS[operation](objects)
