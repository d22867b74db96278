import pytest

from flink_jobs import streams
from flink_jobs.window_events import Said, after_event, after_timer, assigner, business_hours, next_due_ms

NEW = Said()
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
END_MS = 10_000


def test_a_window_fires_early_after_so_many_events_and_then_counts_anew() -> None:
    first = after_event(NEW, passed=False, early_events=2, due_ms=0)
    assert first == Said(unheard=1)
    assert after_event(first, passed=False, early_events=2, due_ms=0) == Said(1, "early")


def test_a_window_fires_early_when_its_first_unheard_event_is_old_enough() -> None:
    waiting = after_event(NEW, passed=False, early_events=0, due_ms=500)
    later = after_event(waiting, passed=False, early_events=0, due_ms=700)
    assert later == Said(unheard=2, due_ms=500)
    assert after_timer(later, at_ms=700, end_ms=END_MS) == later
    assert after_timer(later, at_ms=500, end_ms=END_MS) == Said(1, "early")


def test_count_or_time_whichever_comes_first() -> None:
    said = after_event(Said(unheard=1, due_ms=500), passed=False, early_events=2, due_ms=700)
    assert said == Said(1, "early")
    assert after_timer(said, at_ms=500, end_ms=END_MS) == said


def test_a_window_fires_on_time_at_its_last_millisecond_and_late_for_each_event_after_it() -> None:
    on_time = after_timer(Said(2, "early", 1, 500), at_ms=END_MS - 1, end_ms=END_MS)
    assert on_time == Said(3, "on time")
    assert after_event(on_time, passed=True, early_events=1, due_ms=700) == Said(4, "late")


def test_a_window_whose_first_event_is_late_was_never_on_time() -> None:
    assert after_event(NEW, passed=True, early_events=0, due_ms=0) == Said(1, "late")


def test_the_timer_that_forgets_a_window_fires_nothing() -> None:
    said = Said(1, "on time")
    assert after_timer(said, at_ms=END_MS - 1 + 300, end_ms=END_MS) == said


@pytest.mark.parametrize(("now_ms", "due_ms"), [(0, 500), (END_MS - 501, END_MS), (END_MS - 201, END_MS + 300)])
def test_an_early_firing_is_never_due_when_the_window_ends_or_is_forgotten(now_ms: int, due_ms: int) -> None:
    assert next_due_ms(now_ms, 500, end_ms=END_MS, lateness_ms=300) == due_ms


def test_without_early_firings_nothing_is_due() -> None:
    assert next_due_ms(7, 0, end_ms=END_MS, lateness_ms=0) == 0


@pytest.mark.parametrize(
    ("hour", "window"), [(8.99, (-7, 9)), (9, (9, 17)), (16.99, (9, 17)), (17, (17, 33)), (23, (17, 33))]
)
def test_business_hours_are_from_nine_to_five_and_the_rest_is_one_night(hour: float, window: tuple[int, int]) -> None:
    midnight = 20_000 * DAY_MS
    found = business_hours(midnight + round(hour * HOUR_MS), DAY_MS)
    assert [(edge - midnight) // HOUR_MS for edge in found] == list(window)


def test_a_short_day_has_short_business_hours() -> None:
    assert business_hours(120_000 + 10_000, 24_000) == (129_000, 137_000)


@pytest.mark.parametrize(
    ("windows", "size", "slide", "said"),
    [
        ("session", 1, 1, "sessions: the job track_sessions"),
        ("sliding", 1, 0, "slide_seconds is 0, not above 0 and at most 1"),
        ("sliding", 1, 1.5, "slide_seconds is 1.5"),
        ("tumbling", 0, 5, "size_seconds is 0, not above 0"),
    ],
)
def test_windows_that_cannot_be_are_refused(windows: str, size: float, slide: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        assigner(windows, size_seconds=size, slide_seconds=slide)


def test_a_key_is_a_text_of_the_event() -> None:
    assert streams.text_field("user-events", "page")(range(20)) == 5
    with pytest.raises(ValueError, match="'duration' is no text field of user-events; choose from eventId"):
        streams.text_field("user-events", "duration")
