"""Hosts on one switch, by the kernel's namespaces: a cut loses packets as a dead switch does.

Each host has its network, processes and name apart; the disk is a share of all. A host that is cut keeps
its link, and all that it sends or is sent vanishes: no FIN, no RST, no "host unreachable".
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sensorflow.embedded import process

NET = "10.77.0"
CHILD = Path(process.__file__).with_name("child.py")
Popen = subprocess.Popen[bytes]


def why_not() -> str:
    """Why no namespaces can be made here; "" where they can."""
    if os.geteuid() != 0:
        return "hosts: needs root, for network namespaces"
    for program in ("ip", "unshare", "nsenter"):
        if subprocess.run(["which", program], capture_output=True, check=False).returncode:
            return f"hosts: needs `{program}`: apt-get install iproute2 util-linux"
    tried = subprocess.run(["unshare", "--net", "--pid", "--fork", "true"], check=False)
    return "hosts: the kernel makes no namespaces here" if tried.returncode else ""


class _Space:
    """Namespaces that last as long as one process in them, which ends with us at the latest."""

    def __init__(self, name: str, *spaces: str) -> None:
        ending_with_us = [sys.executable, "-I", "-S", str(CHILD), str(os.getpid())]
        ending_with_us += [str(int(signal.SIGKILL)), "-1", "-1"]
        script = f"{'hostname ' + name if '--uts' in spaces else 'true'}; exec sleep infinity"
        making = ["unshare", "--net", *spaces, "--fork", "--kill-child", "sh", "-c", script]
        self._popen: Popen = subprocess.Popen(
            [*ending_with_us, *making], start_new_session=True, stderr=subprocess.DEVNULL
        )
        self.pid = self._first()

    def _first(self) -> int:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            children = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children")
            if found := children.read_text().split():
                pid = int(found[0])
                if Path(f"/proc/{pid}/comm").read_text().strip() == "sleep":
                    return pid
            time.sleep(0.02)
        raise AssertionError("no namespace was made")

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._popen.wait()

    def ip(self, line: str, check: bool = True) -> None:
        command = ["nsenter", "-t", str(self.pid), "--net", "ip", *line.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


class Network:
    def __init__(self) -> None:
        self.switch = _Space("switch")
        self.switch.ip("link add lan type bridge")
        self.switch.ip("link set lan up")
        self.hosts: dict[str, Host] = {}

    def add(self, name: str) -> Host:
        self.hosts[name] = Host(self, name, len(self.hosts) + 1)
        return self.hosts[name]

    def end(self) -> None:
        for host in self.hosts.values():
            host.kill()
        self.switch.end()


class Host:
    """Runs from the start. address: on the network of all hosts."""

    def __init__(self, network: Network, name: str, number: int) -> None:
        self._network, self.name, self._number = network, name, number
        self.address, self._mac = f"{NET}.{number}", f"02:00:00:00:00:{number:02x}"
        self._space: _Space | None = None
        self._started: list[Popen] = []
        self.start()

    def start(self) -> None:
        """Also again, after `kill`, under the same address."""
        space = self._space = _Space(self.name, "--pid", "--mount", "--uts", "--mount-proc")
        switch = self._network.switch
        switch.ip(f"link add {self.name} type veth peer name eth0 netns {space.pid}")
        switch.ip(f"link set {self.name} master lan up")
        space.ip("link set lo up")
        space.ip(f"link set eth0 address {self._mac} up")
        space.ip(f"addr add {self.address}/24 dev eth0")
        for other in range(
            1, 20
        ):  # known for good: a host that is cut is silent, and not unreachable
            neighbour = f"{NET}.{other} lladdr 02:00:00:00:00:{other:02x}"
            space.ip(f"neigh replace {neighbour} dev eth0 nud permanent")

    def cut(self) -> None:
        self._network.switch.ip(f"link set {self.name} nomaster")

    def repair(self) -> None:
        self._network.switch.ip(f"link set {self.name} master lan")

    def kill(self) -> None:
        """All its processes at once, without a word to anybody. Idempotent."""
        if self._space is None:
            return
        self.cut()
        self._space.end()
        self._network.switch.ip(f"link delete {self.name}", check=False)  # it may be gone by now
        self._space = None
        for popen in self._started:
            popen.wait()
        self._started.clear()

    @property
    def entering(self) -> list[str]:
        """What a command begins with that runs on this host."""
        assert self._space is not None
        return ["nsenter", "-t", str(self._space.pid), "--net", "--pid", "--mount", "--uts"]

    def run(
        self,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path = Path("/"),
        user: tuple[int, int] | None = None,
    ) -> Popen:
        entering = self.entering
        if user is not None:
            entering += ["-S", str(user[0]), "-G", str(user[1])]
        with log.open("ab") as out:
            popen = subprocess.Popen(
                [*entering, f"--wd={cwd}", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        self._started.append(popen)
        return popen
