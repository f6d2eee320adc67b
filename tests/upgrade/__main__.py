"""python -m upgrade: see `make upgrade`."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import uuid
from pathlib import Path

import psycopg
from chaos.scene import servers
from servers import RabbitMQ
from upgrade.hold import UpgradeChecker
from upgrade.rolling import Rolling
from upgrade.sides import unpacked


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # fleet and servers end with us
    options = _options()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    clean = True
    for broker in [options.broker] if options.broker else ["valkey", "rabbitmq"]:
        folder = Path(tempfile.mkdtemp(prefix="upgrade-"))
        tree = unpacked(options.base, Path(tempfile.mkdtemp(prefix="upgrade-from-")))
        print(f"upgrade: from {options.base} on {broker}, seed {seed}")
        try:
            has_failed = not _once(broker, seed, options, folder, tree)
        except BaseException:
            print(f"logs and files are kept in {folder}", file=sys.stderr)
            raise
        finally:
            shutil.rmtree(tree)
        clean &= not has_failed
        if has_failed:
            print(f"logs and files are kept in {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    return 0 if clean else 1


def _once(broker: str, seed: int, options: argparse.Namespace, folder: Path, tree: Path) -> bool:
    """Whether nothing was wrong."""
    with servers(broker) as (postgres, server, url):
        name = f"upgrade_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        urls = f"{postgres.url.rsplit('/', 1)[0]}/{name}", url
        rabbit = server if isinstance(server, RabbitMQ) else None
        run = Rolling(folder, tree, urls, rabbit, seed, options.files, options.rows, print)
        try:
            run.run()
            judge = UpgradeChecker(run.observer, run.old, run.new, run.drops.manifest, run.facts)
            found = judge.hold()
        finally:
            run.close()
    facts = run.facts
    print(
        f"  {facts.output}; with {facts.waiting} messages waiting, {facts.half_way} chains half done, "
        f"{facts.leases_of_killed} leases of who was killed, {facts.events_between} events meanwhile; "
        f"kills {dict(facts.kills)}"
    )
    print(f"  worked on: {judge.counts()}")
    for line in found.details():
        print(line)
    print(
        f"upgrade: broker={broker} seed={seed} kills={facts.kills.total()} lost={len(found.lost)} "
        f"duplicated={len(found.duplicated)} unexpected={len(found.unexpected)}"
    )
    return found.clean


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="upgrade", description=__doc__)
    parser.add_argument("--base", default="v0.2.0", help="the commit or tag of the old version")
    parser.add_argument("--broker", choices=["valkey", "rabbitmq"])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--files", type=int, default=180)
    parser.add_argument("--rows", type=int, default=400)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
