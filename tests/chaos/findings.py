"""What a run found, in Jepsen's three bad words."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from chaos.plan import Plan

SHOWN = 20


@dataclass
class Findings:
    """Each entry is a line for people about one file, reading or fact."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.unexpected)

    def line(self, plan: Plan) -> str:
        return (
            f"chaos: broker={plan.broker} seed={plan.seed} kills={plan.kills} "
            f"lost={len(self.lost)} duplicated={len(self.duplicated)} "
            f"unexpected={len(self.unexpected)}"
        )

    def details(self) -> list[str]:
        lines = []
        for word in ("lost", "duplicated", "unexpected"):
            found: list[str] = getattr(self, word)
            lines += [f"  {word}: {text}" for text in found[:SHOWN]]
            if len(found) > SHOWN:
                lines.append(f"  {word}: and {len(found) - SHOWN} more")
        return lines


@dataclass
class Tally:
    """Kills by victim; of those, how many hit files in work, and whose message the broker still had.

    killed_claims: (file id, seconds since 1970) of every file that was hit. where: what a hit is.
    """

    where: str = "between claim and ack"
    kills: Counter[str] = field(default_factory=Counter)
    hits_with_lease: Counter[str] = field(default_factory=Counter)
    unacked: Counter[str] = field(default_factory=Counter)
    killed_claims: list[tuple[int, float]] = field(default_factory=list)

    def lines(self, counts_unacked: bool) -> list[str]:
        lines = [
            f"  {victim:15} {self.kills[victim]:5}  {self.where} {self.hits_with_lease[victim]:4}"
            + (f"  unacked {self.unacked[victim]:4}" if counts_unacked else "")
            for victim in sorted(self.kills)
        ]
        total, with_lease = self.kills.total(), self.hits_with_lease.total()
        return [*lines, f"  {'all':15} {total:5}  {self.where} {with_lease:4}"]

    def judge(self, counts_unacked: bool) -> list[str]:
        """A run whose kills hit nothing proves nothing."""
        total, with_lease, unacked = (
            self.kills.total(),
            self.hits_with_lease.total(),
            self.unacked.total(),
        )
        found = []
        if with_lease * 4 < total:
            found.append(f"only {with_lease} of {total} kills were {self.where}")
        missed = (
            with_lease - unacked
        )  # one is by chance: its message was acknowledged just before the kill
        if counts_unacked and missed > max(1, with_lease // 10):
            found.append(
                f"of {with_lease} kills of what held a claim, the broker had the message of {unacked} only"
            )
        return found
