"""A broker for the processes of one host. Its messages are rows of a table in an SQLite database:

broker_url = "line:messages.sqlite"
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sensorflow.core.states import Stage
from sensorflow.errors import Code, Transient
from sensorflow.ports.queue import Message, Task

CREATE_TABLE = (
    "CREATE TABLE IF NOT EXISTS line (id INTEGER PRIMARY KEY, task TEXT, due REAL, receipt INT)"
)
VISIBILITY_SECONDS = 30.0
TAKE = """UPDATE line SET due = ?, receipt = receipt + 1 WHERE id IN
          (SELECT id FROM line WHERE due <= ? ORDER BY due, id LIMIT ?) RETURNING id, receipt, task"""


def broker(url: str, home: Path) -> InMemoryBroker:
    """The entry point: a `ports.queue.MakeBroker`."""
    return InMemoryBroker(home / unquote(urlsplit(url).path))


class InMemoryBroker:
    """Implements `ports.queue.Broker`. A message that is not acknowledged is delivered again after
    `VISIBILITY_SECONDS` seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.name, self._path, self.clock = f"line of {path.name}", path, clock

    def publish(
        self,
        messages: Iterable[Message],
        confirmed: Callable[[Message], object] = lambda _message: None,
    ) -> None:
        for message in messages:
            task = json.dumps([list(message.task.file_ids), message.only])
            self.run("INSERT INTO line (task, due, receipt) VALUES (?, ?, 0)", task, self.clock())
            confirmed(message)  # it is committed

    def depth(self) -> int | None:
        [[waiting]] = self.run("SELECT count(*) FROM line WHERE due <= ?", self.clock())
        return int(waiting)

    def close(self) -> None:
        return

    def receive(self, n: int, timeout: float) -> Sequence[HeldMessage]:
        until = time.monotonic() + timeout
        while not (found := self.run(TAKE, (now := self.clock()) + VISIBILITY_SECONDS, now, n)):
            if time.monotonic() >= until:
                return []
            time.sleep(0.05)
        return [HeldMessage(self, number, receipt, _task(text)) for number, receipt, text in found]

    def run(self, sql: str, *values: Any) -> list[Any]:
        try:
            with closing(sqlite3.connect(self._path)) as line, line:
                line.execute(CREATE_TABLE)
                return line.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise Transient(Code.BROKER, f"{self._path}: {error}") from error


def _task(text: str) -> Task:
    file_ids, only = json.loads(text)
    return Task(file_ids, None if only is None else Stage(only))


@dataclass(frozen=True)
class HeldMessage:
    """Implements `ports.queue.Delivery`: one delivery of a message. number: id of the message. receipt: a
    number that differs between the deliveries of one message."""

    line: InMemoryBroker
    number: int
    receipt: int
    task: Task

    def ack(self) -> None:
        self.line.run(f"DELETE FROM line WHERE {self._mine}", *self._place)

    def nack(self, delay: float) -> None:
        self._until(self.line.clock() + delay, settled=1)

    def extend(self, seconds: float) -> None:
        self._until(self.line.clock() + seconds, settled=0)

    def _until(self, until: float, settled: int) -> None:
        change = "UPDATE line SET due = ?, receipt = receipt + ?"
        self.line.run(f"{change} WHERE {self._mine}", until, settled, *self._place)

    _mine = "id = ? AND receipt = ? AND due > ?"

    @property
    def _place(self) -> tuple[int, int, float]:
        return self.number, self.receipt, self.line.clock()
