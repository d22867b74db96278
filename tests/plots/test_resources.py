import pytest

from kernel_lib.errors import ServiceUnavailable
from kernel_lib.plots import refresher
from kernel_lib.plots import resources as view
from kernel_lib.resources import Resources, Usage
from kernel_lib.waiting import wait_until

CALM = {"kafka-1": Usage(300_000_000, 0.1, 2_000.0, 50_000.0), "flink": Usage(400_000_000, 0.05, None)}
BUSY = CALM | {"kafka-1": Usage(310_000_000, 0.9, 90_000.0, 250_000.0)}


def test_the_first_service_is_on_top_with_its_newest_and_its_highest_figures() -> None:
    columns = view.usage_columns([BUSY, CALM])
    assert columns["name"] == ["flink", "kafka-1"]
    assert columns["cpu"].tolist() == [5, 10]
    assert columns["cpu_most"].tolist() == [5, 90]
    assert columns["memory_text"] == ["400", "300"]


def test_a_figure_that_is_not_known_is_not_written() -> None:
    assert view.usage_columns([CALM])["disk_text"] == ["", "2"]
    assert view.usage_columns([CALM])["network_text"] == ["", "50"]


def test_a_service_that_does_not_run_on_says_so_in_the_place_of_its_figures() -> None:
    columns = view.usage_columns([{"kafka-1": Usage(problem="is frozen")}])
    assert columns["cpu_text"] == ["\N{MULTIPLICATION SIGN} is frozen"]


def test_the_sentence_names_sums_who_takes_most_and_what_does_not_run() -> None:
    assert view.usage_sentence(Resources(0, BUSY)) == (
        "All together use 95% of a core and 0.7 GB. Most processor: kafka-1 (90%); most memory: flink (400 MB). "
        "They send 250 kB/s to each other, most of it kafka-1."
    )
    frozen = view.usage_sentence(Resources(0, CALM | {"flink": Usage(problem="is frozen")}))
    assert frozen.startswith("flink is frozen. All together use 10% of a core")


def test_before_the_second_reading_nobody_is_named_busiest() -> None:
    assert view.usage_sentence(Resources(0, {"kafka-1": Usage(1_000_000_000)})) == (
        "All together use 0% of a core and 1.0 GB."
    )


def test_the_view_shows_each_reading_and_says_why_when_there_is_none() -> None:
    answers: list[Resources | Exception] = [ServiceUnavailable("supervisor", "here", "refused", "./course up")]

    def read() -> Resources:
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    shown = view.Resources(read=read)
    wait_until(lambda: "supervisor" in shown.text, 5, "the reason")
    answers[0] = Resources(1.0, BUSY)
    wait_until(lambda: "kafka-1 (90%)" in shown.text, 5, "the figures")
    assert shown.root.children[0].height == 60 + 2 * view.ROW_PIXELS
    refresher.remove("resources")


@pytest.mark.parametrize("panel", view.PANELS)
def test_an_empty_picture_has_all_columns(panel: str) -> None:
    assert list(view.usage_columns([])[panel]) == []
