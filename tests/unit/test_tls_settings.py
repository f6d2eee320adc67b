"""What may be set about TLS, and the one line that says what is wrong."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sensorflow.adapters.queues.tls import options
from sensorflow.errors import UsageError
from sensorflow.settings import load
from sensorflow.tls import Tls


def settings(folder: Path, text: str) -> str:
    """The line that a mistake gives, or "" for none."""
    (folder / "sensorflow.toml").write_text(text)
    try:
        load(folder / "sensorflow.toml", {})
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('broker_tls = { ca = "no.pem" }', "broker_tls.ca = '{}/no.pem': no such file"),
        ('broker_tls = { cert = "no.pem" }', "broker_tls.cert = '{}/no.pem': no such file"),
        ('broker_tls = { cert = "a.pem" }', "broker_tls.cert needs broker_tls.key too"),
        ('broker_tls = { key = "a.pem" }', "broker_tls.key needs broker_tls.cert too"),
        ('database_tls = { key = "." }', "database_tls.key = '{}': no such file"),
        ('broker_tls = { cacert = "a.pem" }', "unknown key 'broker_tls.cacert'"),
        ('broker_tls = { verify = "maybe" }', "broker_tls.verify = 'maybe'"),
    ],
)
def test_a_mistake_is_one_line_that_names_key_and_file(
    tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "a.pem").write_text("")
    urls = 'broker_url = "rediss://h"\ndatabase_url = "postgresql://h/d"\n'
    found = settings(tmp_path, urls + text)
    assert expected.format(tmp_path) in found
    assert "\n" not in found
    assert str(tmp_path / "sensorflow.toml") in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('broker_url = "amqp://h"\nbroker_tls = {}', "begins with amqp://; use amqps://"),
        ('broker_url = "redis://h"\nbroker_tls = {}', "begins with redis://; use rediss://"),
        ("broker_tls = {}", "the embedded broker has no TLS"),
        ("database_tls = {}", "the embedded database has no TLS"),
        ('broker_url = "rediss://h?ssl_cert_reqs=none"', "set TLS options in broker_tls"),
        (
            'database_url = "postgresql://h/d?sslmode=disable"\ndatabase_tls = {}',
            "use only one of them",
        ),
    ],
)
def test_urls_and_tables_that_do_not_go_together(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in settings(tmp_path, text)


def test_paths_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "my ca.pem").write_text("")
    text = 'database_url = "postgresql://h/d"\ndatabase_tls = { ca = "my ca.pem" }'
    assert settings(tmp_path, text) == ""
    given = load(tmp_path / "sensorflow.toml", {})
    path = str(tmp_path / "my ca.pem").replace("/", "%2F").replace(" ", "%20")
    assert given.database == f"postgresql://h/d?sslmode=verify-full&sslrootcert={path}"


@pytest.mark.parametrize("url", ["rediss://h/0", "valkeys://h/0", "amqps://h//"])
def test_brokers_are_verified_unless_told_not_to(url: str) -> None:
    found, not_at_all = options(url, None), options(url, Tls(verify=False))
    assert found is not None
    assert not_at_all is not None
    assert ssl.CERT_REQUIRED in found.values()
    assert "h" in found.values() or found["ssl_check_hostname"] is True
    assert ssl.CERT_NONE in not_at_all.values()


def test_a_url_without_tls_gets_none() -> None:
    assert options("redis://h/0", None) is None
    assert options("amqp://h//", None) is None
