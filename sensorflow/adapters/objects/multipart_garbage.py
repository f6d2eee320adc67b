"""Lists and removes multipart uploads that were begun and neither completed nor aborted.

S3 keeps the parts of such an upload, and bills them, until it is aborted. obstore cannot list them, but
botocore can, with the same endpoint and credentials. Azure removes uncommitted blocks a week after the last
one was sent. Google Cloud Storage removes them only by a lifecycle rule of the bucket
(AbortIncompleteMultipartUpload).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sensorflow.adapters.objects.bucket_access import (
    CONNECT_SECONDS,
    REQUEST_SECONDS,
    S3,
    BucketAccess,
)
from sensorflow.adapters.objects.bucket_errors import Failure, explained
from sensorflow.adapters.objects.obstore_module import install
from sensorflow.errors import Code, Transient


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """An upload that may be unfinished. key: the key of its object. upload_id: S3's name of the upload."""

    key: str
    upload_id: str


class MultipartGarbage:
    """The unfinished uploads of a store. Empty for stores other than S3."""

    def __init__(self, access: BucketAccess, prefix: str) -> None:
        self._access, self._prefix = access, prefix

    def older_than(self, seconds: float) -> list[UnfinishedUpload]:
        """Return the uploads that were begun more than this many seconds ago. Raises Transient STORAGE."""
        if self._access.scheme != S3:
            return []
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        with _Client(self._access, "list unfinished uploads in") as client:
            return [
                UnfinishedUpload(upload["Key"], upload["UploadId"])
                for upload in self._all(client)
                if upload["Initiated"] < before
            ]

    def _all(self, client: Any) -> Iterator[dict[str, Any]]:
        pages = client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._access.bucket, Prefix=self._prefix):
            yield from page.get("Uploads", ())

    def abort(self, upload: UnfinishedUpload) -> bool:
        """Remove an upload and its parts. Returns False if it was completed or removed meanwhile."""
        with _Client(self._access, "remove the unfinished upload of", upload.key) as client:
            try:
                client.abort_multipart_upload(
                    Bucket=self._access.bucket, Key=upload.key, UploadId=upload.upload_id
                )
            except client.exceptions.NoSuchUpload:
                return False
        return True


class _Client:
    """A context manager for a client of botocore that translates its errors."""

    def __init__(self, access: BucketAccess, operation: str, key: str = "") -> None:
        self._operation, self._place = operation, access.place(key)
        self._client = _client(access)

    def __enter__(self) -> Any:
        return self._client

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        self._client.close()
        if isinstance(error, ClientError):
            answer = error.response
            told = answer.get("Error", {})
            failure = Failure(
                answer.get("ResponseMetadata", {}).get("HTTPStatusCode"),
                code if (code := told.get("Code", "")) and not code.isdigit() else "",
                told.get("Message", ""),
            )
            raise explained(failure, self._operation, self._place) from error
        if isinstance(error, BotoCoreError):
            raise Transient(
                Code.STORAGE, f"cannot {self._operation} {self._place}: {error}"
            ) from error


def _without_profiles(session: Any) -> Any:
    """Make botocore ignore the files in ~/.aws, as obstore does. Otherwise the two could use different
    credentials, and an AWS_PROFILE that does not exist would be an error."""
    session.session_var_map["profile"] = (None, None, None, None)
    for name in ("config_file", "credentials_file"):
        session.session_var_map[name] = (None, None, os.devnull, None)
    return session


def _client(access: BucketAccess) -> Any:
    try:
        import botocore.session
        from botocore.config import Config
    except ImportError as error:
        raise Transient(
            Code.STORAGE,
            f"unfinished uploads cannot be listed without the package botocore: {install(access.scheme)}",
        ) from error
    secrets = access.secrets()
    return _without_profiles(botocore.session.get_session()).create_client(
        "s3",
        endpoint_url=access.endpoint or None,
        region_name=access.region or "us-east-1",
        verify=access.certificate_file or True,
        aws_access_key_id=secrets.get("access_key_id", os.environ.get("AWS_ACCESS_KEY_ID")),
        aws_secret_access_key=secrets.get(
            "secret_access_key", os.environ.get("AWS_SECRET_ACCESS_KEY")
        ),
        aws_session_token=secrets.get("session_token", os.environ.get("AWS_SESSION_TOKEN")),
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=REQUEST_SECONDS,
            retries={"total_max_attempts": 4, "mode": "standard"},
            s3={"addressing_style": "path"},
        ),
    )
