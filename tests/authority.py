"""Certificates made for a test, and a proxy that speaks TLS for a server that cannot."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trustme
from patience import PATIENCE

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""What libpq sends before TLS: PostgreSQL's documentation, "SSL Session Encryption"."""


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path


class Authority:
    """A certificate authority; `file` is what clients are to trust."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def certificate(self, name: str) -> Certificate:
        issued = self._ca.issue_cert(name)
        found = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        found.cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        found.key.write_bytes(issued.private_key_pem.bytes())
        found.key.chmod(0o600)
        return found

    def context(self, name: str, ask: bool) -> ssl.SSLContext:
        """A server's. ask: clients must show a certificate of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.file))
        context.verify_mode = ssl.CERT_REQUIRED if ask else ssl.CERT_NONE
        certificate = self.certificate(name)
        context.load_cert_chain(certificate.cert, certificate.key)
        return context


class Proxy:
    """TLS on `port` of 127.0.0.1, in front of a plain server there."""

    def __init__(self, upstream: int, context: ssl.SSLContext, postgres: bool) -> None:
        self._upstream = upstream
        self._context = context
        self._postgres = postgres
        self.port = 0

    async def serve(self, ready: threading.Event, end: asyncio.Event) -> None:
        context = None if self._postgres else self._context
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await end.wait()
        server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self._postgres:
                if await reader.readexactly(8) != SSL_REQUEST:
                    writer.close()
                    return
                writer.write(b"S")
                await writer.start_tls(self._context)
            back, forth = await asyncio.open_connection("127.0.0.1", self._upstream)
            await asyncio.gather(_pump(reader, forth), _pump(back, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await reader.read(1 << 16):
            writer.write(block)
            await writer.drain()
    writer.close()


@contextmanager
def proxied(upstream: int, context: ssl.SSLContext, postgres: bool = False) -> Iterator[int]:
    """The port on which TLS is spoken, as long as the block lasts."""
    proxy, ready = Proxy(upstream, context, postgres), threading.Event()
    loop, end = asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.set_exception_handler(lambda *_: None)  # refused handshakes are what is tested
        loop.run_until_complete(proxy.serve(ready, end))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    thread = threading.Thread(target=run, name="tls-proxy")
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield proxy.port
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
