"""What became of a file, in Celery's words: its state in Flower, and its message's end."""

from __future__ import annotations

from celery.exceptions import Ignore, Retry

from sensorflow.flow.handle import Outcome, Result


def tell(result: Result) -> str:
    """The task's result; or raises, so that a chain ends here.

    A retry is only shown as one: the ledger holds the time of the next try, and the publisher sends
    the new message, so that no broker has to keep a delayed one.
    """
    if result.outcome is Outcome.RETRY:
        raise Retry(message=result.text, exc=result.error, when=result.delay)
    if result.outcome is Outcome.CONDEMNED:
        assert result.error is not None
        raise result.error
    if result.outcome is Outcome.FENCED:
        raise Ignore(result.text)
    return result.text
