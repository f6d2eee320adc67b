"""The client of a project, for notebooks and other programs."""

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
from sensorflow.errors import UsageError
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
"""A file, given by its number, its name, or NAME@VERSION."""


class Client:
    """The files, readings and rejects of a project, and operations on them.

    settings: the project's folder, the path of its sensorflow.toml, or a settings object. None selects the
    same project as commands do: the project named by SENSORFLOW_CONFIG, or else the project of the current
    folder. Connects on the first call. As a context manager, closes its connections on exit. May be shared
    between threads, but not between processes.

    Every error is a SensorflowError with a `code`. The error is Transient if a retry may help, for example
    while the database is unavailable.
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
        """Returns the matching files, newest first. Warns if more than `limit` files match.

        name: a pattern such as 'roof-*.csv'. since: only files that arrived at or after this time.
        rejected: only files with rejected rows. A growing file is one entry. If `state` is given, each of
        its parts in that state is an entry instead.
        """
        if limit < 1:
            raise UsageError(f"limit {limit}: expected a number of at least 1")
        whole = state is None
        views = self._matching(state, source, name, since, rejected, limit, whole)
        chains = self._ledger.chains([v.file_id for v in views]) if whole else {}
        return [file_of(view, chains.get(view.file_id)) for view in views]

    def file(self, file: AnyFile) -> File:
        """Returns one file. If a name has several versions, returns the newest."""
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
        """Returns the readings with start <= ts < end in order of time, from one snapshot of the database.

        start, end: times with a zone. sensor, type, source: one name or several; None selects all. The
        client and the server keep at most a batch of 65,536 rows in memory. Fetch the next batch within an
        hour.
        """
        first, last = given.instant(start, "start"), given.instant(end, "end")
        if last < first:
            raise UsageError(f"end {end!s} is before start {start!s}")
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
        """Returns the rejected rows of one file or of all matching files. Each row has its file, line,
        code, reason and original text.

        Warns about files whose rejected rows were removed by retention.
        """
        if file is not None and (source is not None or since is not None):
            raise UsageError("give either a file, or source and since")
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
        """Send files through the pipeline again from their landed bytes: the given files, or else all
        matching files.

        Workers process these files when they are free. state: quarantined, loaded or undone; by default,
        quarantined and loaded files. rejected: only loaded files with rejected rows. profile: a profile of
        the project or the library to use instead of the source's profile.
        """
        if profile is not None and self.settings.profile(profile) is None:
            raise UsageError(f"profile: {profiles.unknown(profile, self.settings.profiles)}")
        self._require_source(source)
        after = None if since is None else given.instant(since, "since")
        names = [str(file) for file in files]
        found = replay.to_replay(self._ledger, replay.Wanted(names, source, after, state, rejected))
        return [self._replayed(view, profile) for view in found]

    def undo(self, *files: AnyFile, source: str | None = None, reason: str = "") -> list[Change]:
        """Remove the readings of the given files from the database and from silver. `replay` reverses this.

        reason: a text for the files' history.
        """
        if not files:
            raise UsageError("name the files to undo")
        self._require_source(source)
        names = [str(file) for file in files]
        found, _ = replay.to_undo(self._ledger, names, source)
        along = [view.file_id for view in found]
        return [self._undone(view, reason, along) for view in found]

    def status(self, source: str | None = None) -> Status:
        """Returns the number of files in each state, the lag of each source, and the overall health, as
        `sensorflow status` shows them. `well` is true if nothing needs attention, `balanced` if every
        reading is accounted for."""
        self._require_source(source)
        return status(self.settings, self._ledger, source)

    def audit(
        self,
        level: Literal["fast", "default", "checksum", "deep"] = "default",
        *,
        source: str | None = None,
    ) -> Audit:
        """Compare ledger, disk and database, and report missing or inconsistent readings.

        Each level includes the checks of the previous level. If a service is unavailable, no error is
        raised; `not_looked_at` lists the checks that could not be made.
        """
        if level not in LEVELS:
            raise UsageError(f"level {level!r}: give one of {', '.join(LEVELS)}")
        self._require_source(source)
        return audit_of(run_audit(bootstrap.audit_context(self.settings, source), LEVELS[level]))

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
        return Change(file_of(view), done, reason="" if done else replay.not_replayed(view))

    def _undone(self, view: FileView, reason: str, along: Sequence[int]) -> Change:
        lake, landing = bootstrap.lake(self.settings), bootstrap.landing(self.settings)
        rows = undo.undo(self._ledger, lake, landing, view.file_id, reason, along)
        if rows is None:
            return Change(file_of(view), False, reason=replay.not_undone(self._ledger, view))
        return Change(file_of(view), True, rows)


LEVELS = {level.name.lower(): level for level in Level}
