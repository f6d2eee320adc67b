"""Guards of readings and of what is shown: formats, limits, judgement, texts, commands."""

from __future__ import annotations

from guard import (
    SESSIONS,
    Guard,
    faults,
)

READINGS = [
    Guard(  # an edit that was refused is tried again
        51,
        "sensorflow/cli/up/edits.py::Edits.apply",
        "if not edited and not (self._refused and time.monotonic() >= self._next):",
        "if not edited:",
        "tests/acceptance/test_up.py::test_an_edit_holds_for_the_database_too_as_soon_as_it_can",
    ),
    Guard(  # whatever an edit ends with, the stack goes on
        51,
        "sensorflow/cli/up/edits.py::Edits.apply",
        "except Exception as error:  # noqa: BLE001 - no edit ends what runs",
        "except (UsageError, Transient) as error:",
        "tests/acceptance/test_up.py::test_an_edit_holds_for_the_database_too_as_soon_as_it_can",
    ),
    Guard(  # settings without sources are half an edit
        51,
        "sensorflow/cli/up/stack.py::Stack._apply",
        "require_sources(settings)\nif settings.data_folder",
        "if settings.data_folder",
        "tests/acceptance/test_up.py::"
        "test_an_edit_is_taken_over_by_the_running_stack_and_a_second_stack_is_refused",
    ),
    Guard(  # and holds for the URLs too
        51,
        "sensorflow/cli/up/stack.py::Stack._apply",
        "self.running = self._servers(settings)\nself._generation += 1",
        "self._generation += 1",
        "tests/acceptance/test_up.py::test_an_edit_holds_for_the_database_too_as_soon_as_it_can",
    ),
    Guard(  # a log line that cannot be written is lost, and nothing else
        45,
        "sensorflow/lossy_stream.py::LossyStream.write",
        "with suppress(OSError, ValueError):",
        "with suppress(ValueError):",
        faults("test_logs", "test_fault_45_a_full_log_disk_ends_no_process"),
    ),
    Guard(  # a pattern that backtracks is searched by a library with a time limit
        44,
        "sensorflow/core/patterns.py::Pattern.search",
        "if len(text) <= self._safe:",
        "if len(text) <= 60:",
        "tests/unit/test_patterns.py::test_a_pattern_that_backtracks_costs_its_file_alone",
    ),
    Guard(
        38,
        "sensorflow/cli/doctor.py::_database",
        "for found in long_outages(url):",
        "for found in long_outages(url)[:0]:",
        SESSIONS + "test_what_outlasts_an_outage_is_named_by_doctor_and_status_with_its_remedy",
    ),
    Guard(
        28,
        "sensorflow/core/formats/compression.py::Bounded._check",
        "if self._count > GRACE and self._count > self._packed * ratio:",
        "if False:",
        faults("test_files", "test_fault_28_bombs_and_nested_archives_are_stopped_and_say_so"),
    ),
    Guard(  # a file makes few months with a handful of readings
        50,
        "sensorflow/core/months.py::NewMonths.count",
        "if new and sparse > self.limits.sparse:",
        "if new and sparse > 10**9:",
        "tests/integration/test_months.py::"
        "test_a_reading_a_month_over_decades_makes_no_month_and_is_quarantined_with_advice",
    ),
    Guard(  # times that a source does not expect
        50,
        "sensorflow/core/validation/times.py::Times._bounded",
        "codes[bad] = Code.TIMESTAMP_OUTSIDE.number\n"
        "return Instants(pc.if_else(pa.array(bad), None, found.ts), codes)",
        "return found",
        "tests/unit/test_costs.py::test_times_that_a_source_does_not_expect_are_rejects",
    ),
    Guard(  # rows for each byte
        28,
        "sensorflow/core/formats/__init__.py::_chunks",
        "rows > size * profile.max_rows_per_byte",
        "rows < 0",
        "tests/unit/test_costs.py::test_millions_of_equal_rows_in_a_few_bytes_of_parquet",
    ),
    Guard(  # cells that are walked
        28,
        "sensorflow/core/formats/xlsx.py::sheet_rows",
        "walked += len(cells) + number - before - 1",
        "",
        "tests/unit/test_costs.py::test_a_cell_far_from_the_table_in_every_row",
    ),
    Guard(  # texts of a spreadsheet, whatever their part is called
        28,
        "sensorflow/core/formats/ooxml.py::_package",
        "_check_parts(archive, paths, profile)",
        "",
        "tests/unit/test_costs.py::test_what_is_held_of_a_spreadsheet_is_bounded_whatever_its_part_is_called",
    ),
    Guard(  # texts of files are escaped in the error's constructor
        32,
        "sensorflow/errors.py::SensorflowError.__init__",
        "message = escape(message, keep=self._unescaped)",
        "",
        "tests/unit/test_shown.py::test_an_error_is_escaped_where_it_is_made_whatever_becomes_of_it",
    ),
    Guard(  # and in JSON
        32,
        "sensorflow/escaping.py::to_json",
        "return _HIDDEN.sub(lambda found: _escaped(found[0]), text)",
        "return text",
        "tests/integration/test_hostile_texts.py::test_what_commands_print_of_a_file",
    ),
]
