"""kombu's transport for RabbitMQ, changed so that it also delivers messages whose frames cannot be decoded.

Examples are text that is not UTF-8, a time outside the calendar, and a table that is nested too deeply.
py-amqp raises an error while it reads such a message from the connection, before the message can be
rejected. The consumer would lose its connection and would then receive the same message again, without end.
With this transport, the message arrives without its properties, and the worker rejects it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqp import spec
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic, loads
from kombu.transport import TRANSPORT_ALIASES, pyamqp

_METHOD, _HEADER = 1, 2
_PROPERTIES = 12
"""Offset of the properties in a header frame, after class, weight and size."""
_DELIVER = spec.Basic.Deliver[0].to_bytes(2) + spec.Basic.Deliver[1].to_bytes(2)


def _readable(kind: int, payload: bytes) -> bytes:
    """Return a frame from which the parts that cannot be decoded are removed."""
    if kind == _HEADER:
        try:
            decode_properties_basic(payload, _PROPERTIES)
        except Exception:  # noqa: BLE001 - the frame may contain anything
            return bytes(payload[:_PROPERTIES]) + b"\0\0"
    if kind == _METHOD and payload[:4] == _DELIVER:
        try:
            loads("sLbss", payload, 4)
        except Exception:  # noqa: BLE001
            start = 4 + 1 + payload[4] + 8 + 1  # consumer tag, delivery tag, redelivered
            return bytes(payload[:start]) + b"\0\0"  # no exchange, no routing key
    return payload


def _frames(connection: Any, callback: Callable[..., Any]) -> Callable[[Any], Any]:
    handle = frame_handler(connection, callback)

    def on_frame(frame: tuple[int, int, bytes]) -> Any:
        kind, channel, payload = frame
        return handle((kind, channel, _readable(kind, payload)))

    return on_frame


class Channel(pyamqp.Channel):  # type: ignore[misc]  # kombu has no types
    def __init__(self, *args: Any, **options: Any) -> None:
        """Do not decode message bodies; the sender declares their encoding."""
        super().__init__(*args, auto_decode=False, **options)

    def message_to_python(self, raw_message: Any) -> Any:
        """Remove the compression header of a message. sensorflow never compresses messages, and kombu would
        decompress without a limit."""
        headers = raw_message.properties.get("application_headers")
        if isinstance(headers, dict):
            headers.pop("compression", None)
        return super().message_to_python(raw_message)


class Connection(pyamqp.Connection):  # type: ignore[misc]
    Channel = Channel

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, frame_handler=_frames, **options)


class Transport(pyamqp.Transport):  # type: ignore[misc]
    Connection = Connection


class SSLTransport(pyamqp.SSLTransport):  # type: ignore[misc]
    Connection = Connection


def register() -> None:
    """Make kombu use this transport for amqp:// and amqps://."""
    for scheme, transport in (
        ("amqp", "Transport"),
        ("pyamqp", "Transport"),
        ("amqps", "SSLTransport"),
    ):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport}"
