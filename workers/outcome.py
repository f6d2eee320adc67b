"""What became of a file, in Celery's words: its state in Flower, and its message's end."""

from __future__ import annotations

from collections import Counter

from celery.exceptions import Ignore, Retry

from sensorflow.errors import SensorflowError
from sensorflow.flow.outcomes import Outcome, Result


def tell(results: list[Result]) -> str:
    """The task's result; or raises, so that a chain ends here.

    Of many files of one message the worst decides, and the text counts the outcomes: the ledger has
    them all. Files that were taken along have tasks of their own, and only count.

    A retry is only shown as one: the ledger holds the time of the next try, and the publisher sends
    the new message, so that no broker has to keep a delayed one.
    """
    own = [found for found in results if not found.along]
    along = [found for found in results if found.along]
    result = min(own, key=lambda found: _WORST.index(found.outcome))
    text, error = result.text, result.error
    if len(own) > 1:
        text = f"{len(own)} files: {_kinds(own)}; {text}"
    if along:
        text = f"{text}; taken along {len(along)}: {_kinds(along)}"
    if len(results) > 1:
        error = error and SensorflowError(error.code, text)
    if result.outcome is Outcome.RETRY:
        raise Retry(message=text, exc=error, when=result.delay)
    if result.outcome is Outcome.CONDEMNED:
        assert error is not None
        raise error
    if result.outcome is Outcome.FENCED:
        raise Ignore(text)
    return text


def _kinds(results: list[Result]) -> str:
    counts = Counter(found.outcome for found in results)
    return " ".join(f"{kind}={counts[kind]}" for kind in _WORST if counts[kind])


_WORST = (
    *(Outcome.CONDEMNED, Outcome.RETRY, Outcome.FENCED, Outcome.QUARANTINED),
    *(Outcome.LOADED, Outcome.ADVANCED, Outcome.NOTHING),
)
