"""An S3 server for a run, behind a proxy that throttles requests, fails some, and cuts answers."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import zones
from http_proxy import Answer, Cut, HttpProxy, Request, Rule, s3_error
from object_servers import ADMIN, Seaweed
from servers import place_for_servers

THROTTLED_EVERY, THROTTLED = 400, 20
"""Of so many requests, so many in a row are told to slow down."""
FAILING, CUT = 0.05, 0.02
"""Shares of the requests."""


def faulty(seed: int) -> Rule:
    """What happens to a request follows from its number."""

    def rule(request: Request) -> Answer | Cut | None:
        if request.number % THROTTLED_EVERY < THROTTLED:
            return s3_error(503, "SlowDown", "Please reduce your request rate.")
        draw = random.Random(f"{seed} {request.number}")
        chance = draw.random()
        if chance < FAILING:
            return s3_error(500, "InternalError")
        if chance < FAILING + CUT:
            return Cut(draw.choice((None, 0, draw.randrange(1, 20_000))))
        return None

    return rule


@dataclass
class ChaosStore:
    """table: the table [storage] of a project with its zones there."""

    server: Seaweed
    proxy: HttpProxy
    table: Mapping[str, Any]

    def crash(self) -> None:
        """Kill the server, and start it again."""
        self.server.kill()
        self.server.start()

    def calm(self) -> None:
        """From now on no request fails."""
        self.proxy.rule = lambda _: None


@contextmanager
def chaos_store(seed: int) -> Iterator[ChaosStore]:
    with ExitStack() as stack:
        server = Seaweed(stack.enter_context(place_for_servers()).root)
        stack.callback(server.stop)
        server.start()
        proxy = stack.enter_context(HttpProxy(server.port, faulty(seed)))
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = ADMIN
        yield ChaosStore(server, proxy, zones.s3_storage(proxy.endpoint))
