from dataclasses import replace

from kernel_lib.errors import ServiceUnavailable
from kernel_lib.job import Failure
from kernel_lib.job_states import JobState, Reading
from kernel_lib.plots import jobs, refresher
from kernel_lib.plots.jobs import Span
from kernel_lib.waiting import wait_until
from tests.plots.drawn import missing_columns

COUNT = JobState("a", "count_events", "RUNNING", 100.0, 1, "the course")
RELAY = JobState("b", "relay", "RUNNING", 200.0, 2, "05_first_job (pid 7)")
LOST = Failure(230.0, "TaskManager 1 is lost.")


def reading(at: float, *states: JobState) -> Reading:
    return Reading(at, states, slots_free=5, slots_total=8)


def test_a_state_lasts_as_long_as_it_was_read() -> None:
    again = replace(COUNT, state="RESTARTING")
    spans: list[Span] = []
    for each in (
        reading(210, COUNT),
        reading(212, COUNT),
        reading(214, again),
        reading(216, again),
        reading(218, COUNT),
    ):
        spans = jobs.lengthened(spans, each)
    found = [(span.job.state, span.begins, span.ends) for span in spans]
    assert found == [("RUNNING", 210, 214), ("RESTARTING", 214, 218), ("RUNNING", 218, 218)]


def test_what_is_older_than_the_picture_is_dropped_and_an_ended_job_gets_no_longer() -> None:
    ended = replace(COUNT, state="CANCELED")
    spans = jobs.lengthened([], reading(210, COUNT, RELAY))
    for at in (212, 214, 216):
        spans = jobs.lengthened(spans, reading(at, ended, RELAY))
    assert [(s.job.state, s.begins, s.ends) for s in spans if s.job.id == "a"] == [
        ("RUNNING", 210, 212),
        ("CANCELED", 212, 212),
    ]
    later = jobs.lengthened(spans, reading(213 + jobs.SECONDS_SHOWN, RELAY))
    assert {span.job.name for span in later} == {"relay"}


def test_a_job_that_is_submitted_again_keeps_its_row() -> None:
    anew = replace(COUNT, id="c", started_at=300.0)
    names = jobs.rows([replace(COUNT, state="CANCELED"), RELAY, anew])
    assert names == ["count_events", "relay"]
    columns = jobs.span_columns([Span(COUNT, 210, 220), Span(RELAY, 210, 220), Span(anew, 300, 310)], names)
    assert columns["y"] == [0, 1, 0]
    assert jobs.label_columns([replace(COUNT, state="CANCELED"), anew], ["count_events"], 310)["words"] == [
        "RUNNING, 1 slot"
    ]


def test_an_ended_job_is_said_to_hold_no_slots() -> None:
    ended = replace(COUNT, state="CANCELED", slots=0)
    assert jobs.label_columns([RELAY, ended], ["count_events", "relay"], 310)["words"] == [
        "CANCELED",
        "RUNNING, 2 slots",
    ]


def test_only_failures_of_the_time_shown_are_marked() -> None:
    failed = replace(COUNT, failures=(Failure(3.0, "long ago"), LOST))
    columns = jobs.failure_columns([failed], ["count_events"], since=200)
    assert (columns["x"], columns["reason"]) == ([230_000], ["TaskManager 1 is lost."])


def test_the_sentence_says_who_holds_the_slots_and_what_has_failed() -> None:
    assert jobs.jobs_sentence(reading(240, COUNT, RELAY)) == (
        "2 jobs run in 3 of 8 slots: count_events (1 slot, the course), relay (2 slots, 05_first_job (pid 7)). "
        "No failure in the last 5 minutes."
    )
    again = replace(RELAY, state="RESTARTING", failures=(Failure(220.0, "first"), LOST))
    assert jobs.jobs_sentence(reading(240, again)) == (
        "1 job runs in 3 of 8 slots: relay (2 slots, 05_first_job (pid 7)). relay is RESTARTING. relay failed 2 times "
        "in the last 5 minutes, the last at 00:03:50 UTC because of: TaskManager 1 is lost."
    )
    waiting = replace(RELAY, state="CREATED")
    assert jobs.jobs_sentence(reading(240, COUNT, waiting)).startswith(
        "1 job runs in 3 of 8 slots: count_events (1 slot, the course). relay is CREATED: it waits for slots."
    )
    assert jobs.jobs_sentence(reading(240)).startswith("No job runs; 5 of 8 slots are free.")


def test_the_view_draws_each_reading_and_says_why_when_there_is_none() -> None:
    answers: list[Reading | Exception] = [reading(240, replace(COUNT, failures=(LOST,)), RELAY)]

    def read() -> Reading:
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    shown = jobs.Jobs(read=read)
    wait_until(lambda: len(shown.source.data["y"]) == 2, 10, "two rows")
    assert shown.failures.data["reason"] == ["TaskManager 1 is lost."]
    assert not missing_columns(shown.root)
    answers[0] = ServiceUnavailable("Flink", "here", "refused", "./course status")
    wait_until(lambda: "Flink" in shown.text, 15, "the reason")
    assert shown.text.startswith("No data since ")
    refresher.remove("jobs")
