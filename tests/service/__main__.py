"""`make service`: a project as a service under a systemd of its own: boot, kill, stop, boot again."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from service.machine import Machine, wait

BIN = Path(sys.executable).parent
FLOW = f"PYTHONDONTWRITEBYTECODE=1 {shlex.quote(str(BIN / 'sensorflow'))}"
HEAD = "time,sensor,type,value,unit"
NAME = 'my plant\'s "é" (2) 100%'
UNIT = "sensorflow-my-plant-s-2-100.service"
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


class InstalledProject:
    """A project on the machine, and its user."""

    def __init__(self, machine: Machine, home: str, user: str) -> None:
        self.machine, self.home, self.user = machine, home, user
        self.rows = 0
        machine.must(f"mkdir -p {shlex.quote(home)} && chown {user}: {shlex.quote(home)}")
        self.flow("init")

    def flow(self, arguments: str, user: str | None = None) -> str:
        return self.machine.must(f"{FLOW} {arguments}", user or self.user, self.home)

    def drop(self, name: str) -> None:
        line = f"2026-01-31T12:00:{self.rows:02}Z,tank-7,temperature,21.5,degC"
        self.rows += 1
        text = shlex.quote(f"{HEAD}\n{line}\n")
        where = f"drop/readings/{name}"
        command = f"printf %s {text} >{where}.part && mv {where}.part {where}.csv"
        self.machine.must(command, self.user, self.home)

    def loaded(self) -> int:
        done = self.machine.run(f"{FLOW} status --json", self.user, self.home)
        if done.returncode != 0:
            return -1
        found = json.loads(done.stdout)
        assert found["balanced"], found
        return sum(source["rows_loaded"] for source in found["sources"].values())

    def wait(self) -> None:
        wait(lambda: self.loaded() == self.rows, 120)


def main() -> None:
    if os.geteuid() != 0:
        sys.exit("it boots a systemd in namespaces of its own, which needs root")
    with Machine() as machine:
        say("booted: " + machine.must("systemctl --version | head -1"))
        machine.must("id plant >/dev/null 2>&1 || useradd --create-home plant")
        _open(machine)
        try:
            _system(machine)
            _user(machine)
        except AssertionError:
            print(machine.run("journalctl -b --no-pager -n 60 -o short").stdout)
            raise
    say("all as it should be")


def _open(machine: Machine) -> None:
    """The checkout and its Python may lie where an ordinary user may not look; here, he may."""
    for path in {Path(sys.executable).resolve(), BIN, Path(__file__).resolve()}:
        for folder in path.parents:
            machine.run(f"chmod o+rx {shlex.quote(str(folder))}")


def _system(machine: Machine) -> None:
    site = InstalledProject(machine, f"/srv/{NAME}", "plant")
    site.drop("early")
    print(site.flow("service install --now", user="root"))
    shown = machine.must(f"systemctl show -p RequiresMountsFor -p Environment -p User {UNIT}")
    words = shlex.split(shown)
    mounts = {word.removeprefix("RequiresMountsFor=") for word in words}
    assert {site.home, f"{site.home}/data"} <= mounts, words
    assert f"Environment=SENSORFLOW_CONFIG={site.home}/sensorflow.toml" in words, words
    say("installed, started, " + _state(machine, UNIT))
    site.wait()
    say(f"{site.rows} row: a file that was there before")
    before = _pid(machine, UNIT)
    machine.must(f"kill -9 {before}")
    wait(lambda: _pid(machine, UNIT) not in (before, "0") and _active(machine, UNIT), 120)
    site.drop("after-kill")
    site.wait()
    say(f"kill -9 of the main process: back as {_pid(machine, UNIT)}, {site.rows} rows")
    machine.must(f"systemctl stop {UNIT}")
    facts = machine.must(f"systemctl show -p Result -p ExecMainStatus {UNIT}").splitlines()
    assert sorted(facts) == ["ExecMainStatus=0", "Result=success"], facts
    left = machine.run("pgrep -u plant -a").stdout
    assert not left, left
    log = machine.must(f"journalctl -u {UNIT} -b -t postgres -t worker -o short")
    assert "worker[" in log, log[-3000:]
    say("stopped: in order, exit status 0, no process left")
    site.drop("while-down")
    machine.off()
    machine.boot()
    wait(lambda: _active(machine, UNIT), 120)
    site.wait()
    say(f"booted again: it came by itself, {site.rows} rows, the file of meanwhile among them")
    print(site.flow("service status"))
    shown = site.flow("logs --lines 3 daemon", user="root")
    assert "daemon[" in shown, shown
    print(shown)
    site.flow("service uninstall", user="root")
    assert "not-found" in machine.must(f"systemctl show -p LoadState {UNIT}")
    machine.must("test -d data/landing", cwd=site.home)
    say("uninstalled; its data is there")


def _user(machine: Machine) -> None:
    """Of the user's own manager, which lingering keeps without anybody being logged in."""
    uid = machine.uid("plant")
    machine.must("mkdir -p /var/lib/systemd/linger && touch /var/lib/systemd/linger/plant")
    machine.must(f"systemctl start user@{uid}.service")
    site = InstalledProject(machine, "/home/plant/small", "plant")
    print(site.flow("service install --user --now"))
    site.drop("one")
    site.wait()
    before = _pid(machine, "sensorflow-small", "plant")
    machine.must(f"kill -9 {before}")
    wait(lambda: _pid(machine, "sensorflow-small", "plant") not in (before, "0"), 60)
    site.drop("two")
    site.wait()
    site.flow("service uninstall --user")
    say(f"user units: {site.rows} rows, killed and back, uninstalled")


def _state(machine: Machine, unit: str) -> str:
    return machine.must(f"systemctl show -P ActiveState {unit}")


def _active(machine: Machine, unit: str) -> bool:
    return _state(machine, unit) == "active"


def _pid(machine: Machine, unit: str, user: str = "root") -> str:
    flag = "" if user == "root" else "--user"
    return machine.run(f"systemctl {flag} show -P MainPID {unit}", user).stdout.strip()


if __name__ == "__main__":
    assert shutil.which("unshare")
    main()
