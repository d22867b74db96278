"""Every record is either a valid event for the other jobs or a dead letter, and never both."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from flink_jobs import dead_letters, events
from kernel_lib import groups, jobs, topics
from kernel_lib.records import (
    EVENT_TYPES,
    DeadLetter,
    Location,
    SensorReading,
    SystemMetric,
    Transaction,
    UserEvent,
)
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

CHECKOUT = Path(dead_letters.__file__).parent.parent
TIME = "2026-01-01T00:00:00.000Z"
PLACE = Location(52.52, 13.4)
SAMPLES: dict[str, tuple[Any, str]] = {
    "user-events": (UserEvent("r-N", TIME, "u", "view", "s", "/", 1.5, "a", PLACE, 1), "duration"),
    "transactions": (Transaction("r-N", TIME, "t", "u", 9.5, "EUR", "m", "completed", 0.1, 1), "amount"),
    "iot-sensors": (SensorReading("r-N", TIME, "s", "pump", 4.5, "bar", PLACE, 80.0, 1), "value"),
    "system-metrics": (SystemMetric("r-N", TIME, "h", "cpu", 0.5, "share", 1), "value"),
}
VALID = ""
# What is done to the JSON of a valid event, by a pattern and its replacement; and what is said of the result.
# NUMBER stands for the name of one of its number fields.
CASES: list[tuple[str, bytes, bytes, str]] = [
    ("as it is", rb"", b"", VALID),
    ("cut short", rb".{20}$", b"", "is not JSON"),
    ("bytes before it", rb"^", b"\x00\xff\xfe", "is not text"),
    ("no UTF-8 in a text", rb"r-(\d+)\"", b'r-\\1","more":"\xff"', "is not text"),
    ("words", rb"^.*$", b"not JSON", "is not JSON"),
    ("nothing", rb"^.*$", b"", "is empty"),
    ("a number alone", rb"^.*$", b"17", "is no JSON object"),
    ("a list", rb"^.*$", b"[1, 2]", "is no JSON object"),
    ("null", rb"^.*$", b"null", "is no JSON object"),
    ("an empty object", rb"^.*$", b"{}", "has no timestamp"),
    ("no timestamp", rb'"timestamp":"[^"]*",', b"", "has no timestamp"),
    ("a timestamp of null", rb'"timestamp":"[^"]*"', b'"timestamp":null', "has no timestamp"),
    ("a timestamp in words", rb'"timestamp":"[^"]*"', b'"timestamp":"yesterday"', "its timestamp cannot be read"),
    ("a number for a timestamp", rb'"timestamp":"[^"]*"', b'"timestamp":17', "its timestamp cannot be read"),
    ("month 13", rb"2026-01-01", b"2026-13-01", "its timestamp cannot be read"),
    ("another time zone", rb"00\.000Z", b"00.000+01:00", "its timestamp cannot be read"),
    ("the far future", rb"2026-01-01", b"2999-12-31", "its timestamp is in the future"),
    ("no milliseconds", rb"00\.000Z", b"00Z", VALID),
    ("no seconds", rb":00\.000Z", b"Z", VALID),
    ("nine decimals", rb"00\.000Z", b"00.123456789Z", VALID),
    ("ten decimals", rb"00\.000Z", b"00.1234567890Z", "its timestamp cannot be read"),
    ("text for a number", rb'"NUMBER":[^,]*', b'"NUMBER":"many"', "its NUMBER is no number"),
    ("null for a number", rb'"NUMBER":[^,]*', b'"NUMBER":null', "its NUMBER is no number"),
    ("true for a number", rb'"NUMBER":[^,]*', b'"NUMBER":true', "its NUMBER is no number"),
    ("an object for a number", rb'"NUMBER":[^,]*', b'"NUMBER":{"a":1}', "its NUMBER is no number"),
    ("NaN in quotes", rb'"NUMBER":[^,]*', b'"NUMBER":"NaN"', "its NUMBER is no number"),
    ("an infinite number", rb'"NUMBER":[^,]*', b'"NUMBER":1e400', "its NUMBER is no number"),
    ("a long number", rb'"NUMBER":[^,]*', b'"NUMBER":123456789012345678901234567890', VALID),
    ("a number in quotes", rb'"NUMBER":([^,]*)', rb'"NUMBER":"\1"', VALID),
    ("the last of two counts: bad", rb"}$", b',"NUMBER":"many"}', "its NUMBER is no number"),
    ("the last of two counts: good", rb"^{", b'{"NUMBER":"many",', VALID),
    ("no id", rb'"eventId":"[^"]*",', b"", "has no eventId"),
    ("a number for an id", rb'"eventId":"r-(\d+)"', rb'"eventId":\1', VALID),
    ("half a surrogate pair", rb"r-(\d+)\"", rb'r-\1","more":"\\ud800"', VALID),
    ("a replacement character", rb"r-(\d+)\"", 'r-\\1","more":"\ufffd"'.encode(), VALID),
    ("a field more", rb"}$", b',"more":[1,{"a":2}]}', VALID),
    ("not sent at a time", rb',"sentAt":1', b"", VALID),
    ("more behind it", rb"$", b" and more", VALID),
    ("white space before it", rb"^", b" \n\t", VALID),
]
PLACES: list[tuple[str, bytes, bytes, str]] = [
    ("text for a place", rb'"location":{[^}]*}', b'"location":"here"', "its location has no lat"),
    ("null for a place", rb'"location":{[^}]*}', b'"location":null', "its location has no lat"),
    (
        "a list for a place",
        rb'"location":{[^}]*}',
        b'"location":["location",{"lat":1,"lon":2},3]',
        "its location has no lat",
    ),
    ("no longitude", rb',"lon":[^}]*', b"", "its location has no lon"),
    ("no place", rb'"location":{[^}]*},', b"", "its location has no lat"),
]


# What is said of an event without a field of a type.
LEFT_OUT = {str: "has no FIELD", float: "its FIELD is no number"}


def left_out(event_type: type[msgspec.Struct]) -> list[tuple[str, bytes, bytes, str]]:
    """Return the cases in which one field is left out, each text and number but those that CASES leave out."""
    kinds = {name: kind for name, kind in get_type_hints(event_type).items() if name not in ("eventId", "timestamp")}
    return [
        (f"no {name}", b'"%s":[^,]*,' % name.encode(), b"", LEFT_OUT[kind].replace("FIELD", name))
        for name, kind in kinds.items()
        if kind in LEFT_OUT
    ]


def spoiled(topic: str) -> list[tuple[str, bytes, str]]:
    """Return (kind, record, what is said of it) for a topic; each record has the number of its place in the list."""
    sample, number = SAMPLES[topic]
    cases = CASES + left_out(type(sample)) + (PLACES if hasattr(sample, "location") else [])
    found = []
    for place, (kind, pattern, replacement, said) in enumerate(cases):
        good = msgspec.json.encode(msgspec.structs.replace(sample, eventId=f"r-{place}"))
        pattern, replacement = (part.replace(b"NUMBER", number.encode()) for part in (pattern, replacement))
        record = re.sub(pattern, replacement, good, count=1, flags=re.DOTALL) if pattern else good
        found.append((kind, record, said.replace("NUMBER", number)))
    return found


def letters(settings: Settings) -> list[DeadLetter]:
    records = topics.read("dead-letters", settings=settings)
    return [msgspec.json.decode(record.value or b"", type=DeadLetter) for record in records]


def event_ids(topic: str, settings: Settings) -> Counter[str]:
    found = (re.search(rb'"eventId":"?(?:r-)?(\d+)', r.value or b"") for r in topics.read(topic, settings=settings))
    return Counter(match[1].decode() for match in found if match)


def verdicts(topic: str, passed: str, settings: Settings) -> dict[str, tuple[int, str]]:
    """Return, by kind, how often a record was passed on and what is said of it as a dead letter."""
    ids, dead = event_ids(passed, settings), {letter.offset: letter for letter in letters(settings)}
    return {
        kind: (ids[str(place)], dead[place].reason if place in dead else VALID)
        for place, (kind, _, _) in enumerate(spoiled(topic))
    }


def expected(topic: str) -> dict[str, tuple[int, str]]:
    return {kind: (int(said == VALID), said) for kind, _, said in spoiled(topic)}


def create(settings: Settings, *names: str) -> None:
    for name in names:
        topics.create(name, partitions=1, settings=settings)


def test_each_record_is_counted_or_a_dead_letter_by_the_rule_of_the_other_jobs(settings: Settings) -> None:
    """Fails when the parsed table takes Flink's faster JSON parser (fields that come twice), when a check of the rule
    is left out on one side, or when a record that is no UTF-8 is taken for text."""
    create(settings, "user-events", "metrics", "processed-events", "dead-letters")
    topics.write("user-events", *(record for _, record, _ in spoiled("user-events")), settings=settings)
    count = jobs.submit("count_events", start="earliest", settings=settings)
    bury = jobs.submit("dead_letters", source="user-events", settings=settings)
    for job in (count, bury):
        job.drain()
    assert verdicts("user-events", "processed-events", settings) == expected("user-events")
    counted = sum(record.json()["count"] for record in topics.read("metrics", settings=settings))
    assert counted + len(letters(settings)) == len(spoiled("user-events"))


@pytest.mark.parametrize("topic", ["transactions", "iot-sensors", "system-metrics"])
def test_the_rule_holds_for_the_other_raw_topics(topic: str, settings: Settings) -> None:
    """Fails when a field of the topic's type is not checked."""
    create(settings, topic, "processed-events", "dead-letters")
    topics.write(topic, *(record for _, record, _ in spoiled(topic)), settings=settings)
    valid = f"({events.reason(topic)}) IS NULL"
    relay = jobs.submit("relay", source=topic, where=valid, start="earliest", settings=settings)
    bury = jobs.submit("dead_letters", source=topic, settings=settings)
    for job in (relay, bury):
        job.drain()
    assert verdicts(topic, "processed-events", settings) == expected(topic)


def test_a_dead_letter_says_where_its_record_is_and_what_it_holds(settings: Settings) -> None:
    """Fails when the topic is written with its namespace, or the key is another column."""
    create(settings, *EVENT_TYPES, "dead-letters")
    for topic in EVENT_TYPES:
        topics.write(topic, b"one", b"\xff two", settings=settings)
    jobs.submit("dead_letters", settings=settings).drain()
    found = sorted(letters(settings), key=lambda letter: (list(EVENT_TYPES).index(letter.topic), letter.offset))
    assert found == [
        letter
        for topic in EVENT_TYPES
        for letter in (
            DeadLetter("is not JSON", topic, 0, 0, "one"),
            DeadLetter("is not text", topic, 0, 1, "\ufffd two"),
        )
    ]
    keys = {(r.key, r.json()["topic"]) for r in topics.read("dead-letters", settings=settings)}
    assert keys == {(topic.encode(), topic) for topic in EVENT_TYPES}


def test_a_record_that_would_be_too_large_as_a_dead_letter_is_cut(settings: Settings) -> None:
    """Fails, and the job with it, when the text is not cut."""
    create(settings, "user-events", "dead-letters")
    topics.write("user-events", b"\x01" * 900_000, b"", settings=settings)
    job = jobs.submit("dead_letters", source="user-events", settings=settings)
    job.drain()
    assert job.failure() == ""
    assert [len(letter.value) for letter in letters(settings)] == [dead_letters.MOST_CHARACTERS, 0]


def test_a_second_run_goes_on_after_what_the_first_has_committed(settings: Settings) -> None:
    """Fails when the source starts at the beginning whatever was read before."""
    create(settings, "user-events", "dead-letters")
    for value in (b"first", b"second"):
        topics.write("user-events", value, settings=settings)
        job = jobs.submit("dead_letters", source="user-events", settings=settings)
        wait_until(
            lambda: groups.lag("dead_letters", "user-events", settings=settings) == {0: 0}, 30, "a commit of offsets"
        )
        job.drain()
    assert [letter.value for letter in letters(settings)] == ["first", "second"]


def test_flink_s_own_command_runs_the_job(settings: Settings) -> None:
    """Fails when the command line has an option that `build` does not know, such as where to start."""
    create(settings, *EVENT_TYPES, "dead-letters")
    topics.write("transactions", b"broken", settings=settings)
    command = [str(CHECKOUT / "course"), "flink", "run", "-d", "-py", "flink_jobs/dead_letters.py"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert "Job has been submitted" in done.stdout, done.stdout + done.stderr
    jobs.find("dead_letters", settings=settings).wait_running()
    wait_until(lambda: letters(settings), 30, "the dead letter")
