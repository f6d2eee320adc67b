"""A project, for notebooks and other programs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from sensorflow import bootstrap, profiles
from sensorflow.adapters.postgres import readings as stored
from sensorflow.api import given
from sensorflow.api.batches import Batches
from sensorflow.api.records import Audit, Change, File, audit_of, file_of
from sensorflow.core.listing import FileFilter
from sensorflow.core.partitions import Layer
from sensorflow.core.readings import REJECTS
from sensorflow.core.states import State
from sensorflow.errors import Misuse
from sensorflow.flow import choose, replay, undo
from sensorflow.flow.audit import Level
from sensorflow.flow.audit import audit as run_audit
from sensorflow.settings import Settings
from sensorflow.status import Status, status

if TYPE_CHECKING:
    from sensorflow.adapters.postgres.ledger import PostgresLedger
    from sensorflow.ports.files import FileView

FILES = 1000
REJECTED = pa.schema([("file_id", pa.int64()), ("file", pa.string()), *REJECTS])
AnyFile = int | str
"""A file's number, its name, or NAME@VERSION."""


class Client:
    """A project's files, readings and rejects, and what can be done with them.

    settings: the project's folder, its sensorflow.toml, or the settings; None: the project of the current
    folder, or the one that SENSORFLOW_CONFIG names, as for commands. Connects when it is first asked
    something. A context manager that closes its connections. Threads may share one, processes not.

    Every error is a SensorflowError with its `code`: Transient where trying again may help, as while the
    database is away.
    """

    def __init__(self, settings: Settings | given.Pathlike | None = None) -> None:
        if isinstance(settings, Settings):
            self.settings = settings
        else:
            self.settings = (
                bootstrap.settings() if settings is None else bootstrap.project(settings)
            )
        self._url = bootstrap.database_url(self.settings)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<sensorflow project in {self.settings.home}>"

    def close(self) -> None:
        if "_ledger" in vars(self):
            self._ledger.close()

    @cached_property
    def _ledger(self) -> PostgresLedger:
        return bootstrap.ledger(self.settings, "python")

    def files(
        self,
        *,
        state: str | None = None,
        source: str | None = None,
        name: str | None = None,
        since: given.Time | None = None,
        rejected: bool = False,
        limit: int = FILES,
    ) -> list[File]:
        """The newest files that fit, the newest first; a warning says where there are more than `limit`.

        name: a pattern such as 'roof-*.csv'. since: arrived then or later. rejected: with rejected rows.
        A file that grows is one, unless `state` is given: then each of its growths in that state is.
        """
        if limit < 1:
            raise Misuse(f"limit {limit}: give a number from 1 on")
        whole = state is None
        views = self._matching(state, source, name, since, rejected, limit, whole)
        chains = self._ledger.chains([v.file_id for v in views]) if whole else {}
        return [file_of(view, chains.get(view.file_id)) for view in views]

    def file(self, file: AnyFile) -> File:
        """One file; of a name with several versions the newest."""
        view = self._view(file)
        return file_of(view, self._ledger.chains([view.file_id]).get(view.file_id))

    def readings(
        self,
        start: given.Time,
        end: given.Time,
        *,
        sensor: str | Iterable[str] | None = None,
        type: str | Iterable[str] | None = None,  # noqa: A002 - the field's own word
        source: str | Iterable[str] | None = None,
    ) -> Batches:
        """Readings of start <= ts < end, in the order of time, as one snapshot of the database has them.

        start, end: with a zone. sensor, type, source: one or several; None: all. Memory is bounded by a
        batch of 65,536 rows, here and at the server; between two batches an hour may pass at most.
        """
        first, last = given.instant(start, "start"), given.instant(end, "end")
        if last < first:
            raise Misuse(f"end {end!s}: is before start, {start!s}")
        sources = given.several(source, "source")
        for one in sources or ():
            self._require_source(one)
        sensors, types = given.several(sensor, "sensor"), given.several(type, "type")
        wanted = stored.Wanted(first, last, sensors, types, sources)
        what = f"readings from {first.isoformat()} to {last.isoformat()}"
        return Batches(stored.SCHEMA, lambda: stored.stream(self._url, wanted), what)

    def rejects(
        self,
        file: AnyFile | None = None,
        *,
        source: str | None = None,
        since: given.Time | None = None,
    ) -> Batches:
        """Rejected rows, with their file, line, code, reason and text: of one file, or of all that fit.

        A warning names files whose rejected rows retention has removed.
        """
        if file is not None and (source is not None or since is not None):
            raise Misuse("give a file, or source and since")
        views = (
            self._matching(None, source, None, since, True, None)
            if file is None
            else [self._view(file)]
        )
        return Batches(REJECTED, lambda: self._rejects(views), f"rejects of {len(views):,} files")

    def replay(
        self,
        *files: AnyFile,
        source: str | None = None,
        since: given.Time | None = None,
        state: str | None = None,
        rejected: bool = False,
        profile: str | None = None,
    ) -> list[Change]:
        """Take files through the pipeline again, from their landed bytes: these, or all that fit.

        Workers do it when they are free. state: quarantined, loaded or undone; without it the first two.
        rejected: loaded ones with rejected rows. profile: of the project or the library, in place of their
        source's.
        """
        if profile is not None and self.settings.profile(profile) is None:
            raise Misuse(f"profile: {profiles.unknown(profile, self.settings.profiles)}")
        self._require_source(source)
        after = None if since is None else given.instant(since, "since")
        names = [str(file) for file in files]
        found = replay.to_replay(self._ledger, replay.Wanted(names, source, after, state, rejected))
        return [self._replayed(view, profile) for view in found]

    def undo(self, *files: AnyFile, source: str | None = None, why: str = "") -> list[Change]:
        """Take exactly these files' readings out of the database and of silver. `replay` reverses it.

        why: for their history.
        """
        if not files:
            raise Misuse("name the files to undo")
        self._require_source(source)
        names = [str(file) for file in files]
        found, _ = replay.to_undo(self._ledger, names, source)
        along = [view.file_id for view in found]
        return [self._undone(view, why, along) for view in found]

    def status(self, source: str | None = None) -> Status:
        """How many files are where, how far behind each source is, and whether all is well, as `sensorflow
        status` says it. `well` and `balanced` sum it up."""
        self._require_source(source)
        return status(self.settings, self._ledger, source)

    def audit(
        self,
        level: Literal["fast", "default", "checksum", "deep"] = "default",
        *,
        source: str | None = None,
    ) -> Audit:
        """Hold ledger, disk and database against each other: is every reading there?

        Each level looks at more than the one before. What is away is in `not_looked_at`, and no error.
        """
        if level not in LEVELS:
            raise Misuse(f"level {level!r}: give one of {', '.join(LEVELS)}")
        self._require_source(source)
        return audit_of(run_audit(bootstrap.sight(self.settings, source), LEVELS[level]))

    def _require_source(self, source: str | None) -> None:
        choose.require_source(self.settings, self._ledger, source, "source")

    def _view(self, file: AnyFile) -> FileView:
        return choose.file_of(self._ledger, str(file))

    def _matching(
        self,
        state: str | None,
        source: str | None,
        name: str | None,
        since: given.Time | None,
        rejected: bool,
        limit: int | None,
        whole: bool = False,
    ) -> Sequence[FileView]:
        if state is not None:
            choose.require("state", state, "state", State)
        choose.require_pattern("name", name)
        self._require_source(source)
        wanted = FileFilter(
            State(state) if state else None,
            source,
            None if since is None else given.instant(since, "since"),
            name=name,
            rejected=rejected,
            whole=whole,
        )
        listed = self._ledger.matching(wanted, limit or 2**31)
        if listed.total > len(listed.files):
            warnings.warn(
                f"{len(listed.files):,} of {listed.total:,} files: limit={listed.total} gives all",
                stacklevel=3,
            )
        return listed.files

    def _rejects(self, views: Sequence[FileView]) -> Iterator[pa.RecordBatch]:
        lake = bootstrap.lake(self.settings)
        for view in views:
            if "rejects" in view.expired:
                warnings.warn(
                    f"{view.name}: retention has removed its {view.counts.rejected:,} rejected rows",
                    stacklevel=2,
                )
                continue
            if not view.counts.rejected:
                continue
            for batch in lake.read(Layer.REJECTS, view.layer_file):
                count = len(batch)
                of = [pa.array([view.file_id] * count), pa.array([view.name] * count, pa.string())]
                yield pa.RecordBatch.from_arrays([*of, *batch.columns], schema=REJECTED)

    def _replayed(self, view: FileView, profile: str | None) -> Change:
        done = self._ledger.replay(view.file_id, profile)
        return Change(file_of(view), done, why="" if done else replay.not_replayed(view))

    def _undone(self, view: FileView, why: str, along: Sequence[int]) -> Change:
        lake, landing = bootstrap.lake(self.settings), bootstrap.landing(self.settings)
        rows = undo.undo(self._ledger, lake, landing, view.file_id, why, along)
        if rows is None:
            return Change(file_of(view), False, why=replay.not_undone(self._ledger, view))
        return Change(file_of(view), True, rows)


LEVELS = {level.name.lower(): level for level in Level}
