"""The embedded Valkey: any path, and data that cannot be read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from sensorflow.embedded.valkey import Valkey


@pytest.fixture
def place() -> Iterator[Path]:
    """As root the server runs as a user that cannot enter pytest's folders."""
    with tempfile.TemporaryDirectory(prefix="valkey-", dir="/tmp") as base:
        Path(base).chmod(0o711)
        place = Path(base, 'my plant\'s "é" $HOME #\n\\ (2)')
        place.mkdir(mode=0o755)
        yield place


def test_damaged_data_is_put_aside_and_the_server_starts_empty(place: Path) -> None:
    for damaged in (False, True):
        server = Valkey(place, place / "logs")
        server.start()
        try:
            with redis.Redis.from_url(server.url) as client:
                assert client.get("kept") is None
                client.set("kept", "1")
                assert os.fsdecode(client.config_get("dir")["dir"]) == str(place / "valkey")
        finally:
            server.process.terminate(30)
        assert ("messages are sent again" in server.damage) is damaged
        (log,) = (place / "valkey" / "appendonlydir").glob("*incr.aof")
        log.write_text("no command\n")
    assert len(list(place.glob("valkey.damaged-*"))) == 1
