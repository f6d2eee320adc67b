"""Guards of the intake: feeds, leases, landing, registration."""

from __future__ import annotations

from guard import (
    ANYWHERE,
    TREE,
    Guard,
    faults,
    growing,
)
from patches import Patch

INTAKE = [
    Guard(  # a file leaves its folder only after it is registered
        1,
        "sensorflow/flow/intake/take.py::Group._land_some",
        "for _ in _files(unit for units in landed.values() for unit in units):",
        "for source, units in landed.items():\n"
        "    lease = self._round.lease(source)\n"
        "    self._acknowledge(self._round.strategy(source), list(_files(units)), lease)\n"
        "for _ in _files(unit for units in landed.values() for unit in units):",
        ANYWHERE,
    ),
    Guard(  # a drop folder that was replaced is watched anew
        49,
        "sensorflow/adapters/feeds/folder/watch.py::InotifyWatcher.renew",
        "root != now.root or not self._lives(now) or _replaced(",
        "now.watch is None and _replaced(",
        "tests/unit/test_watch.py::test_a_folder_that_was_removed_and_made_again_is_watched",
    ),
    Guard(  # a link may lead elsewhere by now
        49,
        "sensorflow/bootstrap.py::folders",
        "settings.path(source.path), source",
        "settings.path(source.path).resolve(), source",
        "tests/unit/test_watch.py::test_a_link_that_leads_elsewhere_by_now_is_watched",
    ),
    Guard(  # a scan takes its turns, with looks at what is watched in between
        49,
        "sensorflow/adapters/feeds/folder/tree.py::Tree.all_files",
        "places: dict[bytes, tuple[int, int]] = {}",
        "places = self.places = {}",
        "tests/unit/test_watch.py::test_a_folder_within_that_is_mounted_over_is_watched",
    ),
    Guard(  # a folder that comes later is recovered too
        49,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed._scanned",
        "if self._unrecovered and self.folder.readable():",
        "if not self._unrecovered:",
        faults(
            "test_daemon",
            "test_fault_49_a_share_that_is_mounted_late_keeps_no_other_source_waiting",
        ),
    ),
    Guard(  # also one whose inode has the number of the old one, and one within
        49,
        "sensorflow/adapters/feeds/folder/watch.py::InotifyWatcher.renew",
        "or _replaced(now.places, folder.places):",
        ":",
        "tests/unit/test_watch.py::test_a_folder_within_that_is_mounted_over_is_watched",
    ),
    Guard(
        12,
        "sensorflow/flow/intake/loop.py::Intake._run",
        "self._require_room()",
        "",
        faults("test_disk", "test_fault_12_files_given_back_for_want_of_room_keep_new_ones_out"),
    ),
    Guard(  # a file that changed while it was read is not taken
        18,
        "sensorflow/flow/land.py::land",
        "if before != after or landed.size != after.size:",
        "if False:",
        faults(
            "test_files",
            "test_fault_18_a_file_rewritten_while_it_is_read_is_taken_as_it_is_at_last",
        ),
    ),
    Guard(
        18,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed._stable",
        "except Gone as error:\n    self._vanished(key, error)",
        "except Gone:\n    self._settling.forget(key)",
        faults("test_files", "test_fault_18_a_file_deleted_while_it_is_read_is_told"),
    ),
    Guard(  # who writes is asked of the kernel
        19,
        "sensorflow/adapters/feeds/folder/tree.py::Tree._being_written",
        "return error.errno == errno.EAGAIN",
        "return error.errno != errno.EAGAIN",
        faults("test_files", "test_fault_19_a_file_is_not_taken_before_it_is_whole"),
    ),
    Guard(  # a growth ends with a line
        20,
        "sensorflow/core/growth.py::complete",
        "return end - width + at + 1",
        "return end",
        growing("test_a_half_line_waits_for_its_end"),
    ),
    Guard(  # a file that was written anew is told by its edges
        20,
        "sensorflow/core/growth.py::compare",
        "if edges(stream, ingested.size) != (ingested.head, ingested.tail):",
        "if False:",
        growing("test_a_file_that_was_rewritten_begins_anew"),
    ),
    Guard(  # a renamed file is known by its inode
        20,
        "sensorflow/flow/intake/look.py::Inspection.found",
        "verdicts: dict[int, Verdict] = {}",
        "verdicts: dict[int, Verdict] = {}\nby_inode = None",
        growing("test_a_file_rotated_on_and_on_is_known_under_each_name"),
        also=(
            Patch(
                "sensorflow/flow/intake/look.py::Inspection._copied",
                "if by_inode is not None or self._all.name_matters:",
                "if True:",
            ),
        ),
    ),
    Guard(  # and its rest is looked for before the new one is begun
        20,
        "sensorflow/flow/intake/look.py::Inspection._replaced",
        "return [*unread_end, *begun]",
        "return begun",
        growing("test_a_rotated_file_is_one_file_and_its_rest_is_taken"),
    ),
    Guard(  # lost events bring a rescan
        23,
        "sensorflow/adapters/feeds/folder/watch.py::_Overflow.emit",
        'if "overflow" in record.getMessage():',
        "if False:",
        faults(
            "test_daemon", "test_fault_23_events_lost_in_a_full_queue_are_made_good_by_a_rescan"
        ),
    ),
    Guard(  # without watches the daemon goes on
        23,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed.start",
        "except OSError as error:\n    emit(Event.WATCH_DEGRADED",
        "except ZeroDivisionError as error:\n    emit(Event.WATCH_DEGRADED",
        faults("test_daemon", "test_fault_23_and_26_without_watches_the_rescan_finds_every_file"),
    ),
    Guard(  # the first scan
        24,
        "sensorflow/adapters/feeds/folder/feed.py::FolderFeed.__init__",
        "self._next_scan = self._next_look = self._next_watch = -math.inf",
        "self._next_scan = self._next_look = self._next_watch = math.inf",
        ANYWHERE,
    ),
    Guard(  # what is no file is not even looked at
        31,
        f"{TREE}::Tree.all_files",
        "if modes.S_ISREG(status.st_mode) and wanted(prefix + name):",
        "if self.takes(prefix + name):",
        faults("test_files", "test_fault_31_what_is_no_file_is_left_alone_and_blocks_nothing"),
        also=(
            Patch(
                f"{TREE}::Tree.open",
                "if not modes.S_ISREG(os.fstat(stream.fileno()).st_mode):",
                "if False:",
            ),
            Patch(f"{TREE}::Tree.stat", "if not modes.S_ISREG(status.st_mode):", "if False:"),
        ),
    ),
    Guard(  # a link is not followed, also where it comes in the last moment
        31,
        "sensorflow/adapters/local/places.py::FILE",
        "FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC",
        "FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC",
        "tests/conformance/test_stores.py::test_nothing_outside_of_the_folder_is_opened",
    ),
    Guard(  # names are bytes
        32,
        "sensorflow/adapters/feeds/folder/tree.py::entries",
        "return sorted(os.fsencode(name) for name in wanted)",
        'return sorted(os.fsencode(n).decode("utf-8", "replace").encode() for n in wanted)',
        faults("test_files", "test_fault_32_odd_names_are_kept_byte_for_byte"),
    ),
    Guard(  # however their letters are encoded, they are one
        32,
        "sensorflow/core/names.py::composed",
        'return unicodedata.normalize("NFC", text)',
        "return text",
        "tests/conformance/intake/test_names.py::test_two_spellings_of_a_name_are_versions_and_keep_their_bytes",
    ),
    Guard(  # and where both lie in a folder, the second is no version of the first
        32,
        "sensorflow/flow/intake/spelling.py::Spellings._other",
        "return key if key is not None and feed.has_other(key, file.candidate) else None",
        "return None",
        "tests/integration/test_spellings.py"
        "::test_of_two_spellings_that_stay_in_a_folder_the_second_is_refused_until_the_first_is_gone",
    ),
    Guard(  # nor by one of its own that it has taken again since
        48,
        "sensorflow/flow/intake/take.py::Group.take",
        "lease = leases[source]",
        '__import__("time").sleep(5)\nlease = self._round._keeper.held(source)',
        faults(
            "test_two_daemons",
            "test_fault_48_a_daemon_stopped_over_its_lease_registers_no_old_bytes",
        ),
    ),
    Guard(  # a copy to the archive has its name when it is whole
        22,
        "sensorflow/adapters/local/no_overwrite.py::_copy_new",
        "with temporary(target.parent) as (new, path):\n    while block := stream.read(1 << 20):",
        'with target.open("xb") as new, temporary(target.parent) as (_, path):\n'
        "    while block := stream.read(1 << 20):",
        "tests/integration/test_garbage.py::test_what_a_killed_writer_left_goes_after_an_hour[archive]",
    ),
    Guard(  # and in the intake
        39,
        "sensorflow/flow/intake/turns.py::Turns.gather",
        "if not ended:\n    self._streams.append(stream)",
        "if not ended:\n    self._streams.appendleft(stream)",
        "tests/unit/test_turns.py::test_a_group_has_files_of_each_feed_in_turn",
    ),
]
