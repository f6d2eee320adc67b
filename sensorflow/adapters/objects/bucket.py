"""Stores objects in a bucket of S3, Google Cloud Storage or Azure; see `ports.objects.ObjectStore`.

Every object appears with one request: a put, or the completion of a multipart upload. Checksums are
computed by the callers; an ETag only tells versions of an object apart.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO

from sensorflow.adapters.objects.bucket_access import AZURE, S3, BucketAccess, BucketOptions
from sensorflow.adapters.objects.bucket_batch import BucketBatch
from sensorflow.adapters.objects.bucket_errors import (
    bucket_errors,
    is_empty_range,
    is_existing,
    is_refusal,
    is_unexplained,
    replaced,
)
from sensorflow.adapters.objects.bucket_keys import Keys
from sensorflow.adapters.objects.bucket_listing import Metadata, pages
from sensorflow.adapters.objects.bucket_reader import FIRST_BYTES, open_reader
from sensorflow.adapters.objects.bucket_upload import Upload
from sensorflow.adapters.objects.multipart_garbage import MultipartGarbage
from sensorflow.adapters.objects.obstore_module import obstore, require
from sensorflow.adapters.objects.request_counts import RequestCounts
from sensorflow.errors import Code, Transient
from sensorflow.ports.objects import BEGAN, MARKERS, Name, Object, Puts, Reader

PAGE = 1000
"""Number of objects that a provider returns for one list request."""
COPY_BYTES = 5 << 30
"""S3 copies objects up to this size by one request."""
EMPTY = "correct the bucket and prefix in [storage]; or, if the objects are lost, restore a backup"


def open_bucket(
    url: str,
    options: BucketOptions | None = None,
    may_be_empty: bool = False,
    folders: Sequence[str] = ("",),
) -> BucketObjects:
    """Return the store for the URL of a bucket and a prefix, such as "s3://bucket/prefix". Does not
    connect. may_be_empty, folders: see `BucketObjects`.

    Raises UsageError if the URL, an option or a file with credentials is invalid, or if obstore is not
    installed."""
    access = BucketAccess(url, options or BucketOptions())
    require(access.scheme)
    return BucketObjects(access, may_be_empty, folders)


class BucketObjects:
    """An object store in a bucket, below a prefix. A forked child may use a store of its parent.
    may_be_empty: whether a store in which nothing was ever written is empty. If not, it is unavailable.

    folders: prefixes of the names of all objects in the store. Another store may be below the same prefix.
    """

    def __init__(
        self, access: BucketAccess, may_be_empty: bool = False, folders: Sequence[str] = ("",)
    ) -> None:
        self.name, self.prefix = access.bucket, access.prefix
        self._access, self._may_be_empty, self._folders = access, may_be_empty, folders
        self._keys = Keys(access.prefix)
        self._counts = RequestCounts()
        self._garbage = MultipartGarbage(access, self._keys.prefix)
        self._is_begun = False

    @property
    def requests(self) -> Counter[str]:
        """The requests that this object has sent, by kind; see `RequestCounts`."""
        return self._counts.snapshot()

    # --- writing ---

    def put(self, name: Name, source: Reader) -> str:
        with self.batch() as batch:
            return batch.put(name, source)

    @contextmanager
    def batch(self) -> Iterator[Puts]:
        self._begin()
        batch = BucketBatch(self._keys.key, self._send, self._open_upload)
        try:
            yield batch
            if not batch.is_empty:
                self._begin()
                batch.commit()
        finally:
            batch.close()

    def create(self, name: str, data: bytes) -> bool:
        """See `ports.objects.ObjectStore.create`. An S3-compatible server must support the header
        If-None-Match of a put; older ones ignore it, and replace the object."""
        self._begin()
        return self._create(name, data)

    def _create(self, name: str, data: bytes) -> bool:
        try:
            with self._request("put", "write", self._keys.key(name)) as (store, key):
                obstore().put(store, key, data, mode="create")
        except Transient as error:
            if is_existing(error.__cause__):
                return False
            raise
        return True

    def _send(self, key: str, data: bytes) -> None:
        with self._request("put", "write", key) as (store, key):
            obstore().put(store, key, data, use_multipart=False)

    def _open_upload(self, key: str, part_bytes: int) -> Upload:
        self._begin()
        return Upload(self._access, key, part_bytes, self._counts)

    def _begin(self) -> None:
        """Record the creation time of the store before its first object is written. A store that has
        objects does not begin now, although it lacks the record."""
        if not self._is_begun and self.created_at() is None and self._is_new():
            self._create(BEGAN, f"{time.time():.6f}\n".encode())
        self._is_begun = True

    def _is_new(self) -> bool:
        prefixes = (self._keys.folder(folder) for folder in self._folders)
        return all(next(self._pages(prefix, 1), None) is None for prefix in prefixes)

    def _is_empty(self) -> bool:
        return next(self._pages(self._access.prefix, 1), None) is None

    def _require_begun(self) -> None:
        """Raise Transient STORAGE if nothing was ever written here: another bucket or prefix has the
        objects. A disk store does so if its folder is missing."""
        if self._may_be_empty:
            return
        if not self._is_begun and self._is_empty():
            place = self._access.place(self._keys.prefix.rstrip("/"))
            raise Transient(Code.STORAGE, f"{place} is empty", do=EMPTY)
        self._is_begun = True

    def copy(self, name: str, target: str) -> None:
        if self._access.scheme == S3 and self._size(name) > COPY_BYTES:
            with self.open(name) as source:
                self.put(target, source)
            return
        self._begin()
        with self._request("put", "copy", self._keys.key(name)) as (store, key):
            obstore().copy(store, key, self._keys.key(target))

    def _size(self, name: str) -> int:
        found = self.head(name)
        if found is None:
            self.open(name).close()  # raises
        return found.size if found is not None else 0

    def delete(self, name: str) -> None:
        try:
            with self._request("delete", "delete", self._keys.key(name)) as (store, key):
                obstore().delete(store, key)
        except Transient as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            if self._access.scheme == AZURE:
                self._is_empty()  # raises if the container is missing, which Azure does not tell

    # --- reading ---

    def open(self, name: str) -> BinaryIO:
        key = self._keys.key(name)
        try:
            meta, first = self._range(key, 0, FIRST_BYTES, None)
        except _EmptyRangeError:
            with self._request("get", "read", key) as (store, key):
                result = obstore().get(store, key)
                meta, first = result.meta, memoryview(result.bytes())
        self._is_begun = True

        def fetch(start: int, end: int) -> memoryview:
            try:
                found, data = self._range(key, start, end, meta["e_tag"])
            except _EmptyRangeError as error:
                raise replaced(self._access.place(key)) from error
            if _version(found) != _version(meta) or len(data) != end - start:
                raise replaced(self._access.place(key))
            return data

        return open_reader(fetch, first, meta["size"])

    def _range(self, key: str, start: int, end: int, etag: str | None) -> tuple[Any, memoryview]:
        options: dict[str, Any] = {"range": (start, end)}
        if etag is not None:
            options["if_match"] = etag
        with self._request("get", "read", key) as (store, key):
            try:
                result = obstore().get(store, key, options=options)
                return result.meta, memoryview(result.bytes())
            except obstore().exceptions.BaseError as error:
                if is_empty_range(error):
                    raise _EmptyRangeError from error
                raise

    def head(self, name: str) -> Object | None:
        key = self._keys.key(name)
        try:
            with self._request("head", "look up", key) as (store, key):
                return _object(name, obstore().head(store, key))
        except Transient as error:
            cause = error.__cause__
            if not isinstance(cause, FileNotFoundError) and not is_unexplained(cause):
                raise
        return self._head_by_get(name)

    def _head_by_get(self, name: str) -> Object | None:
        """Return the metadata of an object. The answer to a HEAD request has no body, and does not say
        whether the object or the bucket is missing, or why it was refused."""
        try:
            with self._request("get", "look up", self._keys.key(name)) as (store, key):
                return _object(name, obstore().get(store, key).meta)
        except Transient as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        self._require_begun()
        return None

    def list(self, prefix: str = "") -> Iterator[Object]:
        folder = self._keys.folder(prefix)
        for page in self._pages(folder, PAGE):
            for meta in page:
                name = self._keys.name(meta["path"])
                if name is not None and name not in MARKERS and name.startswith(prefix):
                    yield _object(name, meta)

    def _pages(self, folder: str, size: int) -> Iterator[Sequence[Metadata]]:
        def from_key(offset: str | None) -> Any:
            self._counts.add("list")
            return obstore().list(
                self._access.store, folder or None, offset=offset, chunk_size=size
            )

        try:
            for number, page in enumerate(pages(from_key, self._access.place(folder))):
                self._counts.add("list", number > 0)
                yield page
        except Transient as error:
            self._renew_if_refused(error)
            raise

    # --- housekeeping ---

    def created_at(self) -> datetime | None:
        try:
            with self.open(BEGAN) as note:
                return datetime.fromtimestamp(float(note.read()), UTC)
        except (ValueError, OverflowError):
            return None
        except Transient as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def list_unfinished(self, older_than_seconds: float) -> Sequence[str]:
        found = self._garbage.older_than(older_than_seconds)
        return sorted(self._keys.name(upload.key) or upload.key for upload in found)

    def remove_unfinished(self, older_than_seconds: float) -> int:
        return sum(
            self._garbage.abort(upload) for upload in self._garbage.older_than(older_than_seconds)
        )

    @contextmanager
    def _request(self, kind: str, operation: str, key: str) -> Iterator[tuple[Any, str]]:
        """Count a request, and translate its errors. Provides the obstore store and the key."""
        self._counts.add(kind)
        try:
            with bucket_errors(operation, self._access.place(key)):
                yield self._access.store, key
        except Transient as error:
            self._renew_if_refused(error)
            raise

    def _renew_if_refused(self, error: Transient) -> None:
        if is_refusal(error.__cause__):
            self._access.renew()


class _EmptyRangeError(Exception):
    """The requested range begins at or after the end of the object."""


def _object(name: str, meta: Any) -> Object:
    # Google Cloud Storage has milliseconds in listings only
    return Object(name, meta["size"], meta["last_modified"].replace(microsecond=0))


def _version(meta: Any) -> tuple[Any, ...]:
    return meta["e_tag"], meta["size"], meta["e_tag"] or meta["last_modified"]
