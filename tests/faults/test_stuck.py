"""What cannot be ended from within is ended from outside; a host that refuses memory is waited for."""

from __future__ import annotations

import os
import resource
import signal
import textwrap
import time
from pathlib import Path
from urllib.parse import urlsplit

from dropped_files import DroppedFiles
from fleet import LONG_LEASE, Fleet, fleet
from patience import PATIENCE
from proxy import Proxy

from sensorflow.core.account import Totals

STUCK = {
    "max_attempts": 1,
    # so long that it is still the child's when the ledger is told of its end, by a process that starts anew
    "lease": 300,
    "sources": {"stuck": {"profile": "stuck"}},
    "profiles": {"stuck": {"format": "stuck", "max_seconds": 1}},
}
DECODER = """
import re

def chunks(stream, profile, resolve):
    re.search("(a|aa)+$", "a" * 80 + "!")
    yield
"""


def plug_in(folder: Path) -> None:
    """A package of a decoder that holds the interpreter for good."""
    about = folder / "stuck-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "stuck.py").write_text(textwrap.dedent(DECODER))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[sensorflow.decoders]\nstuck = stuck:chunks\n")


def test_fault_44_a_decoder_that_never_comes_back_is_ended_and_its_file_quarantined(
    project: Path, database: str, valkey_url: str
) -> None:
    plug_in(project / "plug-ins")
    (project / "stuck").mkdir()
    with fleet(project, database, valkey_url, **STUCK) as f:
        f.env["PYTHONPATH"] = f"{f.env.get('PYTHONPATH', '')}:{project / 'plug-ins'}"
        f.start("daemon", "worker", "beat")
        (project / "stuck" / "s.csv").write_bytes(b"anything")
        drops = DroppedFiles(f)
        f.wait(lambda: f.ledger.totals().get("stuck", Totals()).running == 1)
        drops.put("meanwhile.csv")
        f.wait(lambda: f.ledger.totals()["stuck"].quarantined == 1)
        (view,) = f.ledger.files(source="stuck")
        assert view.error_code == "F215 too-slow"
        drops.put("after.csv")
        f.wait(lambda: f.counts()["loaded"] == 2)
        assert drops.manifest.of_database(database) == drops.manifest.readings


def test_fault_45_a_child_killed_as_its_worker_starts_does_not_end_it(
    project: Path, database: str, valkey_url: str
) -> None:
    parts = urlsplit(valkey_url)
    assert parts.hostname is not None
    assert parts.port is not None
    with (
        Proxy(parts.hostname, parts.port) as proxy,
        fleet(project, database, proxy.url(valkey_url)) as f,
    ):
        proxy.refuse()  # it looks at its children when it is connected
        f.start("daemon", "worker")
        log = project / "worker.log"
        f.wait(lambda: "Cannot connect" in log.read_text())  # its children were forked before
        for pid in f.children("worker"):
            os.kill(pid, signal.SIGKILL)
        proxy.pass_all()
        drops = DroppedFiles(f)
        drops.put("after.csv")
        f.wait(lambda: f.counts()["loaded"] == 1)
        assert f.running["worker"].poll() is None


REFUSING = """
import os, sys
if "worker" in sys.argv:
    from sensorflow.flow import reconcile
    real = reconcile.reconcile
    def refused(*args):
        try:
            os.mkdir(os.environ["REFUSED_ONCE"])
        except FileExistsError:
            return real(*args)
        raise MemoryError
    reconcile.reconcile = refused
"""


def test_fault_45_a_task_that_is_refused_memory_does_not_end_its_worker(
    project: Path, database: str, broker: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(REFUSING)
    refused = tmp_path / "refused"
    with fleet(project, database, broker) as f:
        paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        refusing = {"PYTHONPATH": paths, "REFUSED_ONCE": str(refused)}
        f.start("worker", env=refusing)
        f.start("daemon", "beat")
        f.wait(refused.exists)
        drops = DroppedFiles(f)
        drops.put("after.csv")
        f.wait(lambda: f.counts()["loaded"] == 1)
        f.wait(lambda: "leases ended=" in (project / "worker.log").read_text())
        assert f.running["worker"].poll() is None


def limited(f: Fleet, spare: int | None) -> None:
    """The address space of a worker and its children: as it is now and so many bytes; None: no limit."""
    for pid in [f.running["worker"].pid, *f.children("worker")]:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        limit = resource.RLIM_INFINITY
        now = limit if spare is None else pages * resource.getpagesize() + spare
        resource.prlimit(pid, resource.RLIMIT_AS, (now, limit))


def test_fault_45_refused_memory_costs_no_attempt_and_hangs_nothing(
    project: Path, database: str, valkey_url: str
) -> None:
    # cold: a fork has stacks of threads to spare, for which a worker that started anew asks the system
    with fleet(project, database, valkey_url, environment=LONG_LEASE, cold=True) as f:
        f.start("daemon", "worker", "beat")
        drops = DroppedFiles(f)
        drops.put("before.csv")
        f.wait(lambda: f.counts()["loaded"] == 1)
        limited(f, 1 << 20)
        for pid in f.children("worker"):
            os.kill(pid, signal.SIGKILL)
        for number in range(4):
            drops.put(f"{number}.csv")
        time.sleep(5)
        assert f.running["worker"].poll() is None
        limited(f, None)
        f.wait(lambda: f.counts()["loaded"] == 5)
        histories = [f.ledger.history(n) for n in range(2, 6)]
        tries = [[e.attempt for e in h if e.what == "claimed"] for h in histories]
        assert sum(map(len, tries)) >= 4  # more where a child lived and was refused memory
        # a child that has no memory even to say so loses its lease
        ended = [sum(e.what == "lease expired" for e in h) for h in histories]
        assert [max(attempts) - 1 for attempts in tries] == ended
        limited(f, 1 << 20)
        f.running["worker"].send_signal(signal.SIGTERM)
        f.running["worker"].wait(PATIENCE)
