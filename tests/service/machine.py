"""A machine under systemd: PID 1 of namespaces, on a copy-on-write view of this one. Needs root."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

BOOT = Path(__file__).with_name("boot.sh")
CGROUPS = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")


class Machine:
    """What is written there is kept from boot to boot, and gone at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sensorflow-machine-", dir="/var/tmp"))
        self._cgroup = _group() / f"sensorflow-{os.getpid()}"
        self._unshare: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        self._cgroup.mkdir()
        self.boot()
        return self

    def boot(self) -> None:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts"]
        command += ["--ipc", "--net", "sh", str(BOOT), str(self.folder)]
        join = (
            f"echo $$ >{shlex.quote(str(self._cgroup))}/cgroup.procs && exec {shlex.join(command)}"
        )
        with (self.folder / "console.log").open("ab") as log:
            self._unshare = subprocess.Popen(
                ["sh", "-c", join], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait(lambda: self.run("systemctl is-system-running").stdout.strip() in UP, 60)

    @property
    def pid(self) -> int:
        """Of its PID 1, as seen from here."""
        assert self._unshare is not None
        path = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        return int(path.read_text().split()[0])

    def run(
        self, command: str, user: str = "root", cwd: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """A shell command on the machine, as a user there."""
        try:
            pid = self.pid
        except (OSError, IndexError):
            return subprocess.CompletedProcess(command, 1, "", "it is down")
        inner = f"cd {shlex.quote(cwd)} && {command}"
        shell = ["sh", "-c", inner]
        if user != "root":
            shell = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *shell]
        given = [
            "nsenter",
            f"--target={pid}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--cgroup",
        ]
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}
        if user != "root":
            uid = self.uid(user)
            env |= {"XDG_RUNTIME_DIR": f"/run/user/{uid}", "HOME": f"/home/{user}"}
        return subprocess.run(
            [*given, "--root", "--wd", *shell], env=env, capture_output=True, text=True, check=False
        )

    def must(self, command: str, user: str = "root", cwd: str = "/") -> str:
        done = self.run(command, user, cwd)
        if done.returncode != 0:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def uid(self, user: str) -> int:
        for line in self.passwd.splitlines():
            name, _, number, *_ = line.split(":")
            if name == user:
                return int(number)
        raise KeyError(user)

    @property
    def passwd(self) -> str:
        path = self.folder / "upper/etc/passwd"
        return (path if path.exists() else Path("/etc/passwd")).read_text()

    def off(self) -> None:
        """As a power switch with a cable: in order."""
        assert self._unshare is not None
        self.run("systemctl poweroff")
        self._unshare.wait(120)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._unshare is not None and self._unshare.poll() is None:
            self._unshare.kill()  # its child, PID 1, goes with it, and so does all in there
            self._unshare.wait()
        for _ in range(50):
            folders = sorted(self._cgroup.glob("**/"), key=lambda f: -len(f.parts))
            for folder in folders:
                with suppress(OSError):
                    folder.rmdir()
            if not self._cgroup.exists():
                break
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)


UP = ("running", "degraded")


def _group() -> Path:
    """Where cgroups of version 2 are."""
    for name in CGROUPS:
        if (Path(name) / "cgroup.procs").exists() and (Path(name) / "cgroup.controllers").exists():
            return Path(name)
    raise SystemExit("no cgroups of version 2 here")


def wait(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise AssertionError("it took too long")
        time.sleep(0.3)
