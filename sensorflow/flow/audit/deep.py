"""The deep level: hash landed originals, and read them again through all stages."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

from sensorflow.core.findings import Fault
from sensorflow.core.partitions import Layer
from sensorflow.core.states import State
from sensorflow.errors import Code, Permanent, Transient
from sensorflow.flow.audit.report import Report, Subset
from sensorflow.flow.audit.sight import Sight, finding, identity_of_book, landing_wanted, unmoved
from sensorflow.flow.audit.sums import held
from sensorflow.flow.landing import Landing
from sensorflow.flow.transform import transform
from sensorflow.flow.validate import validate
from sensorflow.flow.work import NEVER_LOST, Job, whole_source
from sensorflow.ports.audit import Book, Snapshot
from sensorflow.ports.claims import Claim
from sensorflow.ports.files import Counts

SETTINGS = (Code.TOO_MANY_REJECTS, Code.DRIFT, Code.TOO_SLOW)
"""Errors that depend on a source's settings, which the profile's hash does not cover."""


def read_again(sight: Sight, report: Report, snapshot: Snapshot, subset: Subset) -> None:
    """Check the landed bytes of every file of the subset, and the readings of every loaded one."""
    others: Counter[str] = Counter()
    for book in sight.mine:
        if subset.has(book.file_id) and "landing" not in book.expired:
            sound = _hash(sight, report, book)
            if sound and book.state is State.LOADED and book.members is None:
                why = _why_not(sight, book) or _read(sight, report, snapshot, book)
                others.update([why] if why else [])
    for why, count in others.items():
        report.note(f"hashed but not read again: {count:,} files, {why}")


def digest(landing: Landing, name: str) -> bytes:
    with landing.open(name) as stream:
        return hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]


def _hash(sight: Sight, report: Report, book: Book) -> bool:
    """Whether the landed bytes are unchanged. A wrong size or a missing object was reported before."""
    landing = sight.world.landing
    if landing.size(book.landing) != book.size:
        return False
    found = digest(landing, book.landing)
    if found != book.sha256:
        text = f"SHA-256 {found.hex()}"
        fault = finding(Fault.LANDING_HASH, book, f"SHA-256 {book.sha256.hex()}", text)
        report.find(fault, landing_wanted)
    return found == book.sha256


def _why_not(sight: Sight, book: Book) -> str:
    settings = sight.world.settings
    if book.source not in settings.sources:
        return f"of source {book.source!r}, which is not in the settings"
    profile = settings.profile(book.profile or "", settings.sources[book.source])
    if profile is None or profile.hash != book.profile_hash:
        return f"loaded with an earlier definition of profile {book.profile!r}"
    return ""


def _read(sight: Sight, report: Report, snapshot: Snapshot, book: Book) -> str:
    """Compare a file's readings, read again, with the ledger. Returns why this was not possible, if so."""
    with sight.scratch() as lake:
        job = Job(replace(sight.world, lake=lake), claim_of(book), NEVER_LOST)
        try:
            job, _, _ = validate(job)
            job, _, _ = transform(job)
        except Permanent as error:
            if error.code in SETTINGS:
                return f"which the source's settings now reject ({error.code})"
            _differs(report, book, "the readings that were loaded", str(error))
            return ""
        except (Transient, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a defect must not affect the other files
            text = f"{type(error).__name__}: {error}"[:300]
            _differs(report, book, "the readings that were loaded", text)
            return ""
        found = held(sight, snapshot, book, lake.read(Layer.SILVER, job.file))
    expected, here = _account(book.counts, book.checksum or 0), job.counts
    counts = _counts(book, here, found.own_rows, found.rows - found.own_rows)
    text = _account(counts, found.own_checksum)
    shared = whole_source(book.source, identity_of_book(sight, book))
    if text != expected and not (shared and "rows" in book.expired):
        _differs(report, book, expected, text)
    return ""


def _counts(book: Book, here: Counts, own: int, others: int) -> Counts:
    """others: number of readings that other files hold, because they restated them or delivered them
    first."""
    if book.counts.replaced:
        return replace(here, loaded=own + others, replaced=others)
    return replace(here, loaded=own, duplicate=here.duplicate + others)


def _account(c: Counts, checksum: int) -> str:
    return (
        f"read={c.read} loaded={c.loaded} rejected={c.rejected} duplicates={c.duplicate} "
        f"missing={c.missing} replaced={c.replaced} checksum={checksum}"
    )


def _differs(report: Report, book: Book, expected: str, found: str) -> None:
    by = f" (loaded by sensorflow {book.code_version})"
    report.find(finding(Fault.READ_AGAIN, book, expected + by, found), unmoved(book))


def claim_of(book: Book) -> Claim:
    """Returns the facts that stages need. It is not a claim in the ledger: nothing can be committed with
    it."""
    return Claim(
        file_id=book.file_id,
        token=-1,
        attempt=1,
        stage=book.stage,
        source=book.source,
        key=book.key,
        version=book.version,
        sha256=book.sha256,
        md5=book.md5,
        size=book.size,
        landing=book.landing,
        received_at=book.received_at,
        retries=0,
        sensor_type=book.sensor_type,
        profile=book.profile,
        part=book.part,
    )
