"""python -m chaos: see `make chaos`."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from chaos.execute import execute
from chaos.plan import Fault, Plan
from chaos.scene import scene, servers
from chaos.store import chaos_store


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the fleet and the servers end with us
    options = _options()
    if options.proof:
        from chaos.proof import prove

        return prove()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    brokers = [options.broker] if options.broker else ["valkey", "rabbitmq"]
    if options.soak:
        return _soak(options, seed, brokers)
    fault = Fault(options.fault)
    if fault is Fault.STORE and not options.store:
        print("chaos: FAULT=store needs STORE=s3", file=sys.stderr)
        return 2
    kills = options.kills or (200 if fault is Fault.KILLS else 20)
    clean = True
    for broker in brokers:
        plan = Plan(
            broker,
            seed,
            kills,
            options.files,
            options.rows,
            fault,
            defaults=options.defaults,
            index=options.index,
        )
        folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        with ExitStack() as stack:
            postgres, _, url = stack.enter_context(servers(broker))
            store = stack.enter_context(chaos_store(seed)) if options.store else None
            found = execute(scene(postgres, url, store), plan, folder, print)
        if found.clean:
            shutil.rmtree(folder)
        else:
            print(f"logs and files are kept in {folder}", file=sys.stderr)
        clean &= found.clean
    return 0 if clean else 1


def _soak(options: argparse.Namespace, seed: int, brokers: list[str]) -> int:
    from chaos import network, soak

    if not options.inside:
        return network.alone(*sys.argv[1:], "--inside")
    clean = True
    for broker in brokers:
        folder = Path(tempfile.mkdtemp(prefix="soak-"))
        found = soak.soak(broker, seed, options.soak, folder, print)
        print(soak.line(broker, seed, options.soak, found))
        if found.clean:
            shutil.rmtree(folder)
        else:
            print(f"logs and files are kept in {folder}", file=sys.stderr)
        clean &= found.clean
    return 0 if clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--broker", choices=["valkey", "rabbitmq"])
    parser.add_argument("--store", choices=["s3"], help="the zones in a bucket of this kind")
    parser.add_argument("--fault", choices=list(Fault), default=Fault.KILLS)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--kills", type=int, help="200, or 20 of the other faults")
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument(
        "--defaults", action="store_true", help="lease and sweep as users have them"
    )
    parser.add_argument("--index", choices=["unique", "deferred"], default="unique")
    parser.add_argument("--proof", action="store_true", help="does it find planted bugs?")
    parser.add_argument(
        "--soak", type=int, metavar="MINUTES", help="all other faults, once a minute"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
