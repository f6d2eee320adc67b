"""The client of a project, for notebooks and other programs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from sensorflow import bootstrap, profiles
from sensorflow.adapters.local.places import storage_errors
from sensorflow.adapters.postgres import readings as stored
from sensorflow.api import exporting, given
from sensorflow.api.batches import Batches
from sensorflow.api.exporting import Export
from sensorflow.api.records import Audit, Change, File, audit_of, file_of
from sensorflow.core.listing import FileFilter
from sensorflow.core.output.width import width
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
"""The type of an argument that selects a file: its id, its name, or NAME@VERSION."""


class Client:
    """A client of a project: returns its files, readings and rejects, and replays and undoes files.

    settings: the project's folder, the path of its sensorflow.toml, or a `Settings` object. None selects
    the same project as commands do: the project of SENSORFLOW_CONFIG, or else the project of the current
    folder.

    The client connects to the database at the first call. `close` closes the connections, as does the end
    of a `with` statement. Threads may share a client; processes may not. Every error is a SensorflowError
    with a `code`. It is a Transient if a retry may help, for example while the database is unavailable.
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
        """Returns the files that match all arguments, newest first. Warns if more than `limit` files match.

        name: a pattern such as 'roof-*.csv'. since: only files that arrived at or after this time.
        rejected: only files with rejected rows. A growing file is one entry of the result. If `state` is
        given, each part of a growing file that is in this state is an entry of its own instead.
        """
        if limit < 1:
            raise UsageError(f"limit {limit}: expected a number of at least 1")
        first_parts_only = state is None
        views = self._matching(state, source, name, since, rejected, limit, first_parts_only)
        chains = self._ledger.chains([v.file_id for v in views]) if first_parts_only else {}
        return [file_of(view, chains.get(view.file_id)) for view in views]

    def file(self, file: AnyFile) -> File:
        """Returns one file. A name selects the newest version with this name."""
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
        every: str | None = None,
        wide: bool = False,
        statistic: exporting.Statistic = "avg",
    ) -> Batches:
        """Returns the readings with start <= ts < end in order of time.

        start, end: times with a zone. sensor, type, source: one name or several names; None selects all.
        every: the width of buckets, such as "1h"; then aggregates of each bucket are returned instead of
        readings. Buckets that begin before `start` or end after `end` contain all of their readings. wide:
        return one column per sensor, and one row per time or bucket. statistic: for `wide` with `every`,
        the aggregate in the cells.

        All batches are from one snapshot of the database. At most four batches of 65,536 rows are in
        memory: a thread fetches the next ones. After a batch, the next one must be requested within an
        hour.
        """
        query = self._query(start, end, sensor, type, source, every)
        table = exporting.TableQuery(query, wide, statistic)
        table.require_statistic()
        what = f"readings from {query.start} to {query.end}"
        return exporting.batches(self._url, table, what)

    def export(
        self,
        file: given.Pathlike,
        start: given.Time | None = None,
        end: given.Time | None = None,
        *,
        sensor: str | Iterable[str] | None = None,
        type: str | Iterable[str] | None = None,  # noqa: A002 - the field's own word
        source: str | Iterable[str] | None = None,
        every: str | None = None,
        wide: bool = False,
        statistic: exporting.Statistic = "avg",
        format: exporting.Kind | None = None,  # noqa: A002 - as the option
    ) -> Export:
        """Write readings to a file, as `sensorflow export` does, and return a summary.

        file: only a complete export gets this name; it then replaces an existing file. format: None selects
        the format by the ending of the name. start, end: None for all times. The other arguments are as for
        `readings`. Unlike `readings`, raises UsageError for a sensor or type that has no readings at all.
        Raises Transient STORAGE if the file cannot be written.
        """
        path = os.fspath(file)
        if path in ("", "-"):
            raise UsageError(
                f"file {path!r}: give the path of a file, such as './-'; - is no stdout here"
            )
        kind = exporting.format_of(path, format)
        query = self._query(start, end, sensor, type, source, every)
        table = exporting.TableQuery(query, wide, statistic)
        table.require_statistic()
        exporting.require_known(self._url, query)
        with storage_errors():
            return exporting.to_file(self._url, Path(path), kind, table)

    def rejects(
        self,
        file: AnyFile | None = None,
        *,
        source: str | None = None,
        since: given.Time | None = None,
    ) -> Batches:
        """Returns the rejected rows of one file, or of all files that match `source` and `since` if `file`
        is None. Each row has the file, line, column, code, reason and original text.

        Warns of each file whose rejected rows were removed by retention.
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
        """Request that files are processed again from their landed bytes. Returns one `Change` for each
        file.

        files: the files. If there are none, all files that match the other arguments are selected. state:
        "quarantined", "loaded" or "undone"; None selects quarantined and loaded files. rejected: only
        loaded files with rejected rows. profile: name of a profile of the project or the library, which is
        used instead of the source's profile. Workers process the files later, when they are free.
        """
        if profile is not None and self.settings.profile(profile) is None:
            raise UsageError(f"profile: {profiles.unknown(profile, self.settings.profiles)}")
        self._require_source(source)
        after = None if since is None else given.instant(since, "since")
        names = [str(file) for file in files]
        found = replay.to_replay(
            self._ledger, replay.ReplayFilter(names, source, after, state, rejected)
        )
        return [self._replayed(view, profile) for view in found]

    def undo(self, *files: AnyFile, source: str | None = None, reason: str = "") -> list[Change]:
        """Remove the readings of files from the database and from silver. `replay` restores the readings.
        Returns one `Change` for each file.

        source: only files of this source. reason: a text that is recorded in the history of the files.
        """
        if not files:
            raise UsageError("name the files to undo")
        self._require_source(source)
        names = [str(file) for file in files]
        found, _ = replay.to_undo(self._ledger, names, source)
        file_ids = [view.file_id for view in found]
        return [self._undone(view, reason, file_ids) for view in found]

    def status(self, source: str | None = None) -> Status:
        """Returns the status of the project: files in each state, lag of each source, health of the
        processes.

        `sensorflow status` shows the same. The attribute `well` of the result is True if nothing needs
        attention. `balanced` is True if every reading is accounted for.
        """
        self._require_source(source)
        return status(self.settings, self._ledger, source)

    def audit(
        self,
        level: Literal["fast", "default", "checksum", "deep"] = "default",
        *,
        source: str | None = None,
    ) -> Audit:
        """Compare ledger, disk and database, and report missing or inconsistent readings.

        level: each level includes the checks of the level before it. source: the only source to audit; None
        for all sources. If a service is unavailable, no error is raised. Instead, `not_looked_at` of the
        result lists the checks that could not be made.
        """
        if level not in LEVELS:
            raise UsageError(f"level {level!r}: give one of {', '.join(LEVELS)}")
        self._require_source(source)
        return audit_of(run_audit(bootstrap.audit_context(self.settings, source), LEVELS[level]))

    def _query(
        self,
        start: given.Time | None,
        end: given.Time | None,
        sensor: str | Iterable[str] | None,
        type_: str | Iterable[str] | None,
        source: str | Iterable[str] | None,
        every: str | None,
    ) -> stored.ReadingsQuery:
        first = None if start is None else given.instant(start, "start")
        last = None if end is None else given.instant(end, "end")
        if first is not None and last is not None and last < first:
            raise UsageError(f"end {end!s} is before start {start!s}")
        sources = given.several(source, "source")
        for one in sources or ():
            self._require_source(one)
        sensors, types = given.several(sensor, "sensor"), given.several(type_, "type")
        if every is not None and not isinstance(every, str):
            raise UsageError(f"every {every!r}: give a string such as '15m', '1h' or '1d'")
        each = None if every is None else width(every, "every")
        return stored.ReadingsQuery(first, last, sensors, types, sources, each)

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
        first_parts_only: bool = False,
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
            first_parts_only=first_parts_only,
        )
        listed = self._ledger.matching(wanted, limit or 2**31)
        if listed.total > len(listed.files):
            warnings.warn(
                f"{len(listed.files):,} of {listed.total:,} files are returned; "
                f"limit={listed.total} returns all",
                stacklevel=3,
            )
        return listed.files

    def _rejects(self, views: Sequence[FileView]) -> Iterator[pa.RecordBatch]:
        lake = bootstrap.lake(self.settings, self._ledger)
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

    def _undone(self, view: FileView, reason: str, also_undone: Sequence[int]) -> Change:
        lake = bootstrap.lake(self.settings, self._ledger)
        landing = bootstrap.landing(self.settings, self._ledger)
        done = undo.undo(self._ledger, lake, landing, view.file_id, reason, also_undone)
        if done is None:
            return Change(file_of(view), False, reason=replay.not_undone(self._ledger, view))
        return Change(file_of(view), True, done.rows, delay=str(done.delay or ""))


LEVELS = {level.name.lower(): level for level in Level}
