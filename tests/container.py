"""What a process has in a container, without an engine: an arbitrary user without a home and capabilities,
on a file system that is read-only but for some folders."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

UID = 12345
ROOT = Path(__file__).parents[1]


def enter(folder: Path, writable: Sequence[Path], tmp: Path) -> list[str]:
    """Begins a command. folder: an empty folder for this. writable: the folders that the process may write
    to. tmp: one that it sees empty, as a file system in memory. The process sees the rest read-only."""
    lines = ["set -eu", *_shown(folder), *(f"mount --bind {_q(p)} {_q(p)}" for p in writable)]
    lines += [
        f"mount -t tmpfs -o mode=1777,size=64m tmpfs {_q(tmp)}",
        "mount -o remount,bind,ro /",
        'exec "$@"',
    ]
    script = folder / "enter.sh"
    script.write_text("\n".join(lines) + "\n")
    apart = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        apart += ["--user", "--map-root-user"]
    return [*apart, "--", "sh", str(script), *_anybody()]


def join(pid: int) -> list[str]:
    """Begins a command that runs beside a process, as `docker exec`."""
    users = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", f"--target={pid}", "--mount", *users, "--", *_anybody()]


def give(*folders: Path) -> None:
    """Make the user of the processes the owner of folders."""
    if os.geteuid() == 0:
        for folder in folders:
            os.chown(folder, UID, UID)


def _anybody() -> list[str]:
    """Who is root becomes another user. Who is not has no other to become."""
    user = [f"--reuid={UID}", f"--regid={UID}", "--clear-groups"] if os.geteuid() == 0 else []
    without = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return ["setpriv", *user, *without, "--", "env", "--unset=HOME"]


def _shown(folder: Path) -> Iterable[str]:
    """Python and this tree, if they are in a folder that only its owner may enter, such as /root."""
    closed: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(Path(p).resolve() for p in (sys.base_prefix, sys.prefix, ROOT)):
        if (above := _closed_above(path)) is not None:
            closed.setdefault(above, []).append(path)
    inside = [path for paths in closed.values() for path in paths]
    kept = {path: folder / f"kept{n}" for n, path in enumerate(inside)}
    for path, place in kept.items():
        yield f"mkdir -p {_q(place)} && mount --bind {_q(path)} {_q(place)}"
    for above in closed:
        yield f"mount -t tmpfs -o mode=755 tmpfs {_q(above)}"
    for path, place in kept.items():
        yield f"mkdir -p {_q(path)} && mount --bind {_q(place)} {_q(path)}"


def _closed_above(path: Path) -> Path | None:
    above = reversed((path, *path.parents))
    return next((p for p in above if not p.stat().st_mode & stat.S_IXOTH), None)


def _q(path: Path) -> str:
    return shlex.quote(str(path))
