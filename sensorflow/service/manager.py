"""Controls systemd on this host: writes unit files, and finds the units of a project and their state."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensorflow.disk import replace
from sensorflow.errors import UsageError
from sensorflow.service.escape import comment
from sensorflow.service.plan import config_home
from sensorflow.service.units import MARK, PROJECT

SHOWN_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID"),
    *("NRestarts", "ActiveEnterTimestamp", "Result", "NeedDaemonReload"),
)


@dataclass(frozen=True)
class Systemd:
    """A service manager of systemd. user: True for the user manager of the current user, False for the
    system manager."""

    user: bool

    @property
    def folder(self) -> Path:
        return config_home() / "systemd" / "user" if self.user else Path("/etc/systemd/system")

    @property
    def command(self) -> list[str]:
        return ["systemctl", "--user"] if self.user else ["systemctl"]

    def require(self) -> None:
        """Check that the manager is available. Raises UsageError if it is not."""
        if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
            raise UsageError(
                "systemd is not running here: `sensorflow service install --print` shows the units "
                "for another host. In a container, use docker/compose.yaml; otherwise start "
                "`sensorflow up` with the init system of this host"
            )
        done = self._run("show", "--property=Version")
        if done.returncode != 0:
            hint = "; log in as that user, or set XDG_RUNTIME_DIR=/run/user/$(id -u)"
            raise UsageError(
                f"`{' '.join(self.command)}` cannot reach systemd: {_last(done.stderr)}"
                + (hint if self.user else "")
            )

    def ours(self, config: Path) -> list[Path]:
        """Return the unit files of a project, targets first. config: the project's sensorflow.toml."""
        return sorted(
            (path for path, project in _written(self.folder) if project == comment(config)),
            key=lambda path: (path.suffix != ".target", path.name),
        )

    def require_free(self, names: Sequence[str], config: Path) -> None:
        """Check that units with these names may be written. Raises UsageError if there is such a unit that
        belongs to another project or was not written by sensorflow."""
        known = dict(_written(self.folder))
        for name in names:
            path = self.folder / name
            if path.exists() and known.get(path) != comment(config):
                unit_owner = known.get(path)
                what = (
                    f"belongs to another project, {unit_owner}"
                    if unit_owner
                    else "was not written by sensorflow"
                )
                raise UsageError(f"{path} {what}: choose another --name for this service")

    def write(self, texts: dict[str, str]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                replace(self.folder / name, text.encode("utf-8"))
        except OSError as error:
            raise UsageError(f"{self.folder}: {error.strerror}") from error
        self.run_or_raise("daemon-reload")

    def run_or_raise(self, *arguments: str) -> None:
        done = self._run(*arguments)
        if done.returncode != 0:
            raise UsageError(f"`{' '.join((*self.command, *arguments))}`: {_last(done.stderr)}")

    def facts(self, names: Sequence[str]) -> list[dict[str, str]]:
        """Return the properties `SHOWN_PROPERTIES` of each unit, one dict for each unit."""
        done = self._run("show", f"--property={','.join(SHOWN_PROPERTIES)}", "--", *names)
        blocks = done.stdout.strip().split("\n\n")
        return [
            dict(line.partition("=")[::2] for line in block.splitlines())
            for block in blocks
            if block.strip()
        ]

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*self.command, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def _written(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in (*folder.glob("*.service"), *folder.glob("*.target")):
        try:
            lines = path.read_text("utf-8", "replace").splitlines()[:2]
        except OSError:
            continue
        if len(lines) == 2 and lines[0].startswith(MARK) and lines[1].startswith(PROJECT):
            yield path, lines[1].removeprefix(PROJECT)


def units_of(config: Path) -> tuple[Systemd, list[str]] | None:
    """Return the manager that runs the units of a project, and the names of the units. None if the project
    has no units. config: the project's sensorflow.toml."""
    for manager in (Systemd(user=False), Systemd(user=True)):
        if found := manager.ours(config):
            return manager, [path.name for path in found]
    return None


def is_lingering(user: str) -> bool:
    return Path("/var/lib/systemd/linger", user).exists()


def journal(manager: Systemd, names: Sequence[str]) -> list[str]:
    """Return the command that shows the logs of the units `names`."""
    flag = "--user-unit" if manager.user else "--unit"
    services = [name for name in names if name.endswith(".service")]
    return ["journalctl", *(f"{flag}={name}" for name in services)]


def login() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
