"""Plans the units of a project. The checks raise UsageError before any unit file is written."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sensorflow.embedded import state
from sensorflow.environment import PREFIX
from sensorflow.environment import folder as here
from sensorflow.errors import UsageError
from sensorflow.service.escape import slug
from sensorflow.service.units import PARTS, Plan
from sensorflow.settings import Settings, load, required_file
from sensorflow.settings.storage import ZONES
from sensorflow.shell import quoted

SECRETS = ("database_url", "broker_url", "flower_password")


def project(secrets: Mapping[str, Path]) -> tuple[Path, Settings]:
    """Return the path of the settings file, and the settings as the service will read them: with `secrets`,
    and without the environment variables of this process. Raises UsageError."""
    path = required_file(here())
    given = {f"{PREFIX}{key.upper()}_FILE": str(file) for key, file in secrets.items()}
    ours = {n: v for n, v in os.environ.items() if not n.startswith(PREFIX)}
    return path.absolute(), load(path, {**ours, **given})


def secrets_of(texts: Iterable[str]) -> dict[str, Path]:
    """Parse items of the form KEY=FILE. Returns key of the setting -> file. Raises UsageError."""
    found = {}
    for text in texts:
        key, sign, file = text.partition("=")
        if key not in SECRETS or not sign or not file:
            raise UsageError(f"--secret {text!r}: give KEY=FILE, with one of {', '.join(SECRETS)}")
        found[key] = Path(file).absolute()
    return found


def parts_of(text: str) -> tuple[str, ...]:
    """Parse comma-separated names of parts of the stack. Returns the names in the order of `PARTS`. Raises
    UsageError for an unknown name."""
    given = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in given:
        if part not in PARTS:
            raise UsageError(f"--parts: unknown part {part!r}; known parts: {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in given)


def _zone_folders(settings: Settings) -> list[Path]:
    """Return the folders of the zones that are on this host."""
    return [folder for zone in ZONES if (folder := settings.zone_folder(zone)) is not None]


def plan(
    path: Path,
    settings: Settings,
    *,
    user: str | None,
    parts: Sequence[str] = (),
    name: str | None = None,
    secrets: Mapping[str, Path] | None = None,
) -> Plan:
    """Return the plan of a project's units. Raises UsageError.

    path: the project's sensorflow.toml. user: the user that runs system units; None for units of the user
    manager. parts: the parts of the stack with a unit each; empty for one unit that runs the whole
    stack. name: name of the unit; None for the default. secrets: key of a setting -> file with its value.
    """
    if parts and settings.embedded:
        raise UsageError(
            "--parts needs database_url and broker_url: the embedded servers are part of "
            "`sensorflow up`; without --parts one unit runs all of it"
        )
    if not settings.by_celery and (celery := [p for p in parts if p in ("beat", "flower")]):
        raise UsageError(
            f"--parts {','.join(celery)}: only Celery needs this, and broker_url is not a Celery broker"
        )
    if not settings.sources:
        raise UsageError(
            f"{path}: nothing to watch: no [sources.NAME] table; add one with `sensorflow sources add`"
        )
    data, home = settings.data_folder, path.parent
    drops = [settings.path(source.path) for source in settings.folders.values()]
    given = dict(secrets or {})
    zones = _zone_folders(settings)
    if (before := settings.before_move()) is not None:
        zones += _zone_folders(before)
    used = [path, data, *drops, *zones, Path(sys.prefix), *given.values()]
    chosen = name or f"sensorflow-{slug(home.name)}"
    if chosen != slug(chosen):
        raise UsageError(
            f"--name {chosen!r}: a unit name consists of a-z, 0-9 and -, for example {slug(chosen)}"
        )
    needed = {
        point for folder in (home, data, *zones) if (point := mount_point(folder)) != Path("/")
    }
    late = {mount_point(drop) for drop in drops} - needed - {Path("/")}
    return Plan(
        name=chosen,
        config=path,
        python=sys.executable,
        folders=(home, data),
        variables=_variables(chosen, user),
        user=user,
        parts=parts,
        mounts=sorted(needed),
        late=sorted(late),
        mountpoint=shutil.which("mountpoint") or "/usr/bin/mountpoint",
        private_tmp=not any(map(below_tmp, used)) and not _sockets_in_tmp(settings),
        protect_system=not any(map(below_system, (data, *drops, *zones))),
        workers=settings.workers,
        log_level=settings.log_level,
        flower_port=settings.flower_port or 5555,
        secrets=given,
    )


def _variables(name: str, user: str | None) -> Path:
    if user is not None:
        return Path("/etc/sensorflow") / f"{name}.env"
    return config_home() / "sensorflow" / f"{name}.env"


def config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def mount_point(folder: Path) -> Path:
    """Return the mount point of the file system of a folder, or of the folder's nearest existing parent."""
    while not folder.exists() or not folder.is_mount():
        if folder == folder.parent:
            break
        folder = folder.parent
    return folder


def below_tmp(path: Path) -> bool:
    return any(path.is_relative_to(tmp) for tmp in ("/tmp", "/var/tmp"))


def below_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in ("/usr", "/boot", "/etc"))


def _sockets_in_tmp(settings: Settings) -> bool:
    """Return whether the connection to the database or the broker may be a socket in /tmp."""
    urls = (settings.database_url, settings.broker_url)
    return any(url is not None and "tmp" in url.get_secret_value() for url in urls)


def owner(path: Path, wanted: str | None) -> str:
    """Return the user that runs system units: `wanted` or, if it is None, the owner of the file `path`.
    Raises UsageError if the user does not exist, or is root although root is not `wanted`."""
    if wanted is not None:
        try:
            return pwd.getpwnam(wanted).pw_name
        except KeyError:
            raise UsageError(f"--run-as {wanted!r}: no such user") from None
    try:
        found = pwd.getpwuid(path.stat().st_uid).pw_name
    except KeyError:
        raise UsageError(f"{path} belongs to an unknown user: give --run-as NAME") from None
    if found == "root":
        raise UsageError(
            f"{path} belongs to root, and a service should not run as root: give --run-as NAME "
            f"with an ordinary user, and run `chown -R NAME: {quoted(path.parent)}`; `useradd --system "
            "sensorflow` makes such a user. To run as root, give --run-as root"
        )
    return found


def require_usable(path: Path, settings: Settings, user: str) -> None:
    """Check that `user` can run this Python, can read the settings and owns the project's data. Raises
    UsageError otherwise."""
    found = pwd.getpwnam(user)
    data = settings.data_folder
    _require_same_database(settings, found)
    if data.exists() and data.stat().st_uid != found.pw_uid and found.pw_uid != 0:
        raise UsageError(f"{data} does not belong to {user}: `chown -R {user}: {quoted(data)}`")
    if os.geteuid() != 0 or found.pw_uid == 0:
        return
    for what, command in (
        (sys.executable, [sys.executable, "-c", "import sensorflow"]),
        (str(path), ["/bin/cat", str(path)]),
    ):
        done = subprocess.run(
            command,
            user=found.pw_uid,
            group=found.pw_gid,
            extra_groups=os.getgrouplist(user, found.pw_gid),
            cwd="/",
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise UsageError(
                f"user {user} may not use {what}: put sensorflow and the project into folders that this "
                "user may read, for example below /opt, /srv or the user's home"
            )


def _require_same_database(settings: Settings, found: pwd.struct_passwd) -> None:
    """Raises UsageError if the service would create a new, empty database although the project already has
    an embedded database. This happens if one of the two was created by root and the other by an ordinary
    user, because the embedded servers of root have their data in another folder."""
    of_root = state.root_home(settings.data_folder)
    of_user = settings.data_folder / "embedded"
    this_user, other_user = (of_root, of_user) if found.pw_uid == 0 else (of_user, of_root)
    if (
        not settings.embedded
        or (this_user / "postgres").exists()
        or not (other_user / "postgres").exists()
    ):
        return
    user_kind = "an ordinary user" if found.pw_uid == 0 else "root"
    raise UsageError(
        f"the embedded database of this project was created by {user_kind} and is in {other_user}; the "
        f"user {found.pw_name} would create a new, empty one. Install the service for the user who "
        "created the database (--run-as). Or stop the stack, move that folder to "
        f"{this_user} and run `chown -R {found.pw_name}: {quoted(this_user)}`"
    )
