"""Selects Flower's port for `sensorflow up`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sensorflow.cli.show import line
from sensorflow.errors import Code, UsageError

if TYPE_CHECKING:
    from sensorflow.embedded.process import Process
    from sensorflow.settings import Settings


def port_for(settings: Settings) -> int:
    """Returns a free port for Flower. If the default port is in use, returns another port and prints a
    note. Raises UsageError if `flower_port` is set and this port is in use."""
    from sensorflow.embedded.process import free_port, listener

    wanted = settings.flower_port
    port = free_port(wanted)
    if wanted in (0, port):
        return port
    user = listener(wanted) or "another program"
    if asked_for(settings):
        raise UsageError(
            f"flower_port = {wanted}: this port is in use by {user}; end that program, or set another port "
            "(0 selects any free port)",
            Code.SETTINGS,
        )
    line(f"port {wanted} is in use by {user}; Flower uses port {port}")
    return port


def another_port(processes: Sequence[Process], settings: Settings, port: int) -> int:
    """Returns the port of Flower. If Flower has ended because another program uses its port, selects
    another port, and changes the command of the process accordingly. If `flower_port` is set, the port
    never changes.

    processes: the processes of the fleet. port: the present port.
    """
    from sensorflow.embedded.process import free_port

    for process in processes:
        ended = process.name == "flower" and process.pid is not None and not process.is_alive
        if ended and not asked_for(settings) and free_port(port) != port:
            new = port_for(settings)
            before, after = f"--port={port}", f"--port={new}"
            process.command = [after if word == before else word for word in process.command]
            return new
    return port


def asked_for(settings: Settings) -> bool:
    return "flower_port" in settings.model_fields_set and settings.flower_port != 0
