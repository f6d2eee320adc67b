"""Generates the unit files, with a comment on each setting."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sensorflow.service.escape import comment, mount_unit, value, word

PARTS = ("daemon", "worker", "beat", "flower")
MARK = "# Written by `sensorflow service install`"
PROJECT = "# Project: "


@dataclass(frozen=True)
class Plan:
    """The values from which the units of a project are generated.

    name: name of the units, without suffix. config: the project's sensorflow.toml. python: path of the
    Python interpreter. user: the user that runs system units; None for units of the user manager. parts:
    the parts of the stack with a unit each; empty if one unit runs the whole stack. folders: the folders of
    settings and data, which must exist before the service starts. mounts: mount points of these folders,
    except `/`. late: mount points of drop folders, which may be mounted after the start. secrets: key of a
    setting -> file with its value. variables: path of an optional file with SENSORFLOW_* variables.
    """

    name: str
    config: Path
    python: str
    folders: Sequence[Path]
    variables: Path
    user: str | None = None
    parts: Sequence[str] = ()
    mounts: Sequence[Path] = ()
    late: Sequence[Path] = ()
    mountpoint: str = "/usr/bin/mountpoint"
    private_tmp: bool = True
    protect_system: bool = True
    workers: int = 4
    log_level: str = "INFO"
    flower_port: int = 5555
    secrets: Mapping[str, Path] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """The name of the unit that the user enables and starts."""
        return f"{self.name}.target" if self.parts else f"{self.name}.service"


def units(plan: Plan) -> dict[str, str]:
    """Return the unit files: file name -> text."""
    if not plan.parts:
        return {plan.unit: _service(plan, "")}
    result = {plan.unit: _target(plan)}
    return result | {f"{plan.name}-{part}.service": _service(plan, part) for part in plan.parts}


def _head(plan: Plan) -> list[str]:
    return [
        f"{MARK}, which overwrites this file: make changes with `systemctl edit`.",
        f"{PROJECT}{comment(plan.config)}",
    ]


def _target(plan: Plan) -> str:
    wants = [f"Wants={plan.name}-{part}.service" for part in plan.parts]
    lines = [*_head(plan), "[Unit]", "Description=sensorflow: the parts on this host", *wants]
    return "\n".join([*lines, "", *_install(plan), ""])


def _service(plan: Plan, part: str) -> str:
    blocks = (_head(plan), _unit(plan, part), _run(plan, part), _life(part), _fence(plan))
    lines = [line for block in blocks for line in (*block, "")]
    return "\n".join([*lines, *([] if part else _install(plan)), ""]).rstrip("\n") + "\n"


def _unit(plan: Plan, part: str) -> list[str]:
    what = {
        "": "the whole stack",
        "daemon": "ingests files from the drop folders",
        "worker": "loads files",
        "beat": "schedules the reconciler and retention",
        "flower": "shows tasks and workers",
    }[part]
    lines = ["[Unit]", f"Description=sensorflow {part or 'up'}: {what}"]
    lines.append("Documentation=man:systemd.service(5)")
    if part:
        lines.append(f"PartOf={plan.unit}")
    if plan.user is not None:
        lines += [
            "# start after network, clock and mounts; the folders of settings and data must be mounted",
            "Wants=network-online.target",
            "After=network-online.target remote-fs.target time-sync.target",
            f"RequiresMountsFor={' '.join(word(folder) for folder in plan.folders)}",
        ]
        for point in plan.late:
            unit = mount_unit(point)
            lines += [
                "# a drop folder, which may be mounted late",
                f"Wants={unit}",
                f"After={unit}",
            ]
    lines += [
        "# restart without a limit: a database or share may be unavailable for a day",
        "StartLimitIntervalSec=0",
    ]
    return lines


def _run(plan: Plan, part: str) -> list[str]:
    lines = ["[Service]"]
    if part:
        lines.append("Type=exec")
    else:
        lines += [
            "# started when the servers answer; after a crash or an upgrade, this may take long",
            "Type=notify",
            "NotifyAccess=main",
            "TimeoutStartSec=infinity",
        ]
    if plan.user is not None:
        lines.append(f"User={plan.user}")
    lines.append(f"Environment={word(f'SENSORFLOW_CONFIG={plan.config}')} PYTHONUNBUFFERED=1")
    lines.append(f"SyslogIdentifier={part or 'sensorflow'}")
    lines += _secrets(plan)
    lines += [
        "# optional SENSORFLOW_* variables: one NAME=value per line, mode 0600",
        f"EnvironmentFile=-{value(plan.variables)}",
    ]
    lines += [f"ExecStartPre=:{plan.mountpoint} -q {word(point)}" for point in plan.mounts]
    # the colon disables variables, so that `$` is literal
    lines.append(f"ExecStart=:{_started(_command(plan, part))}")
    return lines


def _started(command: list[str]) -> str:
    """Return the command line of a unit. If the program's path contains unusual characters, a shell starts
    the program by exec, because systemd rejects some of them, such as quotes and backslashes."""
    if not re.fullmatch(r"[\w /.,:+@=%-]+", command[0]):
        command = ["/bin/sh", "-c", 'exec "$0" "$@"', *command]
    return " ".join(word(argument) for argument in command)


def _secrets(plan: Plan) -> list[str]:
    """Return the lines that give the service its secrets. For a system unit, systemd reads each file as
    root, and gives the service a copy that no other user can read. A user unit reads the files itself."""
    lines = []
    for key, path in sorted(plan.secrets.items()):
        variable = f"SENSORFLOW_{key.upper()}_FILE"
        if plan.user is None:
            lines.append(f"Environment={word(f'{variable}={path}')}")
        else:
            lines.append(f"LoadCredential={key}:{value(path)}")
            lines.append(f"Environment={variable}=%d/{key}")
    return lines


def _command(plan: Plan, part: str) -> list[str]:
    celery = [plan.python, "-m", "celery", "-A", "workers"]
    level = f"--loglevel={plan.log_level}"
    return {
        "": [plan.python, "-m", "sensorflow", "up", "--logs", "journal"],
        "daemon": [plan.python, "-m", "sensorflow", "watch"],
        "worker": [plan.python, "-m", "sensorflow", "worker", "-c", str(plan.workers)],
        "beat": [*celery, "beat", level, "--pidfile="],
        "flower": [*celery, "flower", f"--port={plan.flower_port}", *FLOWER],
    }[part]


FLOWER = (
    "--logging=warning",
    "--tasks_columns=name,args,state,result,received,runtime,worker,exception",
)


def _life(part: str) -> list[str]:
    patience = {"": "3min", "daemon": "1min", "worker": "5min", "beat": "30s", "flower": "30s"}[
        part
    ]
    return [
        "Restart=always",
        "RestartSec=5s",
        "# only the main process gets the signal, and ends the others: workers finish their current",
        "# file, then the servers shut down; processes that still run after TimeoutStopSec are killed",
        "KillMode=mixed",
        "KillSignal=SIGTERM",
        f"TimeoutStopSec={patience}",
        "# if the kernel kills a process for lack of memory, the service restarts only that process",
        "OOMPolicy=continue",
        "# to limit memory: `systemctl edit`, then [Service] MemoryMax=, at least workers x max_memory",
        "LimitNOFILE=65536",
    ]


def _fence(plan: Plan) -> list[str]:
    lines = [
        "# remove privileges that the service never needs; it may still write wherever its user may,",
        "# because drop folders may be anywhere",
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
    ]
    if plan.user is None:
        return lines
    return [
        *lines,
        f"ProtectSystem={'full' if plan.protect_system else 'no'}",
        f"PrivateTmp={'yes' if plan.private_tmp else 'no'}",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "RestrictNamespaces=yes",
    ]


def _install(plan: Plan) -> list[str]:
    """Return the [Install] section. A system unit is also started by the mounts of its folders, in case
    they are mounted late."""
    boot = "default.target" if plan.user is None else "multi-user.target"
    mounts = "" if plan.user is None else "".join(f" {mount_unit(p)}" for p in plan.mounts)
    return ["[Install]", f"WantedBy={boot}{mounts}"]
