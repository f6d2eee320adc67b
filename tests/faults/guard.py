"""A guard, and what the files and tests are called that several name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from patches import Patch

POSTGRES = "sensorflow/adapters/postgres"


@dataclass(frozen=True)
class Guard:
    """With `new` in the place of `old`, which is once in `where` (see `Patch`), `test` fails."""

    fault: int
    where: str
    old: str
    new: str
    test: str
    also: tuple[Patch, ...] = ()
    """Where one guard is behind the other."""

    @property
    def patches(self) -> list[Patch]:
        return [Patch(self.where, self.old, self.new), *self.also]


def faults(file: str, test: str) -> str:
    return f"tests/faults/{file}.py::{test}"


def sql(subject: str) -> str:
    return f"{POSTGRES}/sql/{subject}.sql"


def growing(test: str) -> str:
    return f"tests/unit/test_growing.py::{test}"


def conformance(test: str) -> str:
    return f"tests/conformance/ledger/test_growth_ledger.py::{test}"


ANYWHERE = faults(
    "test_daemon", "test_fault_01_and_24_killed_or_not_running_the_daemon_loses_and_doubles_nothing"
)
MERGED = faults(
    "test_files",
    "test_fault_20_new_content_replaces_what_it_states_again_and_deletes_nothing[rewritten]",
)
LOADING = f"{POSTGRES}/loading.py"
STATES = f"{POSTGRES}/sqlstates.py"
SESSIONS = "tests/integration/test_sessions.py::"
POOL = (
    "tests/acceptance/test_pool.py::"
    "test_the_pool_grows_to_its_most_and_shrinks_although_sweeps_go_on"
)
FUZZ = "tests/fuzz/test_messages_fuzz.py::test_fault_42_spoiled_messages_on_"
STRANGERS = faults("test_strangers", "test_fault_43_time_limits_and_commands_end_no_child")
TREE = "sensorflow/adapters/feeds/folder/tree.py"
STALE = "tests/integration/test_stale_silver.py::"

TURNS = "tests/conformance/outbox/test_turns_ledger.py::"
