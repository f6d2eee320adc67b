"""Test docker/Dockerfile without Docker: `make image-steps`. Run its instructions in a minimal Debian of
the same release as its base image. Then run the commands of the image as the image's user, on a read-only
root. Needs root and debootstrap, and takes minutes.

There is one difference from the image: Debian's own Python is used instead of the Python in /usr/local of
the base image.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
PYTHON = ("ca-certificates", "python-is-python3", "python3-pip", "python3-venv")
FROM_HOST = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
"""Files of this host that are copied into the build, so that pip can reach the package index from
there."""
PASSED = re.compile(r"(PIP_CERT|PIP_INDEX_URL|PIP_DEFAULT_TIMEOUT|SSL_CERT_FILE|.*_proxy|.*_PROXY)")
ANY_UID = 54321


@dataclass
class Stage:
    """A stage of the build. root: the folder with the stage's file system. The other fields contain the
    values that the instructions of the stage have set so far."""

    root: Path
    args: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def filled(self, text: str) -> str:
        known = {**self.args, **self.env, "PATH": self.env.get("PATH", PATH)}
        return re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ""), text)

    def run(self, command: str) -> None:
        """Run the command of a RUN instruction in the file system of the stage."""
        env = {"PATH": PATH, "HOME": "/root", **_passed(), **self.args, **self.env}
        chroot = [
            "chroot",
            str(self.root),
            "/bin/sh",
            "-c",
            f"cd {shlex.quote(self.folder)} && {command}",
        ]
        with _system(self.root):
            subprocess.run(chroot, env=env, check=True, stdout=subprocess.DEVNULL)

    def start(self, *words: str, uid: str, env: dict[str, str]) -> str:
        """Run a command as in a container: on a read-only root, and as a user without a home folder.
        words: the command. uid: id of the user and of its group. Returns the output of the command."""
        script = f"""set -eu
cd {shlex.quote(str(self.root))}
mount --bind . . && cd {shlex.quote(str(self.root))}
mount -t proc proc proc && mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmpfs tmp && mount -t tmpfs -o mode=777 tmpfs data
mount -o remount,bind,ro .
exec chroot . setpriv --reuid={uid} --regid={uid} --clear-groups --bounding-set=-all --no-new-privs \\
    sh -c 'cd "$0" && exec "$@"' {shlex.quote(self.folder)} "$@"
"""
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
        given = {"PATH": PATH, **self.env, **env}
        done = subprocess.run(
            [*command, *self.entrypoint, *words],
            env=given,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{shlex.join(words)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout


PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def instructions() -> Iterator[tuple[str, str]]:
    lines = [x for x in DOCKERFILE.read_text().splitlines() if not x.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, rest = line.split(maxsplit=1)
            yield word, rest.strip()


def build(bare: Path, place: Path) -> Stage:
    """Run all instructions of the Dockerfile. bare: a folder with the file system that is used instead of
    the base image. place: the folder for the stages. Returns the last stage."""
    globals_: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for word, rest in instructions():
        shown = re.sub(r"\s+", " ", rest)
        print(f"{word} {shown[:110]}", flush=True)
        if word == "FROM":
            name = rest.split()[2] if " AS " in rest else "final"
            stage = stages[name] = Stage(place / name, dict(globals_))
            subprocess.run(["cp", "-a", "--reflink=auto", str(bare), str(stage.root)], check=True)
        elif stage is None:
            assert word == "ARG", word
            key, _, value = rest.partition("=")
            globals_[key] = value
        else:
            _do(stage, word, rest, stages)
    assert stage is not None
    return stage


def _do(stage: Stage, word: str, rest: str, stages: dict[str, Stage]) -> None:
    match word:
        case "ARG":
            key, _, value = rest.partition("=")
            stage.args[key] = value
        case "ENV":
            for pair in shlex.split(stage.filled(rest)):
                key, _, value = pair.partition("=")
                stage.env[key] = value
        case "WORKDIR":
            stage.folder = rest
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "RUN":
            stage.run(rest)
        case "COPY":
            _copy(stage, shlex.split(rest), stages)
        case "USER":
            stage.user = stage.filled(rest)
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case "LABEL" | "HEALTHCHECK":
            pass
        case _:
            raise SystemExit(f"{word}: not known to tools/image_steps.py")


def _copy(stage: Stage, words: list[str], stages: dict[str, Stage]) -> None:
    *sources, target = words
    origin = ROOT
    if sources[0].startswith("--from="):
        origin = stages[sources.pop(0).removeprefix("--from=")].root
    into = stage.root / (Path(stage.folder) / target).as_posix().lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        goal = into / path.name if target.endswith("/") else into
        if origin == ROOT and _ignored(source):
            raise SystemExit(f"COPY {source}: .dockerignore excludes it")
        if path.is_dir():
            ignore = shutil.ignore_patterns("__pycache__") if origin == ROOT else None
            shutil.copytree(path, goal, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        else:
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, goal)


def _ignored(name: str) -> bool:
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatchcase(name, line.removeprefix("!")):
            verdict = not line.startswith("!")
    return verdict


def _passed() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if PASSED.fullmatch(name)}


@contextlib.contextmanager
def _system(root: Path) -> Iterator[None]:
    """Mount /proc in the folder `root` while the context lasts, because RUN instructions need it."""
    subprocess.run(["mount", "-t", "proc", "proc", str(root / "proc")], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(root / "proc")], check=True)


def bare_root(release: str, place: Path) -> Path:
    root = place / "bare"
    print(f"debootstrap {release}", flush=True)
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(PYTHON)}",
        release,
        str(root),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in FROM_HOST:
        if Path(name).exists():
            (root / name.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, root / name.lstrip("/"))
    for path in Path("/etc/apt/apt.conf.d").glob("*proxy*"):
        shutil.copy(path, root / "etc/apt/apt.conf.d")
    for path in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        path.unlink()  # pip installs into the base image's Python as well
    return root


def check(stage: Stage) -> None:
    """Run the commands of the image, as its own user and as a user with any other id."""
    uid = stage.user.split(":")[0]
    if uid == "0" or stage.user != f"{uid}:{uid}":
        raise SystemExit(
            f"USER {stage.user}: must be a user other than root, with a group of the same id"
        )
    url = {
        "SENSORFLOW_DATABASE_URL": "postgresql://x@127.0.0.1:1/x",
        "SENSORFLOW_BROKER_URL": "redis://127.0.0.1:1/0",
        "SENSORFLOW_DATA": "/data",
    }
    for user in (uid, str(ANY_UID)):
        print(
            f"uid {user}: {stage.start('sensorflow', 'version', uid=user, env={}).strip()}",
            flush=True,
        )
        for part in ("worker", "beat", "flower"):
            stage.start("celery", "-A", "workers", part, "--help", uid=user, env=url)
        stage.start("python", "-c", ZONES, uid=user, env={})
        stage.start("sh", "-c", WRITES, uid=user, env={})
    healthy = re.search(r"HEALTHCHECK.*?CMD (\[.*\])", DOCKERFILE.read_text().replace("\\\n", " "))
    assert healthy is not None
    words = json.loads(healthy[1])
    touched = f'touch "$SENSORFLOW_LIVENESS_FILE" && exec {shlex.join(words)}'
    stage.start("sh", "-c", touched, uid=uid, env={})
    stage.start("sh", "-c", f"! {shlex.join(words)}", uid=uid, env={})


ZONES = """\
import pyarrow as pa, pyarrow.compute as pc
from datetime import datetime
at = pa.array([datetime(2026, 7, 1)], pa.timestamp("us"))
assert pc.assume_timezone(at, "Europe/Berlin")[0].as_py().hour == 0
"""
WRITES = """\
touch /data/x /tmp/x
for place in / /opt/sensorflow /usr /var /etc; do
    if touch "$place/x" 2>/dev/null; then echo "$place is writable" >&2; exit 1; fi
done
if pip --version >/dev/null 2>&1 && [ -w /opt/sensorflow ]; then exit 1; fi
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--keep", action="store_true", help="keep the temporary folder and print its path"
    )
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.exit("make image-steps needs root and debootstrap: apt-get install debootstrap")
    base = next(rest for word, rest in instructions() if word == "ARG").partition("=")[2]
    release = base.rpartition("-")[2]
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    place = Path(tempfile.mkdtemp(prefix="image-"))
    place.chmod(0o755)
    try:
        stage = build(bare_root(release, place), place)
        check(stage)
        size = subprocess.run(
            ["du", "-sm", str(stage.root / "opt/sensorflow")],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.monotonic() - began
        print(f"image-steps: ok, /opt/sensorflow {size.stdout.split()[0]} MB, {seconds:.0f} s")
    finally:
        if given.keep:
            print(place)
        else:
            shutil.rmtree(place)


if __name__ == "__main__":
    main()
