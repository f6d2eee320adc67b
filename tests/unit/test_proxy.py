"""The proxy that the fault tests rest on does to connections what it says."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from patience import PATIENCE
from proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            while block := client.recv(65536):
                client.sendall(block)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy("127.0.0.1", echo) as new_proxy:
        yield new_proxy


def dial(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), 5)


def heard(client: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (block := client.recv(65536)):
        got += block
    return got


def test_bytes_pass_both_ways_and_an_end_is_an_end(proxy: Proxy) -> None:
    with dial(proxy) as client:
        sent = bytes(range(256)) * 4000
        threading.Thread(target=client.sendall, args=(sent,)).start()
        assert heard(client, len(sent)) == sent
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_refused_connections_are_refused_and_later_ones_are_not(proxy: Proxy) -> None:
    with dial(proxy) as before:
        before.sendall(b"first")
        assert heard(before, 5) == b"first"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            dial(proxy)
        before.sendall(b"still")
        assert heard(before, 5) == b"still"
        proxy.pass_all()
        with dial(proxy) as after:
            after.sendall(b"again")
            assert heard(after, 5) == b"again"


def test_a_black_hole_swallows_and_gives_back_when_it_heals(proxy: Proxy) -> None:
    with dial(proxy) as old:
        old.sendall(b"a")
        assert heard(old, 1) == b"a"
        proxy.black_hole()
        with dial(proxy) as new:
            for client in (old, new):
                client.sendall(b"b")
                client.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    client.recv(1)
            proxy.pass_all()
            for client in (old, new):
                client.settimeout(5)
                assert heard(client, 1) == b"b"


def test_a_reset_is_a_reset_for_those_that_are_there(proxy: Proxy) -> None:
    with dial(proxy) as client:
        client.sendall(b"a")
        assert heard(client, 1) == b"a"
        assert proxy.reset() == 1
        with pytest.raises(OSError, match="reset") as caught:
            client.recv(1)
        assert caught.value.errno == errno.ECONNRESET
    with dial(proxy) as client:
        client.sendall(b"b")
        assert heard(client, 1) == b"b"


def test_a_throttled_connection_takes_its_time(proxy: Proxy) -> None:
    proxy.throttle(10_000)
    with dial(proxy) as client:
        began = time.monotonic()
        client.sendall(bytes(5_000))
        assert len(heard(client, 5_000)) == 5_000
        assert time.monotonic() - began > 0.4  # never sooner, however slow the machine


def test_a_cut_lets_so_many_bytes_pass_and_no_more(echo: int) -> None:
    got = bytearray()
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as sink:

        def swallow() -> None:
            with sink.accept()[0] as client, suppress(OSError):
                while block := client.recv(65536):
                    got.extend(block)
            done.set()

        threading.Thread(target=swallow, daemon=True).start()
        with Proxy("127.0.0.1", sink.getsockname()[1]) as proxy, dial(proxy) as client:
            client.sendall(bytes(100))
            proxy.cut_after(1000)
            with suppress(OSError):
                client.sendall(bytes(5000))
            with pytest.raises(OSError, match="reset"):
                client.recv(1)
            assert done.wait(PATIENCE)
    assert len(got) <= 1100  # a reset may overtake bytes that were sent before it


def test_a_commit_happens_and_its_answer_is_lost(database: str) -> None:
    host, port = psycopg.conninfo.conninfo_to_dict(database)["host"], _port(database)
    with Proxy(str(host), port) as proxy:
        with psycopg.connect(proxy.url(database)) as connection:
            connection.execute("CREATE TABLE t (n int)")
            connection.commit()
            connection.execute("INSERT INTO t VALUES (1)")
            proxy.cut_commits(1)
            with pytest.raises(psycopg.OperationalError):
                connection.commit()
        assert proxy.cuts == 1
        with psycopg.connect(proxy.url(database)) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (1,)
            connection.commit()


def _port(url: str) -> int:
    return int(psycopg.conninfo.conninfo_to_dict(url)["port"] or 5432)
