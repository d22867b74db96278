import pytest

from flink_jobs import events
from kernel_lib.records import EVENT_TYPES


def test_the_columns_are_the_fields_of_the_event_types() -> None:
    columns = events.columns("transactions")
    assert [line.split("`")[1] for line in columns.splitlines()] == list(EVENT_TYPES["transactions"].__struct_fields__)
    assert "  `amount` DOUBLE" in columns
    assert "  `timestamp` STRING" in columns
    assert "  `location` ROW<`lat` DOUBLE, `lon` DOUBLE>" in events.columns("iot-sensors")


@pytest.mark.parametrize("topic", EVENT_TYPES)
def test_every_field_without_a_default_is_required(topic: str) -> None:
    required = set(EVENT_TYPES[topic].__struct_fields__) - {"sentAt"}
    rule = events.valid(topic)
    assert {name for name in EVENT_TYPES[topic].__struct_fields__ if f"`{name}`" in rule} == required


@pytest.mark.parametrize("topic", EVENT_TYPES)
def test_both_tables_have_the_columns_that_the_rule_asks_for(topic: str) -> None:
    for columns in (events.parsed_columns(topic, 0.5), events.raw_columns(topic)):
        assert all(f"\n  `{name}` " in columns for name in EVENT_TYPES[topic].__struct_fields__)
        assert events.WRITTEN in columns


def test_a_record_that_is_not_valid_has_the_epoch_for_a_time() -> None:
    columns = events.parsed_columns("user-events", 0.5)
    assert f"WHEN {events.valid('user-events')}\n    THEN `timestamp`\n    ELSE TO_TIMESTAMP_LTZ(0, 3)" in columns


def test_every_reason_is_said_in_words_that_name_the_field() -> None:
    reasons = events.reason("transactions")
    for said in ("is not JSON", "has no timestamp", "its timestamp is in the future", "its amount is no number"):
        assert f"'{said}'" in reasons


def test_a_raw_table_of_several_topics_has_the_fields_of_all_of_them_once() -> None:
    columns = events.raw_columns(*EVENT_TYPES)
    assert columns.count("\n  `location` AS ") == columns.count("\n  `value` AS ") == 1
