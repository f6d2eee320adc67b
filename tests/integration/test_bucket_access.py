"""Access to buckets: URLs, credentials and TLS."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

import pytest
from authority import Authority
from object_servers import ADMIN, BUCKET, Seaweed
from servers import ServerFolder

from sensorflow.adapters.objects.bucket import open_bucket
from sensorflow.adapters.objects.bucket_access import BucketAccess, BucketOptions
from sensorflow.errors import Transient, UsageError

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_secrets_come_from_files_and_are_read_again_when_they_are_refused(
    s3_environment: None, seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("AWS_ACCESS_KEY_ID", ADMIN[0]), ("AWS_SECRET_ACCESS_KEY", "former")):
        monkeypatch.delenv(name)
        monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
        (tmp_path / name).write_text(f"{content}\n")
    objects = open_bucket(f"s3://{BUCKET}/{uuid.uuid4()}", BucketOptions(seaweed.endpoint))
    with pytest.raises(Transient, match=r"refuses the credentials.*SignatureDoesNotMatch"):
        objects.put("a", io.BytesIO(b"x"))
    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text(ADMIN[1])
    objects.put("a", io.BytesIO(b"x"))
    monkeypatch.setenv("AWS_PROFILE", "ignored")  # by obstore, so by all
    assert objects.list_unfinished(-1) == []
    (tmp_path / "AWS_SECRET_ACCESS_KEY").unlink()
    with pytest.raises(UsageError, match=r"AWS_SECRET_ACCESS_KEY_FILE: .*No such file"):
        open_bucket(f"s3://{BUCKET}")


def test_a_private_authority_is_trusted_if_it_is_named_and_no_other(
    place: ServerFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seaweed: Seaweed,
    s3_environment: None,
) -> None:
    authority = Authority(tmp_path / "authority")
    server = Seaweed(place.root, authority)
    server.start()
    try:
        url = f"s3://{BUCKET}/{uuid.uuid4()}"
        untrusting = open_bucket(url, BucketOptions(server.endpoint, retry_seconds=0.1))
        with pytest.raises(Transient, match=r"certificate is not trusted.*set AWS_CA_BUNDLE"):
            untrusting.put("a", io.BytesIO(b"x"))
        for endpoint, message in (
            (
                server.endpoint.replace("https", "http"),
                "requires TLS at this port.*begin endpoint with",
            ),
            (
                seaweed.endpoint.replace("http", "https"),
                "does not use TLS.*begin endpoint with http://",
            ),
        ):
            with pytest.raises(Transient, match=message):
                open_bucket(url, BucketOptions(endpoint, retry_seconds=0.1)).head("a")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.file))
        objects = open_bucket(url, BucketOptions(server.endpoint))
        objects.put("a", io.BytesIO(b"x"))
        with objects.open("a") as stream:
            assert stream.read() == b"x"
        assert objects.list_unfinished(-1) == []
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"AWS_ACCESS_KEY_ID": "a"}, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"),
        (
            {"AWS_SECRET_ACCESS_KEY": "a"},
            "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not",
        ),
        ({"AWS_CA_BUNDLE": __file__}, f"AWS_CA_BUNDLE: {__file__} contains no valid certificate"),
        (
            {"SSL_CERT_FILE": os.devnull},
            f"SSL_CERT_FILE: {os.devnull} contains no valid certificate",
        ),
        ({"AWS_CA_BUNDLE": "/none"}, "AWS_CA_BUNDLE: /none: No such file or directory"),
        (
            {"AWS_ACCESS_KEY_ID": "a\n", "AWS_SECRET_ACCESS_KEY": "b"},
            "AWS_ACCESS_KEY_ID contains a line break",
        ),
        ({"AWS_SESSION_TOKEN": "a\nb"}, "AWS_SESSION_TOKEN contains a line break"),
        *(
            ({"AWS_ENDPOINT_URL": url}, f"the endpoint {url!r} is not the URL of a server")
            for url in ("http://h:99999", "http://h:abc", "http://h:9000 ", "http://a b")
        ),
        ({"AWS_ENDPOINT_URL": "HTTP://h"}, "must begin with https:// or http://"),
    ],
)
def test_variables_that_cannot_be_right_are_refused(
    given: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [n for n in os.environ if n.startswith("AWS_") or n == "SSL_CERT_FILE"]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=re.escape(message)):
        open_bucket("s3://bucket")


def test_a_key_that_is_replaced_by_two_lines_is_no_fault_of_a_file(
    s3_environment: None, seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """obstore panics at such a key, with an error that no `except Exception` sees."""
    key = tmp_path / "key"
    key.write_text(ADMIN[0])
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID_FILE", str(key))
    objects = open_bucket(f"s3://{BUCKET}/{uuid.uuid4()}", BucketOptions(seaweed.endpoint))
    key.write_text(f"{ADMIN[0]}\njunk")
    with pytest.raises(Transient, match="AWS_ACCESS_KEY_ID_FILE contains a line break"):
        objects.put("a", io.BytesIO(b"x"))
    monkeypatch.setattr(BucketAccess, "_require_printable", lambda *_: None)
    with pytest.raises(Transient, match="obstore has a defect"):
        objects.put("a", io.BytesIO(b"x"))
    key.write_text(ADMIN[0])
    objects = open_bucket(f"s3://{BUCKET}/{uuid.uuid4()}", BucketOptions(seaweed.endpoint))
    objects.put("a", io.BytesIO(b"x"))


@pytest.mark.parametrize(
    ("url", "extra"), [("s3://b", "s3"), ("gs://b", "gcs"), ("az://b", "azure")]
)
def test_without_obstore_the_package_to_install_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError, match=rf"`pip install '\.\[{extra}\]'` in the checkout"):
        open_bucket(url)
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert any(package.startswith("obstore") for package in extras[extra])


def test_opening_a_bucket_neither_connects_nor_imports_obstore() -> None:
    code = (
        "import sys; from sensorflow.adapters.objects.bucket import open_bucket; "
        "open_bucket('s3://bucket/a'); assert not {'obstore', 'botocore'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("s3://", BucketOptions(), "buckets have URLs with s3://, gs://, az://"),
        ("s3:///a", BucketOptions(), "name a bucket, as in s3://bucket/prefix"),
        ("ftp://a/b", BucketOptions(), "name a bucket, as in s3://bucket/prefix"),
        ("s3://user:secret@bucket/a", BucketOptions(), "neither a password nor a port"),
        ("s3://bucket/a/../b", BucketOptions(), "has an empty part, '.' or '..' in its path"),
        ("s3://bucket", BucketOptions("minio:9000"), "must begin with https:// or http://"),
        (
            "s3://bucket",
            BucketOptions("http://user:secret@minio"),
            "contains credentials: remove them",
        ),
    ],
)
def test_bad_urls_and_endpoints_are_refused_in_one_line(
    url: str, options: BucketOptions, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        open_bucket(url, options)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
