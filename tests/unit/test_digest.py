"""Two processes with the same settings have the same digest, and no secret can be read from it."""

from __future__ import annotations

import json

from sensorflow import digest
from sensorflow.settings import Settings


def settings_with(**given: object) -> Settings:
    return Settings.model_validate({"database_url": "postgresql://u:secret@h/db", **given})


def test_what_is_loaded_and_where_counts_and_what_is_the_hosts_own_does_not() -> None:
    plain = settings_with().digest()
    assert plain == settings_with(workers=9, log_level="DEBUG", flower_password="word").digest()
    assert plain != settings_with(lease=31).digest()
    assert plain != settings_with(database_url="postgresql://u:secret@h/other").digest()
    assert plain != settings_with(database_url="postgresql://u:other@h/db").digest()


def test_embedded_servers_count_by_their_urls() -> None:
    ours = Settings().digest("postgresql://u:a@h/db", "redis://h")
    urls = {"database_url": "postgresql://u:a@h/db", "broker_url": "redis://h"}
    assert ours == Settings.model_validate(urls).digest()


def test_processes_on_other_hosts_share_their_settings_and_not_their_places() -> None:
    plant = {"path": "drop", "profile": "any"}
    local = settings_with(broker_url="redis://:a@127.0.0.1", data="data", sources={"plant": plant})
    remote = settings_with(
        database_url="postgresql://loader:word@timescaledb:5432/sensorflow",
        database_tls={"ca": "/run/secrets/ca.pem"},
        broker_url="rediss://:b@valkey:6379/0",
        data="/data",
        sources={"plant": plant | {"path": "/drop/plant"}},
    )
    assert local.shared_digest() == remote.shared_digest()
    assert local.digest() != remote.digest()
    for other in (
        settings_with(broker_url="redis://127.0.0.1/1", sources={"plant": plant}),
        settings_with(broker_url="amqp://127.0.0.1", sources={"plant": plant}),
        settings_with(broker_url="redis://127.0.0.1", sources={"plant": plant}, lease=31),
        settings_with(
            broker_url="redis://127.0.0.1", sources={"plant": plant | {"stability_window": 9}}
        ),
        settings_with(broker_url="redis://127.0.0.1"),
    ):
        assert other.shared_digest() != local.shared_digest()


def test_no_secret_is_shown() -> None:
    settings = settings_with(
        broker_url="redis://:hidden@h/0?password=hidden", flower_password="hidden"
    )
    shown = json.dumps(digest.plain(settings.compared()))
    assert "postgresql://u:" in shown
    assert "secret" not in shown
    assert "hidden" not in shown
