from pyflink.common import Row

from flink_jobs import streams
from flink_jobs.alerts import COLUMNS, row_type
from kernel_lib.records import EVENT_TYPES, Alert

FIELDS = EVENT_TYPES["user-events"].__struct_fields__


def test_a_field_is_taken_by_its_name() -> None:
    assert streams.field("user-events", "userId")(Row(*FIELDS)) == "userId"


def test_a_row_is_an_event_by_its_fields_and_is_written_without_the_row_time() -> None:
    row = Row(*range(len(FIELDS)), "rowtime")
    assert streams.as_event("user-events", row) == dict(zip(FIELDS, range(len(FIELDS)), strict=True))
    assert list(streams.without_time(row)) == list(range(len(FIELDS)))


def test_the_written_type_has_the_fields_of_the_event() -> None:
    for topic, event_type in EVENT_TYPES.items():
        assert tuple(streams.written_type(topic).get_field_names()) == event_type.__struct_fields__


def test_an_alert_has_the_same_fields_in_sql_and_in_python() -> None:
    assert tuple(line.split("`")[1] for line in COLUMNS.strip().splitlines()) == Alert.__struct_fields__
    assert tuple(row_type().get_field_names()) == Alert.__struct_fields__


def test_a_time_is_written_with_milliseconds_in_utc() -> None:
    assert streams.iso(1_767_225_600_250) == "2026-01-01T00:00:00.250Z"
    assert streams.iso(1_767_225_600_000) == "2026-01-01T00:00:00.000Z"
