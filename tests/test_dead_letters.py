from flink_jobs import dead_letters
from kernel_lib.records import EVENT_TYPES


def test_every_raw_topic_is_read() -> None:
    assert dead_letters.RAW_TOPICS.split(";") == list(EVENT_TYPES)


def test_a_dead_letter_fits_into_a_record_whatever_it_holds() -> None:
    assert dead_letters.MOST_CHARACTERS * len("\\u0000") < 1_000_000
