"""A network of the soak's own, in which one worker can be cut off: no FIN, no RST, nothing unreachable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hosts.network import why_not

INNER_ADDRESS, OUTER_ADDRESS = "10.77.0.1", "10.77.0.2"
_MACS = {INNER_ADDRESS: "02:00:00:00:00:01", OUTER_ADDRESS: "02:00:00:00:00:02"}


def alone(*arguments: str, module: str = "chaos") -> int:
    """Run ``python -m MODULE`` with these arguments in a namespace of its own; returns its exit code."""
    if reason := why_not():
        print(reason.replace("hosts:", f"{module}:", 1), file=sys.stderr)
        return 2
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        ["unshare", "--net", "--kill-child", "--fork", *command], check=False
    ).returncode


class Network:
    """Our own end of it, `INNER_ADDRESS`, and one host, `OUTER_ADDRESS`, whose processes share all but
    the network."""

    def __init__(self, holder: int) -> None:
        self._holder = holder

    @property
    def entering(self) -> list[str]:
        return ["nsenter", "-t", str(self._holder), "--net"]

    def cut(self) -> None:
        _ip("link set away nomaster")

    def repair(self) -> None:
        _ip("link set away master lan")


@contextmanager
def network() -> Iterator[Network]:
    """Within the namespace that `alone` has made."""
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            pass
        new_network = Network(holder.pid)
        _ip("link set lo up")
        _ip(f"link add lan address {_MACS[INNER_ADDRESS]} type bridge")
        _ip("link set lan up")
        _ip(f"addr add {INNER_ADDRESS}/24 dev lan")
        _ip(f"link add away type veth peer name eth0 netns {holder.pid}")
        _ip("link set away master lan up")
        for line in (
            "link set lo up",
            f"link set eth0 address {_MACS[OUTER_ADDRESS]} up",
            f"addr add {OUTER_ADDRESS}/24 dev eth0",
            f"neigh replace {INNER_ADDRESS} lladdr {_MACS[INNER_ADDRESS]} dev eth0 nud permanent",
        ):
            _ip(line, new_network.entering)
        _ip(f"neigh replace {OUTER_ADDRESS} lladdr {_MACS[OUTER_ADDRESS]} dev lan nud permanent")
        yield new_network
    finally:
        holder.kill()
        holder.wait()


def _ip(line: str, entering: list[str] | None = None) -> None:
    subprocess.run([*(entering or []), "ip", *line.split()], check=True)
