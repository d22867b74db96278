import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import flink_jobs
from kernel_lib import cluster, controls, jobs, topics
from kernel_lib.control_topic import Acknowledgement, parsed
from kernel_lib.errors import ConfigurationError, JobFailed, NotFound, WaitTimeout
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

CHECKOUT = Path(flink_jobs.__file__).parent.parent
JOB = "filter_events"
USERS = 20
BOTH, LONG = Counter({1: USERS, 5: USERS}), Counter({5: USERS})
POISON = (b"not JSON", b"\xff", b"[1]", b"null", b'{"job": "filter_events"}', b'{"job": "other", "version": 1}')

WRONG: tuple[dict[str, Any], ...] = (
    {"duration": None},
    {"duration": "long"},
    {"timestamp": "yesterday"},
    {"userId": None},
)

# An event-time job: each event comes out when the watermark has passed it.
RELEASING_JOB = """
from pyflink.common import Row, Types
from pyflink.table import StreamTableEnvironment

from flink_jobs import parameters
from flink_jobs.connectors import Kafka, Start, Topic

NAME = "release_events"
PARAMETERS = {"unused": 0}
EVENT = "`id` STRING, `at` BIGINT, `rowtime` AS TO_TIMESTAMP_LTZ(`at`, 3), WATERMARK FOR `rowtime` AS `rowtime`"
RESULT = "`id` STRING"
COUNT = \"\"\"
INSERT INTO released
SELECT `id` FROM (
  SELECT `id`, window_start, window_end, COUNT(*)
  FROM TABLE(TUMBLE(TABLE passed, DESCRIPTOR(`rowtime`), INTERVAL '1' SECOND))
  GROUP BY `id`, window_start, window_end
)
\"\"\"

class Pass(parameters.LiveParameters):
    def process_element(self, value, ctx):
        yield value

def build(
    env, kafka, *, name=NAME, source: "Topic" = "timed-events", released: "Topic" = "processed-events", start: "Start",
    control: "Topic" = "control", acknowledgements: "Topic" = "acknowledgements", begun_with=(PARAMETERS, 0)
):
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(kafka.source("events", source, EVENT, group=name, start=start))
    tables.execute_sql(kafka.sink("released", released, RESULT, job=name, key="id"))
    events = tables.to_data_stream(tables.from_path("events"))
    row = Types.ROW_NAMED(["id", "at", "rowtime"], [Types.STRING(), Types.LONG(), Types.INSTANT()])
    keyed = events.key_by(lambda event: event[0], Types.STRING())
    passed = parameters.connect(keyed, Pass(name, begun_with), kafka, output_type=row)
    from pyflink.table import Schema
    schema = Schema.new_builder().column("id", "STRING").column("rowtime", "TIMESTAMP_LTZ(3)")
    schema = schema.watermark("rowtime", "SOURCE_WATERMARK()").build()
    tables.create_temporary_view("passed", passed, schema)
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(COUNT)
    lanes.attach_as_datastream()
"""


@pytest.fixture(autouse=True)
def four_topics(settings: Settings) -> None:
    topics.create("user-events", partitions=2, settings=settings)
    topics.create("processed-events", partitions=2, append_time=True, settings=settings)
    topics.create("acknowledgements", partitions=2, append_time=True, settings=settings)
    topics.create("control", partitions=2, compacted=True, settings=settings)


@pytest.fixture
def job_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files count as jobs of the package."""
    flink_jobs.__path__.append(str(tmp_path))
    yield tmp_path
    flink_jobs.__path__.remove(str(tmp_path))


def event(event_id: str, user: str, duration: float) -> dict[str, Any]:
    return {
        "eventId": event_id,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "userId": user,
        "eventType": "search",
        "sessionId": "s-1",
        "page": "/search",
        "duration": duration,
        "userAgent": "a browser",
        "location": {"lat": 52.52, "lon": 13.4},
        "sentAt": 1,
    }


def send(settings: Settings, name: str) -> None:
    """Send for each user, who are spread over all subtasks, a search of 1 and one of 5 seconds."""
    sent = (event(f"{name}-{user}-{seconds}", f"u-{user}", seconds) for user in range(USERS) for seconds in (1, 5))
    topics.write("user-events", *(json.dumps(each).encode() for each in sent), settings=settings)


def passed(settings: Settings) -> dict[str, Counter[int]]:
    """Return how many events of each duration passed, by the name under which they were sent."""
    found: dict[str, Counter[int]] = {}
    for record in topics.read("processed-events", settings=settings):
        event = record.json()
        found.setdefault(event["eventId"].partition("-")[0], Counter())[event["duration"]] += 1
    return found


def acknowledgements(settings: Settings, since_ms: int = 0) -> list[Acknowledgement]:
    return parsed(topics.read("acknowledgements", since_ms=since_ms, settings=settings), Acknowledgement)


def test_a_change_is_in_force_in_every_subtask_when_set_returns(settings: Settings) -> None:
    """Fails when the operator acknowledges without applying."""
    job = jobs.submit(JOB, parallelism=2, settings=settings)
    send(settings, "before")
    wait_until(lambda: passed(settings).get("before") == BOTH, 30, "the events before the change")
    applied = controls.set(JOB, minimum_duration=3, settings=settings)
    send(settings, "after")
    job.drain()
    assert passed(settings) == {"before": BOTH, "after": LONG}
    assert (applied.requested, applied.subtasks) == ({"minimum_duration": 3.0}, 2)
    assert applied.acknowledged == {"minimum_duration": 3.0, "event_type": ""}


def test_of_changes_from_two_threads_the_last_one_is_in_force_and_none_is_lost(settings: Settings) -> None:
    """Fails when a change is made to the parameters that the job started with, not to the newest ones."""
    jobs.submit(JOB, parallelism=2, settings=settings)
    wishes: list[dict[str, Any]] = [{"event_type": f"t-{n}"} for n in range(10)]
    wishes += [{"minimum_duration": n} for n in range(10)]
    with ThreadPoolExecutor(2) as threads:
        applied = list(threads.map(lambda wish: controls.set(JOB, settings=settings, **wish), wishes))
    for each in applied:
        assert each.requested.items() <= each.acknowledged.items()
    newest = max(applied, key=lambda each: each.version)
    assert controls.get(JOB, settings=settings) == newest.acknowledged
    assert newest.acknowledged == {"event_type": "t-9", "minimum_duration": 9.0}


def test_parameters_outlive_rescaling(settings: Settings) -> None:
    """Fails when the operator keeps them in its memory only, and not in the broadcast state."""
    job = jobs.submit(JOB, settings=settings)
    controls.set(JOB, minimum_duration=3, settings=settings)
    job._wait_checkpoint(30)  # else the new tasks read the change again
    job.rescale(2)
    send(settings, "rescaled")
    wait_until(lambda: passed(settings).get("rescaled", Counter())[5] == USERS, 30, "the events to pass")
    assert controls.get(JOB, settings=settings)["minimum_duration"] == 3
    assert controls.set(JOB, event_type="search", settings=settings).subtasks == 2
    job.drain()
    assert passed(settings) == {"rescaled": LONG}


def test_the_next_submit_begins_with_the_parameters_that_were_set_last(settings: Settings) -> None:
    """Fails when submit publishes the declared defaults."""
    jobs.submit(JOB, settings=settings)
    controls.set(JOB, minimum_duration=3, event_type="search", settings=settings)
    job = jobs.submit(JOB, event_type="", settings=settings)
    assert controls.get(JOB, settings=settings) == {"minimum_duration": 3.0, "event_type": ""}
    send(settings, "again")
    job.drain()
    assert passed(settings) == {"again": LONG}


def test_the_first_event_meets_the_parameters_and_not_the_defaults(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails when the job is not told at its start what it begins with: this one never reads it."""
    topics.create("unheard", compacted=True, settings=settings)
    monkeypatch.setattr(jobs, "PARAMETERS_SECONDS", 1.0)
    send(settings, "waiting")
    with pytest.raises(JobFailed, match="did not acknowledge its parameters"):
        jobs.submit(JOB, start="earliest", control="unheard", minimum_duration=3, settings=settings)
    jobs.find(JOB, settings=settings).drain()
    assert passed(settings) == {"waiting": LONG}


def test_versions_from_before_the_run_do_not_come_into_force_again(settings: Settings) -> None:
    """Fails when the operator applies every version that it reads: a fresh job reads them all."""
    jobs.submit(JOB, settings=settings)
    for seconds in range(5):
        controls.set(JOB, minimum_duration=seconds, settings=settings)
    fresh = jobs.submit(JOB, settings=settings)
    started_ms = cluster.get(settings, f"/jobs/{fresh.id}")["start-time"]
    said = acknowledgements(settings, started_ms)
    assert [each.parameters["minimum_duration"] for each in said] == [4.0]


def test_submit_returns_when_the_parameters_are_acknowledged(settings: Settings) -> None:
    """Fails without the wait for the first acknowledgement."""
    jobs.submit(JOB, parallelism=2, settings=settings)
    assert sorted(each.subtask for each in acknowledgements(settings)) == [0, 1]


def test_poison_in_the_control_topic_is_passed_over(settings: Settings) -> None:
    """Fails when a record that is no object ends the job, or a value of another type comes into force."""
    job = jobs.submit(JOB, settings=settings)
    topics.write("control", *POISON, key=JOB.encode(), settings=settings)
    wrong = {"job": JOB, "version": 2**60, "parameters": {"minimum_duration": "many", "other": 1}}
    topics.write("control", json.dumps(wrong).encode(), key=JOB.encode(), settings=settings)
    assert controls.set(JOB, event_type="search", settings=settings).acknowledged["minimum_duration"] == 0
    send(settings, "still")
    job.drain()
    assert job.failure() == ""
    assert passed(settings) == {"still": BOTH}
    [applied] = [each.parameters for each in acknowledgements(settings) if each.version == wrong["version"]]
    assert applied == {"minimum_duration": 0.0, "event_type": ""}


def test_what_passes_is_as_it_was_sent_keyed_by_user_and_what_is_not_valid_is_skipped(settings: Settings) -> None:
    """Fails without the condition that an event is valid: one without a duration would end the job."""
    good, bad = event("good", "u-1", 1.5), event("bad", "u-1", 1.5)
    poison = [b"not JSON", b"\xff", *(json.dumps({**bad, **wrong}).encode() for wrong in WRONG)]
    job = jobs.submit(JOB, restart_attempts=0, settings=settings)
    topics.write("user-events", *poison, json.dumps(good).encode(), settings=settings)
    job.drain()
    assert job.failure() == ""
    [record] = topics.read("processed-events", settings=settings)
    assert (record.json(), record.key) == (good, b"u-1")


def test_subtasks_that_do_not_acknowledge_are_named(settings: Settings) -> None:
    """Fails when the error names the subtasks that have answered."""
    jobs.submit(JOB, parallelism=2, settings=settings)
    with pytest.raises(WaitTimeout, match=r"2 subtasks of filter_events; no acknowledgement from [01]") as failure:
        controls.set(JOB, minimum_duration=1, timeout_seconds=0, settings=settings)
    assert failure.value.cause == "the job is RUNNING"
    assert controls.set(JOB, minimum_duration=2, settings=settings).acknowledged["minimum_duration"] == 2


def test_what_cannot_be_set_is_refused_with_what_there_is(settings: Settings) -> None:
    """Fails when the name or the value of a parameter is not checked before it is sent."""
    with pytest.raises(NotFound, match="no job 'filter_events'") as unknown:
        controls.set(JOB, minimum_duration=1, settings=settings)
    assert unknown.value.remedy == 'jobs.submit("filter_events")'
    job = jobs.submit(JOB, settings=settings)
    with pytest.raises(ConfigurationError, match="no parameter 'minimum'") as refusal:
        controls.set(JOB, minimum=1, settings=settings)
    assert refusal.value.cause == "its parameters: minimum_duration, event_type"
    with pytest.raises(ConfigurationError, match="cannot be 'many'"):
        jobs.submit(JOB, minimum_duration="many", settings=settings)
    job.cancel()
    with pytest.raises(JobFailed, match="does not run any more: it is CANCELED") as ended:
        controls.set(JOB, minimum_duration=1, settings=settings)
    assert ended.value.remedy == "jobs.submit('filter_events')"


def test_a_job_without_parameters_says_so(settings: Settings) -> None:
    """Fails without the look at what the job has written down of its parameters."""
    topics.create("metrics", partitions=2, settings=settings)
    jobs.submit("count_events", settings=settings).wait_running()
    with pytest.raises(ConfigurationError, match="count_events has no parameters"):
        controls.set("count_events", window=1, settings=settings)


def test_a_quiet_control_topic_does_not_hold_the_watermark(settings: Settings, job_folder: Path) -> None:
    """Fails without the idleness of the control stream."""
    (job_folder / "release_events.py").write_text(RELEASING_JOB)
    topics.create("timed-events", partitions=1, settings=settings)
    jobs.submit("release_events", settings=settings)
    topics.write(
        "timed-events", *(b'{"id": "e", "at": %d}' % (n * 1000) for n in range(5)), key=b"k", settings=settings
    )
    wait_until(lambda: topics.read("processed-events", settings=settings), 30, "the first window to be released")


def test_flink_s_own_command_runs_the_job_and_it_takes_parameters(settings: Settings) -> None:
    command = [str(CHECKOUT / "course"), "flink", "run", "-d", "-py", "flink_jobs/filter_events.py"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert "Job has been submitted" in done.stdout, done.stdout + done.stderr
    jobs.find(JOB, settings=settings).wait_running()
    assert controls.get(JOB, settings=settings) == {"minimum_duration": 0.0, "event_type": ""}
    assert controls.set(JOB, minimum_duration=3, settings=settings).acknowledged["minimum_duration"] == 3
