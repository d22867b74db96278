from itertools import pairwise

import numpy as np

from kernel_lib.job_graph import Graph, Vertex
from kernel_lib.plots import backpressure
from kernel_lib.plots.backpressure import Sample, Verdict
from kernel_lib.task_metrics import Shares

LABELS = {"a": "read user-events", "b": "slow", "c": "write processed-events"}
FREE, BUSY, HELD = Shares(0.1, 0, 0.1), Shares(0.98, 0, 1.0), Shares(0.02, 0.97, 0.02)


def chain(*names: str) -> Graph:
    vertices = tuple(Vertex(key, name, 1, "RUNNING", 120) for key, name in zip("abcd", names, strict=False))
    keys = [vertex.id for vertex in vertices]
    return Graph(tuple(reversed(vertices)), tuple(pairwise(keys)))


GRAPH = chain("Source: events", "slow", "sink: Writer", "sink: Committer")


def test_tasks_are_in_the_order_of_the_data_without_the_committer() -> None:
    assert backpressure.in_order(GRAPH) == ["a", "b", "c"]


def test_a_circle_has_an_order_too() -> None:
    assert sorted(backpressure.in_order(Graph(GRAPH.vertices, (("a", "b"), ("b", "a"))))) == ["a", "b", "c"]


def test_the_slow_task_is_the_cause_not_the_one_that_waits_for_it() -> None:
    verdict = backpressure.judged(GRAPH, {"a": HELD, "b": BUSY, "c": FREE})
    assert verdict == Verdict("b", ("a",))
    said = backpressure.verdict_sentence(verdict, {"a": HELD, "b": BUSY, "c": FREE}, LABELS)
    assert said == (
        "slow is the cause: busy 98%, its busiest subtask 100%. It holds back read user-events (97% of its time)."
    )


def test_a_task_in_the_middle_that_is_held_back_itself_is_not_the_cause() -> None:
    assert backpressure.judged(GRAPH, {"a": HELD, "b": HELD, "c": BUSY}) == Verdict("c", ("a", "b"))


def test_of_two_branches_the_busier_is_the_cause() -> None:
    graph = Graph(GRAPH.vertices, (("a", "b"), ("a", "c")))
    assert backpressure.judged(graph, {"a": HELD, "b": FREE, "c": BUSY}).cause == "c"


def test_a_busy_task_that_holds_nobody_back_is_no_cause() -> None:
    tasks = {"a": FREE, "b": BUSY, "c": FREE}
    verdict = backpressure.judged(GRAPH, tasks)
    assert verdict == Verdict(None, ())
    assert backpressure.verdict_sentence(verdict, tasks, LABELS) == (
        "No task is held back; the busiest is slow, busy 98%, its busiest subtask 100%."
    )


def test_before_the_first_figures_the_sentence_says_so() -> None:
    assert backpressure.verdict_sentence(Verdict(None, ()), {}, {}).startswith("No task has reported")


def test_the_held_back_part_stands_on_the_busy_part() -> None:
    samples = [Sample(0, 1000, {"a": Shares(0.25, 0.5, 0.25), "b": FREE})]
    busy, held = (backpressure.band_columns(samples, ["a", "b"], part) for part in ("busy", "backpressured"))
    assert busy["top"].tolist() == held["bottom"].tolist()
    # The first task is the highest row, and so the last box.
    assert held["share"].tolist() == [0, 50]
    assert np.diff(busy["bottom"]).tolist() == [1]


def test_the_cause_is_marked_in_words() -> None:
    labels = backpressure.label_columns(["a", "b"], {"a": HELD, "b": BUSY}, Verdict("b", ("a",)), 0)
    assert labels["text"] == ["busy 98% ◀ cause", "busy 2% · held back 97%"]
