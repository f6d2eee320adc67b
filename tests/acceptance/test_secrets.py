"""Passwords are planted, everything is run, broken and mended; then whatever was said is searched."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
import psycopg
import pytest
import redis
import warm
from fleet import Fleet, fleet, rows, text
from patience import PATIENCE
from servers import RabbitMQ

from sensorflow.embedded import state
from sensorflow.embedded.valkey import Valkey
from sensorflow.settings import Settings

DATABASE, BROKER, FLOWER = "Tr0ub4dor/d@b%s", "Br0k3rWort:?b#r", "Fl0w3rWort,x y"
MARKS = ("Tr0ub4dor", "Br0k3rWort", "Fl0w3rWort", "Wr0ngWort")
PAGES = (
    *("/", "/workers", "/workers?json=1&refresh=1", "/tasks", "/broker", "/metrics"),
    *("/api/workers?refresh=1", "/api/tasks", "/api/task/types", "/api/queues/length"),
)


def disguises(mark: str) -> list[bytes]:
    """As it is (special characters follow it), and in base64 at each of three places in a text."""
    found = [mark.encode()]
    for shift in range(3):
        coded = base64.b64encode(b"x" * shift + mark.encode()).rstrip(b"=")
        found.append(coded[4 if shift else 0 : -2])
    return found


def leaks(outputs: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """(where, the line) of whatever shows a password."""
    return [
        (where, line[:300])
        for where, content in outputs.items()
        for line in content.splitlines()
        if any(d in line for mark in MARKS for d in disguises(mark))
    ]


def test_the_search_finds_a_password_in_every_disguise() -> None:
    word = DATABASE
    for shown in (
        word.encode(),
        quote(word, safe="").encode(),
        base64.b64encode(word.encode()),
        base64.b64encode(f"mark:{word}".encode()),
        base64.b64encode(f"user:{word}".encode() + b"x"),
        base64.b64encode(f"a:{word}".encode()),
    ):
        assert leaks({"x": b"..." + shown}), shown


@dataclass(frozen=True)
class ServerWithPassword:
    """A server that is reached by a planted password. take_away: shuts that user out for as long."""

    url: str
    take_away: Callable[[], None]
    back: Callable[[], None]


@pytest.fixture
def planted_database(database: str) -> Iterator[ServerWithPassword]:
    name = urlsplit(database).path.strip("/").replace("test_", "mark_")
    plain = psycopg.connect(database, autocommit=True)

    def run(statement: str) -> None:
        plain.execute(statement)  # type: ignore[arg-type]

    def away() -> None:
        run(f"ALTER ROLE {name} NOLOGIN")
        run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")

    run(f"CREATE ROLE {name} LOGIN PASSWORD '{DATABASE}' IN ROLE sensorflow_loader")
    word, address = quote(DATABASE, safe=""), database.partition("@")[2]
    url = f"postgresql://{name}:{word}@{address}"
    yield ServerWithPassword(url, away, lambda: run(f"ALTER ROLE {name} LOGIN"))
    run(f"DROP OWNED BY {name}")
    run(f"DROP ROLE {name}")
    plain.close()


@pytest.fixture(params=["valkey", "rabbitmq"])
def planted_broker(request: pytest.FixtureRequest) -> Iterator[ServerWithPassword]:
    word = quote(BROKER, safe="")
    if request.param == "rabbitmq":
        server: RabbitMQ = request.getfixturevalue("rabbitmq")
        plain = server.new_vhost()
        vhost = plain.rsplit("/", 1)[1]
        server.user("mark", BROKER, vhost)
        url = f"amqp://mark:{word}@{plain.partition('@')[2]}"
        yield ServerWithPassword(
            url, lambda: server.shut_out("mark", vhost), lambda: server.let_in("mark", vhost)
        )
        server.remove_user("mark")
        return
    valkey: Valkey = request.getfixturevalue("valkey")
    url = f"redis://mark:{word}@{request.getfixturevalue('valkey_url').partition('@')[2]}"
    with redis.Redis.from_url(valkey.url) as admin:

        def run(*words: str) -> None:
            admin.execute_command(*words)

        def away() -> None:
            run("ACL", "SETUSER", "mark", "off")
            run("CLIENT", "KILL", "USER", "mark")

        run("ACL", "SETUSER", "mark", "on", f">{BROKER}", "~*", "&*", "+@all")
        yield ServerWithPassword(url, away, lambda: run("ACL", "SETUSER", "mark", "on"))
        run("ACL", "DELUSER", "mark")


@contextmanager
def outage(server: ServerWithPassword) -> Iterator[None]:
    server.take_away()
    try:
        yield
    finally:
        server.back()


def command(f: Fleet, *words: str, **environ: str) -> bytes:
    """All that a command says, failed or not."""
    done = warm.run(words, {**f.env, **environ}, f.project)
    return done.stdout + done.stderr


def commands(
    f: Fleet, wanted: dict[str, tuple[tuple[str, ...], dict[str, str]]]
) -> dict[str, bytes]:
    """What many say, each with its environment; a few at a time, for most of them wait."""
    with ThreadPoolExecutor(6) as pool:
        running = {
            name: pool.submit(command, f, *words, **environ)
            for name, (words, environ) in wanted.items()
        }
    return {name: done.result() for name, done in running.items()}


def of_a_worker(f: Fleet) -> str:
    worker_page = page(f, "/api/workers?refresh=1")
    return "/worker/worker@" + worker_page.partition(b'"worker@')[2].partition(b'"')[0].decode()


def page(f: Fleet, path: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{f.flower_port}{path}")
    word = base64.b64encode(f"sensorflow:{FLOWER}".encode()).decode()
    request.add_header("Authorization", f"Basic {word}")
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return b"%d " % error.code + error.read()
    except OSError as error:
        return str(error).encode()


def family(f: Fleet) -> dict[str, bytes]:
    """What `ps` shows of all that runs."""
    parents = [psutil.Process(p.pid) for p in f.running.values()]
    all_ = [*parents, *(c for p in parents for c in p.children(recursive=True))]
    return {f"ps {p.pid}": Path(f"/proc/{p.pid}/cmdline").read_bytes() for p in all_}


def broken(url: str) -> dict[str, str]:
    """The URL, wrong in each way that a driver may quote."""
    parts = urlsplit(url)
    return {
        "port": parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:1").geturl(),
        "password": url.replace(":" + (parts.password or ""), ":Wr0ngWort"),
        "unescaped": url.replace(parts.password or "", "Wr0ngWort/x@y:z"),
        "scheme": "http" + url.partition(":")[2].join((":", "")),
        "no port": parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:p").geturl(),
    }


def test_no_password_is_said_anywhere(
    project: Path, planted_database: ServerWithPassword, planted_broker: ServerWithPassword
) -> None:
    outputs: dict[str, bytes] = {}
    draw = random.Random(1)
    urls = (planted_database.url, planted_broker.url)
    with fleet(project, *urls, log_level="DEBUG", level="DEBUG", cold=True) as f:
        f.ledger.close()
        f.env |= {"SENSORFLOW_FLOWER_PASSWORD": FLOWER, "FLOWER_DEBUG": "true"}
        f.start("daemon", "worker", "beat", "flower")
        f.put("a.csv", text(rows(1, 5, draw)))
        f.put("bad.csv", b"\x00")
        f.wait(lambda: f.counts()["loaded"] == 1 and f.counts()["quarantined"] == 1)
        outputs |= family(f)
        f.wait(lambda: b"worker@" in page(f, "/workers"))
        f.wait(
            lambda: b"broker_url" in page(f, of_a_worker(f))
        )  # Flower asks, for a second at a time
        outputs |= {p: page(f, p) for p in (*PAGES, of_a_worker(f))}
        outputs |= commands(f, {" ".join(words): (("sensorflow", *words), {}) for words in OWN})
        celery = ("celery", "-A", "workers")
        outputs |= commands(f, {" ".join(words): ((*celery, *words), {}) for words in CELERYS})
        assert b"broker_url" in outputs["inspect conf"]
        for server in (planted_database, planted_broker):
            with outage(server):
                f.put(f"during-{len(outputs)}.csv", text(rows(len(outputs), 5, draw)))
                f.wait(lambda: "paused" in (project / "daemon.log").read_text()[-4000:])
                outputs[f"doctor {len(outputs)}"] = command(f, "sensorflow", "doctor")
                outputs[f"status {len(outputs)}"] = command(f, "sensorflow", "status")
                outputs[f"/broker {len(outputs)}"] = page(f, "/broker")
        f.wait(lambda: f.counts()["loaded"] == 3)
        wrongs = {}
        for key, server in (("DATABASE", planted_database), ("BROKER", planted_broker)):
            for what, url in broken(server.url).items():
                wrong = {f"SENSORFLOW_{key}_URL": url}
                wrongs[f"{key} {what}: doctor"] = (("sensorflow", "doctor"), wrong)
                program = ("sensorflow", "db", "current") if key == "DATABASE" else BEAT
                wrongs[f"{key} {what}"] = (program, wrong)
        outputs |= commands(f, wrongs)
        outputs |= {p.name: p.read_bytes() for p in project.glob("*.log")}
        outputs |= family(f)
    outputs |= {str(p): p.read_bytes() for p in project.rglob("*") if p.is_file()}
    assert len(outputs) > 50
    assert b"Traceback" in outputs["worker.log"] + outputs["flower.log"] + outputs["daemon.log"]
    assert leaks(outputs) == []


OWN = (
    *(("status",), ("doctor",), ("files", "ls"), ("files", "show", "1"), ("db", "current")),
    *(("db", "shell", "-c", "SELECT 1"), ("quarantine", "ls")),
)
CELERYS = (("report",), ("inspect", "conf"), ("inspect", "report"), ("inspect", "stats"))
BEAT = ("celery", "-A", "workers", "inspect", "ping", "--timeout=1")


def test_the_one_command_that_shows_the_password_is_the_one_that_is_asked_for_it(
    project: Path, planted_database: ServerWithPassword
) -> None:
    with fleet(project, planted_database.url, "redis://127.0.0.1:1/0") as f:
        assert leaks({"url": command(f, "sensorflow", "db", "url")})


def test_settings_do_not_show_their_secrets_when_they_are_printed() -> None:
    given = Settings.model_validate(
        {
            "database_url": f"postgresql://u:{quote(DATABASE, safe='')}@h/d",
            "broker_url": f"redis://:{quote(BROKER, safe='')}@h",
            "flower_password": FLOWER,
        }
    )
    assert leaks({"repr": repr(given).encode(), "json": given.model_dump_json().encode()}) == []


def test_what_holds_a_secret_is_readable_for_its_owner_alone(project: Path) -> None:
    """Of the embedded stack, while it runs, under the usual umask and under none."""
    program = [sys.executable, "-m", "sensorflow"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SENSORFLOW_", "FLOWER_"))}
    (project / "drop").rmdir()
    subprocess.run([*program, "init"], cwd=project, env=env, check=True, capture_output=True)
    place = state.home(project / "data")
    with (project / "up.log").open("wb") as log:
        open_to_all = ["sh", "-c", 'umask 0; exec "$@"', "sh", *program, "up"]
        up = subprocess.Popen(open_to_all, cwd=project, env=env, stdout=log, stderr=log)
    try:
        schedule = project / "data"
        _until(lambda: (place / "running.json").exists(), project)
        _until(lambda: any(schedule.glob("beat-schedule*")), project)
        flower = json.loads(_read(place / "running.json"))["flower_url"]
        _until(lambda: _status(flower + "/healthcheck") == 200, project)
        assert [_status(flower + p) for p in (*PAGES, "/worker/x")] == [401] * 5 + [200] + [401] * 5
        words = [_read(p).strip() for p in place.glob("*-password")]
        assert len(words) == 3
        everything = [p for top in (place, project) for p in top.rglob("*")]
        holding = [p for p in everything if _is_open(p) and any(w in _read(p) for w in words)]
        assert holding == []
        assert [p for p in schedule.glob("beat-schedule*") if _mode(p) & 0o077] == []
        assert [p for p in (place / "postgres", place / "valkey") if _mode(p) & 0o077] == []
    finally:
        up.terminate()
        up.wait(PATIENCE)
        shutil.rmtree(place, ignore_errors=True)  # as root it lies elsewhere


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _mode(path: Path) -> int:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return 0 if stat.S_ISLNK(status.st_mode) else stat.S_IMODE(status.st_mode)


def _is_open(path: Path) -> bool:
    """Whether others than its owner may read it."""
    return path.is_file() and bool(_mode(path) & 0o044)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _until(done: Callable[[], bool], project: Path) -> None:

    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, _read(project / "up.log")
        time.sleep(0.2)
