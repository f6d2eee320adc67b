"""An S3 server on a host of its own, and what is uploaded to it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zones
from hosts.network import Host
from object_servers import ADMIN, BUCKET, Seaweed
from servers import ServerFolder

READY = """
import sys, time
from hosts.store import client
for _ in range(600):
    try:
        if not client().list_buckets()["Buckets"]:
            client().create_bucket(Bucket=sys.argv[1])
        client().put_object(Bucket=sys.argv[1], Key="ready", Body=b"ready")
        sys.exit(0)
    except Exception as error:
        found = error
        time.sleep(0.2)
raise found
"""
UPLOADING = """
import sys, time
from hosts.store import client
s3 = client()
print("watching", flush=True)
while not s3.list_multipart_uploads(Bucket=sys.argv[1]).get("Uploads"):
    time.sleep(0.002)
print("uploading", flush=True)
"""
"""Scripts that run on the host of the server."""
VARIABLE = "HOSTS_STORE_ENDPOINT"
ROOT = Path(__file__).resolve().parents[2]


class StoreOnHost(Seaweed):
    """Listens on its host's network. Its data survives the host."""

    def __init__(self, place: ServerFolder, host: Host) -> None:
        super().__init__(place.root)
        self.host = host
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = ADMIN
        self.table = zones.s3_storage(f"http://{host.address}:{self.port}")

    def serve(self, log: Path) -> None:
        """Start it on its host, and wait until an object can be stored."""
        every = [word.replace("ip.bind=127.0.0.1", "ip.bind=0.0.0.0") for word in self._command()]
        self.host.run([w.replace("ip=127.0.0.1", f"ip={self.host.address}") for w in every], log)
        process = self._python(READY)
        process.communicate()
        assert process.returncode == 0, "no object can be stored"

    @contextmanager
    def watched(self) -> Iterator[subprocess.Popen[str]]:
        """Watches for unfinished uploads from the beginning of the block."""
        process = self._python(UPLOADING)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _python(self, script: str) -> subprocess.Popen[str]:
        paths = {
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        }  # the process has another folder
        environment = {**os.environ, **paths, VARIABLE: str(self.table["endpoint"])}
        command = [*self.host.entering, sys.executable, "-c", script, BUCKET]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def wait_for_upload(process: subprocess.Popen[str]) -> float:
    """Until an upload is in the middle; the time."""
    assert process.stdout is not None
    assert process.stdout.readline() == "uploading\n", "nothing was uploaded in parts"
    return time.time()


def client() -> Any:
    """Of the server, on its host."""
    import botocore.session
    from botocore.config import Config

    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=os.environ[VARIABLE],
        region_name="us-east-1",
        aws_access_key_id=ADMIN[0],
        aws_secret_access_key=ADMIN[1],
        config=Config(s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=5),
    )
