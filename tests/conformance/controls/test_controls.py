"""What `ports.controls.Controls` says of sources that are held back."""

from __future__ import annotations

from sensorflow.core.controls import Mode
from sensorflow.ports.ledger import Ledger


def test_a_source_is_held_back_until_it_is_resumed(ledger: Ledger) -> None:
    assert ledger.controls() == {}
    result = ledger.hold_back("plant", Mode.PAUSED, "anna@desk", "a new logger")
    assert (result.mode, result.actor, result.reason) == (Mode.PAUSED, "anna@desk", "a new logger")
    assert ledger.controls() == {"plant": result}
    assert ledger.resume("plant")
    assert not ledger.resume("plant")
    assert ledger.controls() == {}


def test_who_pauses_a_paused_source_again_changes_nothing_but_the_reason(ledger: Ledger) -> None:
    first = ledger.hold_back("plant", Mode.PAUSED, "anna", "a new logger")
    assert ledger.hold_back("plant", Mode.PAUSED, "bert") == first
    assert ledger.hold_back("plant", Mode.PAUSED, "bert", "a new logger") == first
    again = ledger.hold_back("plant", Mode.PAUSED, "bert", "the wrong profile")
    assert (again.since, again.actor, again.reason) == (first.since, "bert", "the wrong profile")


def test_a_paused_source_can_be_drained_and_the_other_way_round(ledger: Ledger) -> None:
    first = ledger.hold_back("plant", Mode.PAUSED, "anna", "a new logger")
    drained = ledger.hold_back("plant", Mode.DRAINING, "bert")
    assert (drained.mode, drained.actor, drained.reason) == (Mode.DRAINING, "bert", None)
    assert drained.since >= first.since
    assert ledger.hold_back("plant", Mode.PAUSED, "anna").mode is Mode.PAUSED


def test_each_source_has_a_control_of_its_own(ledger: Ledger) -> None:
    for source in ("roof", "plant"):
        ledger.hold_back(source, Mode.PAUSED, "anna")
    ledger.resume("roof")
    assert [*ledger.controls()] == ["plant"]
