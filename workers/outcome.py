"""Report the outcome of a file to Celery, for Flower and for the acknowledgement of the message."""

from __future__ import annotations

from collections import Counter

from celery.exceptions import Ignore, Retry

from sensorflow.errors import SensorflowError
from sensorflow.flow.outcomes import Outcome, Result


def report_results(results: list[Result]) -> str:
    """Returns the result of a task, or raises an error, so that Celery does not send the next message of
    the chain.

    If a message has several files, the worst outcome determines the state, and the text counts the
    outcomes; the ledger has all of them. Files that were added to the batch and have their own messages are
    only counted.

    A retry is only displayed as a retry. The ledger stores the time of the next attempt and the publisher
    sends a new message, so the broker need not store a delayed message.
    """
    own = [found for found in results if not found.has_own_message]
    with_own_message = [found for found in results if found.has_own_message]
    result = min(own, key=lambda found: _WORST.index(found.outcome))
    text, error = result.text, result.error
    if len(own) > 1:
        text = f"{len(own)} files: {_kinds(own)}; {text}"
    if with_own_message:
        text = f"{text}; batch members {len(with_own_message)}: {_kinds(with_own_message)}"
    if len(results) > 1:
        error = error and SensorflowError(error.code, text)
    if result.outcome is Outcome.RETRY:
        raise Retry(message=text, exc=error, when=result.delay)
    if result.outcome is Outcome.DEAD_LETTERED:
        assert error is not None
        raise error
    if result.outcome is Outcome.FENCED:
        raise Ignore(text)
    return text


def _kinds(results: list[Result]) -> str:
    counts = Counter(found.outcome for found in results)
    return " ".join(f"{kind}={counts[kind]}" for kind in _WORST if counts[kind])


_WORST = (
    *(Outcome.DEAD_LETTERED, Outcome.RETRY, Outcome.FENCED, Outcome.QUARANTINED),
    *(Outcome.LOADED, Outcome.ADVANCED, Outcome.NOTHING_TO_DO),
)
