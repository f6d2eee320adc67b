"""What RabbitMQ alone has: quorum queues, and the broker's word for each message."""

from __future__ import annotations

from servers import RabbitMQ

from sensorflow.adapters.queues.celery import TASKS, CeleryQueue, task_name


def test_every_queue_is_a_quorum_queue(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.fresh()
    CeleryQueue(url, "landing").declare()
    found = rabbitmq.queues(url.rsplit("/", 1)[1])
    assert found == {task_name(task): "quorum" for task in TASKS}


def test_the_publisher_waits_for_the_brokers_confirm(rabbitmq: RabbitMQ) -> None:
    queue = CeleryQueue(rabbitmq.fresh(), "landing")
    with queue._app.connection_for_write() as connection:
        connection.connect()
        assert connection.connection.confirm_publish
