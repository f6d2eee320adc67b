"""python -m hosts: see `make hosts`."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from hosts.network import why_not
from hosts.run import HostCut, run
from hosts.stand import stand

ORDER = ("worker1", "daemon", "database", "broker", "worker2", "standby")

UPLOAD = "upload"
"""The daemon's host, in the middle of an upload."""


def _strike(host: str, kill: bool, seconds: float) -> HostCut:
    if host == UPLOAD:
        return HostCut(("daemon",), kill, seconds, in_upload=True)
    return HostCut((host,), kill, seconds)


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # hosts and servers end with us
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 2
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    cut = float(os.environ.get("CUT") or 120)
    store = os.environ.get("STORE", "")
    if store not in ("", "s3"):
        print(f"hosts: STORE={store}: expected s3", file=sys.stderr)
        return 2
    hosts = os.environ.get("HOSTS", "").split() or (*ORDER, *((UPLOAD, "store") if store else ()))
    broker = os.environ.get("BROKER") or "valkey"
    strikes = [_strike(host, kill, cut) for kill in (False, True) for host in hosts]
    folder = Path(tempfile.mkdtemp(prefix="hosts-"))
    where = ", zones in a bucket and no shared data folder" if store else ""
    print(f"hosts: seed={seed} broker={broker} cut={cut:.0f} s, the settings' defaults{where}")
    with stand(folder, broker, bool(store)) as hosts_fleet:
        found = run(hosts_fleet, strikes, seed, print)
    if found.clean:
        shutil.rmtree(folder)
    else:
        print(f"logs and files are kept in {folder}", file=sys.stderr)
    print(found.line)
    return 0 if found.clean else 1


if __name__ == "__main__":
    sys.exit(main())
