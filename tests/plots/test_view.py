from bokeh.models import ColumnDataSource

from kernel_lib import live
from kernel_lib.plots import look, refresher, view
from kernel_lib.waiting import wait_until


class Reads:
    """A source that is read until it is stopped."""

    stopped, gap = False, ""

    def stop(self) -> None:
        self.stopped = True


class Counting(view.View):
    """Draws one more point at each refresh, and breaks at the `most`th."""

    def __init__(self, name: str, *reads: Reads, most: int = 1_000_000) -> None:
        self.points, self.most = 0, most
        source = ColumnDataSource({"x": []})
        plot = look.figure()
        plot.scatter("x", "x", source=source)
        super().__init__(plot, source, title="Points", name=name, reads=reads)

    def draw(self) -> str:
        self.points += 1
        assert self.points < self.most, "a mistake in a view"
        self.source.data = {"x": list(range(self.points))}
        return f"{self.points} points."


def test_a_view_is_drawn_and_says_the_same_in_words() -> None:
    shown = Counting("drawn")
    wait_until(lambda: len(shown.source.data["x"]) >= 2, 5, "two points")
    assert "points." in repr(shown)
    refresher.remove("drawn")


def test_a_page_that_is_loaded_again_starts_from_the_newest_state() -> None:
    shown = Counting("loaded again")
    canvas = shown.widget.children[1]
    first = len(str(canvas.get_state()["render_bundle"]))
    wait_until(lambda: shown.points >= 15, 10, "fifteen points")
    assert len(str(canvas.get_state()["render_bundle"])) > first
    refresher.remove("loaded again")


def test_a_closed_view_is_not_drawn_any_more() -> None:
    shown = Counting("closed")
    refresher.remove("closed")
    points = shown.points
    shown.update()
    assert shown.points == points
    state, text = (shown.widget.children[n].value for n in (0, -1))
    assert "closed" in state
    assert shown.text in text


def test_a_source_ends_with_the_view_that_reads_it() -> None:
    first, second = Reads(), Reads()
    Counting("reads", first, second)
    again = Counting("reads", second)
    assert (first.stopped, second.stopped) == (True, False)
    again._hold(first)
    assert second.stopped
    again.close()
    late = Reads()
    again._hold(late)
    assert late.stopped
    refresher.remove("reads")


def test_a_picture_of_a_sample_says_how_much_is_not_in_it() -> None:
    source = Reads()
    shown = Counting("sample", source)
    wait_until(lambda: shown.text.endswith(" points."), 5, "a sentence without a gap")
    assert live.gap_sentence("user-events", 0, 0.0) == ""
    source.gap = live.gap_sentence("user-events", 1_204, 5.0)
    wait_until(
        lambda: shown.text.endswith(
            " points. Up to 1,204 records of user-events were passed over, the last at 00:00:05 UTC: "
            "more came than a picture reads."
        ),
        5,
        "the gap",
    )
    shown.close()


def test_a_view_that_broke_reads_no_more() -> None:
    source = Reads()
    shown = Counting("breaks", source, most=2)
    wait_until(lambda: source.stopped, 5, "its source to be stopped")
    assert "a mistake in a view" in shown.text


def test_a_picture_that_stands_still_says_since_when_and_why() -> None:
    sentence = view.no_data_since(0, "the job is FAILED.")
    assert sentence.startswith("No data since 00:00:00 UTC (")
    assert sentence.endswith("s ago) because the job is FAILED.")
    assert view.no_data_since(None, "") == "No data yet."


def test_an_answer_that_is_too_old_is_not_drawn_as_live() -> None:
    poller = live.Poller(lambda: 1)
    assert view.stale_because(poller) == ""
    poller.begun_at = 0.0
    assert "without an answer" in view.stale_because(poller)
    wait_until(poller.poll, 5, "an answer")
    poller.problem = "Kafka is away"
    assert view.stale_because(poller) == ""
    poller.answered_at = 0.0
    assert view.stale_because(poller) == "Kafka is away"
    poller.problem = ""
    assert "without an answer" in view.stale_because(poller)


def test_the_twin_is_announced_to_a_screen_reader_and_escaped() -> None:
    html = view.twin("<b>1</b>")
    assert 'aria-live="polite"' in html
    assert "<b>" not in html
