"""Servers of buckets for tests: a real S3 server. They listen on 127.0.0.1 only."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from authority import Authority
from patience import PATIENCE

from sensorflow.embedded.process import Process, free_port

BUCKET = "sensorflow"
ADMIN = ("test-admin", "the-secret-of-the-admin")
READER = ("test-reader", "the-secret-of-the-reader")
WRITER = ("test-writer", "the-secret-of-the-writer")
"""Access keys and their secrets: one may do everything, one may only read, and one only write."""
IDENTITIES = {
    "identities": [
        {
            "name": "admin",
            "credentials": [{"accessKey": ADMIN[0], "secretKey": ADMIN[1]}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "reader",
            "credentials": [{"accessKey": READER[0], "secretKey": READER[1]}],
            "actions": [f"Read:{BUCKET}", f"List:{BUCKET}"],
        },
        {
            "name": "writer",
            "credentials": [{"accessKey": WRITER[0], "secretKey": WRITER[1]}],
            "actions": [f"Write:{BUCKET}"],
        },
    ]
}
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
    *("filer.port", "filer.port.grpc", "s3.port.grpc"),
)


class Seaweed:
    """SeaweedFS, a real S3 server, with one bucket. It refuses keys that it does not know. Its data
    survives `kill` and `start`."""

    def __init__(self, root: Path, authority: Authority | None = None) -> None:
        """authority: issues the server's certificate; the server then uses TLS."""
        self._folder = Path(tempfile.mkdtemp(prefix="seaweed-", dir=root))
        self.port = free_port()
        self._scheme = "https" if authority else "http"
        self._trusted = str(authority.file) if authority else None
        self._client: Any = None
        (self._folder / "s3.json").write_text(json.dumps(IDENTITIES))
        secure = []
        if authority is not None:
            issued = authority.certificate("127.0.0.1")
            secure = [f"-s3.cert.file={issued.cert}", f"-s3.key.file={issued.key}"]
        self.process = Process(
            "SeaweedFS", [*self._command(), *secure], self._folder / "log", stop=signal.SIGKILL
        )

    def _command(self) -> list[str]:
        folder = self._folder
        return [
            *(_weed(), "-logtostderr=true", "server", f"-dir={folder}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-{name}={free_port()}" for name in PORTS),
            *(
                "-volume.max=400",
                "-master.volumeSizeLimitMB=64",
                "-master.telemetry=false",
                "-master.electionTimeout=1s",
            ),
            *("-filer", f"-filer.localSocket={folder / 'filer.sock'}"),
            *("-s3", f"-s3.port={self.port}", f"-s3.config={folder / 's3.json'}"),
            *(f"-s3.localSocket={folder / 's3.sock'}", "-s3.autoCreateBucket=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        ]

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": ADMIN[0], "AWS_SECRET_ACCESS_KEY": ADMIN[1]}

    def start(self) -> None:
        """Start it, and wait until an object can be stored."""
        self.process.start()
        self.process.wait_for(self._is_ready, PATIENCE)

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.terminate(30)

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def client(self) -> Any:
        """A client of botocore, to look at the server without the adapter."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ADMIN[0],
            aws_secret_access_key=ADMIN[1],
            verify=self._trusted,
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def _is_ready(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        time.sleep(0.2)  # looking costs more CPU time than starting
        client = self._client = self._client or self.client()
        try:
            if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):
            return False
        return True


def seaweed_label() -> str:
    """The name and version of the server."""
    shown = subprocess.run([_weed(), "version"], capture_output=True, check=True).stdout
    found = re.search(rb"\b\d+\.\d+\b", shown)
    return f"seaweedfs {found[0].decode() if found else ''}"


def _weed() -> str:
    return str(Path(sys.executable).with_name("weed"))
