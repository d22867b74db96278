from kernel_lib.plots import windows
from kernel_lib.plots.windows import Box, Boxes
from kernel_lib.window_counts import WindowCount

START_MS = 1_767_225_600_000.0  # 2026-01-01T00:00:00Z


def count(second: int, number: int, kind: str = "page_view") -> WindowCount:
    return WindowCount(f"2026-01-01T00:00:{second:02}.000Z", f"2026-01-01T00:00:{second + 1:02}.000Z", kind, number)


def boxes(*happened_ms: float) -> Boxes:
    """Windows of a second, looked at since the middle of the first one."""
    found = Boxes(1000)
    found.arrive(START_MS + moment for moment in (-500, *happened_ms))
    return found


def test_events_fill_the_window_in_which_they_happened() -> None:
    found = boxes(0, 999, 1000).newest()
    assert [(box.start_ms - START_MS, box.arrived) for box in found] == [(0, 2), (1000, 1)]


def test_the_window_that_was_open_when_the_view_began_is_not_shown() -> None:
    found = boxes(-100, 50)
    found.close([count(0, 1)])
    assert [box.start_ms for box in found.newest()] == [START_MS]


def test_a_result_closes_a_window_and_its_types_are_added_up() -> None:
    found = boxes(100, 200, 300)
    found.close([count(0, 2), count(0, 1, "search")])
    assert found.newest() == [Box(START_MS, arrived=3, counted=3)]


def test_an_event_that_came_after_its_window_closed_is_in_no_count() -> None:
    """Also one that was seen before the count: that is seen up to a checkpoint after the window closed."""
    found = boxes(100, 900)
    assert found.newest()[0].uncounted == 0
    found.close([count(0, 1)])
    found.arrive([START_MS + 950])
    (box,) = found.newest()
    assert (box.arrived, box.counted, box.uncounted) == (3, 1, 2)


def test_a_count_that_is_seen_before_its_events_leaves_none_out() -> None:
    assert Box(START_MS, arrived=1, counted=3).uncounted == 0


def test_only_so_many_windows_are_kept_and_old_ones_do_not_come_back() -> None:
    found = boxes(*(second * 1000 for second in range(100)))
    assert len(found.newest()) == windows.WINDOWS_SHOWN
    found.arrive([START_MS])
    assert len(found._boxes) == windows.WINDOWS_KEPT


def test_an_open_box_says_what_has_come_and_a_closed_one_what_was_counted() -> None:
    columns = windows.box_columns([Box(0, 5, 4), Box(1000, 3)], 1000)
    assert columns["text"] == ["4", "3 …"]
    assert columns["timely"].tolist() == [4, 3]
    assert columns["uncounted"].tolist() == [1, 0]
    assert columns["alpha"][0] > columns["alpha"][1]


def test_the_sentence_tells_closed_open_and_left_out() -> None:
    said = windows.window_sentence([Box(START_MS, 5, 3), Box(START_MS + 1000, 1)], 1000)
    assert said == (
        "The newest closed window ends at 00:00:01 UTC: 3 events counted. "
        "Of the closed windows shown, 2 events are in no count. 1 window still open."
    )
    assert windows.window_sentence([], 1000) == "No window has closed yet; 0 windows still open."
