"""Real TLS to both brokers and the database: who is trusted, who is not, and what is said of it."""

from __future__ import annotations

import base64
import random
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import warm
from authority import Authority, proxied
from fleet import Fleet, fleet, rows, text
from patience import PATIENCE
from servers import RabbitMQ

from sensorflow import bootstrap
from sensorflow.core.arrival import OutboxEntry
from sensorflow.core.states import Stage
from sensorflow.errors import Code, Transient
from sensorflow.ports.queue import Message
from sensorflow.settings import Settings, load

WAITING = OutboxEntry(
    1, "p", b"a.csv", 1, 1, bytes(16), "aa/aa", Stage.VALIDATE, datetime(2026, 1, 1, tzinfo=UTC)
)


def moved(url: str, scheme: str, host: str, port: int) -> str:
    """The same server by TLS: other scheme, host and port, the same user, password and path."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(scheme=scheme, netloc=f"{user}@{host}:{port}").geturl()


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def wrong(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "wrong-ca")


@pytest.fixture
def secure_valkey(valkey_url: str, authority: Authority) -> Iterator[str]:
    """Asks for a client's certificate too; its own names localhost alone."""
    with proxied(port_of(valkey_url), authority.context("localhost", ask=True)) as port:
        yield moved(valkey_url, "rediss", "localhost", port)


@pytest.fixture
def secure_database(database: str, authority: Authority) -> Iterator[str]:
    context = authority.context("localhost", ask=True)
    with proxied(port_of(database), context, postgres=True) as port:
        yield moved(database, "postgresql", "localhost", port)


@pytest.fixture(params=["valkey", "rabbitmq"])
def secure_broker(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """The URL, and what to set in broker_tls."""
    if request.param == "rabbitmq":
        server: RabbitMQ = request.getfixturevalue("rabbitmq")
        return server.secure(), shown(server.authority)
    return request.getfixturevalue("secure_valkey"), shown(request.getfixturevalue("authority"))


def shown(authority: Authority) -> dict[str, str]:
    mine = authority.certificate("client")
    return {"ca": str(authority.file), "cert": str(mine.cert), "key": str(mine.key)}


def settings(**given: str | dict[str, str]) -> Settings:
    """As the environment would set them."""
    environ = {}
    for key, value in given.items():
        inner = value if isinstance(value, dict) else {"": value}
        for name, text_ in inner.items():
            environ["SENSORFLOW_" + (f"{key}__{name}" if name else key).upper()] = text_
    return load(None, environ)


def table(values: dict[str, str]) -> str:
    return "{ " + ", ".join(f'{name} = "{value}"' for name, value in values.items()) + " }"


def test_a_file_goes_through_the_whole_fleet_by_tls_alone(
    project: Path,
    secure_database: str,
    secure_broker: tuple[str, dict[str, str]],
    authority: Authority,
    database: str,
) -> None:
    url, tls = secure_broker
    keys = {"broker_tls": tls, "database_tls": shown(authority), "flower_password": "p"}
    with fleet(project, secure_database, url, **keys) as f:
        f.ledger.close()
        f.ledger = type(f.ledger)(database, "test")
        f.start("daemon", "worker", "beat", "flower")
        f.put("a.csv", text(rows(1, 5, random.Random(1))))
        f.wait(lambda: f.counts()["loaded"] == 1)
        f.wait(lambda: "Scheduler: Sending due task sweep" in (project / "beat.log").read_text())
        f.wait(lambda: "worker@" in page(f, "/workers"))
        done = warm.run(["sensorflow", "doctor"], f.env, project)
        assert done.returncode == 0, done.stdout
        assert done.stdout.count(b"over TLS") == 2
        assert "insecure" not in f.logs()


def page(f: Fleet, path: str) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{f.flower_port}{path}")
    word = base64.b64encode(b"sensorflow:p").decode()
    request.add_header("Authorization", f"Basic {word}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError):
        return ""


def failure(given: Settings) -> str:
    """What publishing says."""
    queue = bootstrap.publisher(given)
    with pytest.raises(Transient) as caught:
        queue.publish([Message([WAITING])])
    assert caught.value.code is Code.BROKER
    assert "guest" not in caught.value.message
    return caught.value.message


def test_a_broker_of_another_authority_is_refused(
    secure_broker: tuple[str, dict[str, str]], wrong: Authority
) -> None:
    url, tls = secure_broker
    message = failure(settings(broker_url=url, broker_tls=tls | {"ca": str(wrong.file)}))
    assert "certificate is refused: " in message


def test_a_broker_that_only_the_system_could_vouch_for_is_refused_by_default(
    secure_broker: tuple[str, dict[str, str]],
) -> None:
    url, _ = secure_broker
    assert "certificate is refused" in failure(settings(broker_url=url))


def test_a_broker_of_another_name_is_refused(secure_broker: tuple[str, dict[str, str]]) -> None:
    url, tls = secure_broker
    by_number = moved(url, urlsplit(url).scheme, "127.0.0.1", port_of(url))
    message = failure(settings(broker_url=by_number, broker_tls=tls))
    assert "certificate is refused: IP address mismatch" in message


def test_a_broker_that_is_not_verified_on_purpose(
    secure_broker: tuple[str, dict[str, str]], wrong: Authority
) -> None:
    url, tls = secure_broker
    by_number = moved(url, urlsplit(url).scheme, "127.0.0.1", port_of(url))
    mine = tls | {"ca": str(wrong.file), "verify": "false"}
    queue = bootstrap.publisher(settings(broker_url=by_number, broker_tls=mine))
    assert queue.depth() == 0


def test_a_broker_that_wants_a_certificate_and_gets_none(
    secure_broker: tuple[str, dict[str, str]],
) -> None:
    url, tls = secure_broker
    message = failure(settings(broker_url=url, broker_tls={"ca": tls["ca"]}))
    assert "TLS" in message


def test_a_broker_without_tls_behind_a_url_with_it(broker: str, wrong: Authority) -> None:
    scheme = "amqps" if broker.startswith("amqp") else "rediss"
    url = moved(broker, scheme, "localhost", port_of(broker))
    message = failure(settings(broker_url=url, broker_tls={"ca": str(wrong.file)}))
    assert "TLS" in message


def database_failure(given: Settings) -> str:
    ledger = bootstrap.ledger(given, "test")
    with pytest.raises(Transient) as caught:
        ledger.totals()
    ledger.close()
    assert caught.value.code is Code.DATABASE_LOGIN
    return caught.value.message


def test_a_database_of_another_authority_is_refused(secure_database: str, wrong: Authority) -> None:
    given = settings(database_url=secure_database, database_tls={"ca": str(wrong.file)})
    assert "certificate verify failed" in database_failure(given)


def test_a_database_that_only_the_system_could_vouch_for_is_refused_by_default(
    secure_database: str,
) -> None:
    given = settings(database_url=secure_database, database_tls={"verify": "true"})
    assert "certificate verify failed" in database_failure(given)


def test_a_database_of_another_name_is_refused(secure_database: str, authority: Authority) -> None:
    url = moved(secure_database, "postgresql", "127.0.0.1", port_of(secure_database))
    given = settings(database_url=url, database_tls=shown(authority))
    assert "does not match host name" in database_failure(given)


def test_a_database_without_tls_behind_settings_with_it(
    database: str, authority: Authority
) -> None:
    given = settings(database_url=database, database_tls={"ca": str(authority.file)})
    assert "server does not support SSL" in database_failure(given)


def test_a_database_that_is_not_verified_on_purpose(
    secure_database: str, authority: Authority
) -> None:
    mine = shown(authority) | {"verify": "false"}
    url = moved(secure_database, "postgresql", "127.0.0.1", port_of(secure_database))
    ledger = bootstrap.ledger(settings(database_url=url, database_tls=mine), "test")
    assert ledger.totals() == {}
    ledger.close()


def test_a_url_of_the_database_may_say_it_by_itself(
    secure_database: str, authority: Authority
) -> None:
    mine = shown(authority)
    facts = f"sslrootcert={mine['ca']}&sslcert={mine['cert']}&sslkey={mine['key']}"
    url = f"{secure_database}?sslmode=verify-full&{facts}"
    ledger = bootstrap.ledger(settings(database_url=url), "test")
    assert ledger.totals() == {}
    ledger.close()
