"""Where test servers live, and a RabbitMQ of our own. Everything listens on 127.0.0.1 only."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from authority import Authority
from patience import PATIENCE

from sensorflow.embedded import process
from sensorflow.embedded.process import free_port


@dataclass(frozen=True)
class ServerFolder:
    root: Path
    logs: Path


@contextmanager
def place_for_servers() -> Iterator[ServerFolder]:
    """A folder that the servers' user can enter, also when the tests run as root."""
    above = None
    if os.geteuid() == 0:
        above = Path("/var/lib/sensorflow")
        above.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="test-", dir=above))
    root.chmod(0o755)
    try:
        yield ServerFolder(root, root / "logs")
    finally:
        shutil.rmtree(root, ignore_errors=True)


CHILD = Path(process.__file__).with_name("child.py")
VHOSTS = """\
[begin
   V = list_to_binary("test" ++ integer_to_list(N)),
   ok = rabbit_vhost:add(V, <<"test">>),
   All = <<".*">>,
   ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, V, All, All, All, <<"test">>)
 end || N <- lists:seq({first}, {last})].
"""
AT_ONCE = 8
"""Virtual hosts made by one command: each start of rabbitmqctl costs half a second of CPU."""


class RabbitMQ:
    """A broker with its own data, ports and Erlang node; a virtual host for each test."""

    def __init__(self, place: ServerFolder, also: str = "") -> None:
        """also: another address that it listens at."""
        self._also = also
        self._folder = place.root / "rabbitmq"
        self._folder.mkdir()
        self._log = self._folder / "console.log"
        self._port = free_port()
        self._secure = free_port()
        self.authority = Authority(self._folder)
        self._certificate = self.authority.certificate("localhost")
        self._distribution = free_port()
        self._epmd = free_port()
        self._popen: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self._program = _program()

    def _env(self) -> dict[str, str]:
        config = self._folder / "rabbitmq.conf"
        more = f"listeners.tcp.2 = {self._also}:{self._port}\n" if self._also else ""
        config.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self._port}\n{more}"
            f"listeners.ssl.1 = 127.0.0.1:{self._secure}\n"
            f"ssl_options.cacertfile = {self.authority.file}\n"
            f"ssl_options.certfile = {self._certificate.cert}\n"
            f"ssl_options.keyfile = {self._certificate.key}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            f"loopback_users{' = none' if self._also else '.guest = true'}\n"
            "vm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 50MB\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
        )
        (self._folder / "plugins").write_text("[].\n")
        return {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/usr/lib/rabbitmq/bin",
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"sensorflow-{os.getpid()}@localhost",
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none"
            ),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def start(self) -> None:
        with self._log.open("ab") as log:
            # its script stops the node at SIGTERM: sent by the kernel, should these tests be killed
            parent = [str(os.getpid()), str(int(signal.SIGTERM)), "-1", "-1"]
            ending_with_us = [sys.executable, "-I", "-S", str(CHILD), *parent]
            self._popen = subprocess.Popen(
                [*ending_with_us, self._program],
                env=self._env(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._ctl("await_startup", "--timeout", "5") == 0:
                return
            if self._popen.poll() is not None:
                break
        raise AssertionError(f"RabbitMQ did not start:\n{self._log.read_text()}")

    def new_vhost(self) -> str:
        """The URL of a new virtual host."""
        number = next(self._numbers)
        if number % AT_ONCE == 0:
            assert self._ctl("eval", VHOSTS.format(first=number, last=number + AT_ONCE - 1)) == 0
        return f"amqp://guest:guest@127.0.0.1:{self._port}/test{number}"

    def user(self, name: str, password: str, vhost: str) -> None:
        assert self._ctl("add_user", name, password) == 0
        assert self._ctl("set_permissions", "-p", vhost, name, ".*", ".*", ".*") == 0

    def shut_out(self, name: str, vhost: str) -> None:
        assert self._ctl("clear_permissions", "-p", vhost, name) == 0
        assert self._ctl("close_all_connections", "--vhost", vhost, "test") == 0

    def let_in(self, name: str, vhost: str) -> None:
        assert self._ctl("set_permissions", "-p", vhost, name, ".*", ".*", ".*") == 0

    def close_connections(self, vhost: str) -> None:
        assert self._ctl("close_all_connections", "--vhost", vhost, "test") == 0

    def remove_user(self, name: str) -> None:
        assert self._ctl("delete_user", name) == 0

    def secure(self, host: str = "localhost") -> str:
        """The URL of a new virtual host over TLS; the server's certificate names localhost alone."""
        vhost = self.new_vhost().rsplit("/", 1)[1]
        return f"amqps://guest:guest@{host}:{self._secure}/{vhost}"

    def delete_queue(self, vhost: str, queue: str) -> None:
        assert self._ctl("delete_queue", "-p", vhost, queue) == 0

    @contextmanager
    def _x(self, milliseconds: int) -> Iterator[None]:
        """Channels of connections made meanwhile are closed when a message waits so long for its word."""
        known = {"consumer_timeout": 1_800_000, "channel_tick_interval": 60_000}
        for name in known:
            self._set(name, milliseconds)
        try:
            yield
        finally:
            for name, value in known.items():
                self._set(name, value)

    def _set(self, name: str, value: int) -> None:
        assert self._ctl("eval", f"application:set_env(rabbit, {name}, {value}).") == 0

    def queues(self, vhost: str) -> dict[str, str]:
        """Name -> type of the queues of a virtual host."""
        shown = self._run("list_queues", "-p", vhost, "--no-table-headers", "name", "type").stdout
        return dict(line.split("\t") for line in shown.decode().splitlines())

    def declared(self, vhost: str) -> dict[str, str]:
        """Name -> type and arguments of the queues of a virtual host."""
        wanted = ("name", "type", "durable", "arguments")
        shown = self._run("list_queues", "-p", vhost, "--no-table-headers", *wanted).stdout
        lines = (line.partition("\t") for line in shown.decode().splitlines())
        return {name: rest for name, _, rest in lines if name.startswith("sensorflow.")}

    def ask(self, *arguments: str) -> bytes:
        """What rabbitmqctl prints."""
        return self._run(*arguments).stdout

    def _ctl(self, *arguments: str) -> int:
        return self._run(*arguments).returncode

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [str(Path(self._program).with_name("rabbitmqctl")), "-q"]
        node = ["-n", self._env()["RABBITMQ_NODENAME"]]
        return subprocess.run(
            [*command, *node, *arguments], env=self._env(), capture_output=True, check=False
        )

    def stop(self) -> None:
        """The node, and the Erlang port mapper that it started: all are of our own session."""
        assert self._popen is not None
        os.killpg(self._popen.pid, signal.SIGKILL)  # nothing of it is kept
        self._popen.wait()
        _end_epmd(self._epmd)


def _end_epmd(port: int) -> None:
    """epmd detaches itself; it is told by the port that was made for it."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"epmd" in command and b"ERL_EPMD_PORT=%d" % port in environment:
            os.kill(int(entry.name), signal.SIGTERM)


def _program() -> str:
    """Debian's own script is passed by: it would change the user and the folder."""
    for folder in (
        Path("/usr/lib/rabbitmq/bin"),
        Path("/opt/homebrew/sbin"),
        Path("/usr/local/sbin"),
    ):
        if (folder / "rabbitmq-server").exists():
            return str(folder / "rabbitmq-server")
    found = shutil.which("rabbitmq-server")
    assert found, "RabbitMQ is not installed: sh tools/rabbitmq.sh"
    return found


def flush(url: str) -> None:
    import redis

    with redis.Redis.from_url(url) as client:
        client.flushall()
