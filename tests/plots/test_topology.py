from itertools import pairwise

import pytest

from kernel_lib.dataflow import Edge, Graph, Node
from kernel_lib.plots import refresher, topology
from tests.plots.drawn import missing_columns

NODES = tuple(Node(key, key, "operator") for key in "abcd")
FORK = Graph(NODES, (Edge("a", "b", 100.0, 1204.0), Edge("b", "c", 5.0), Edge("b", "d", None)))

CROSSING = Graph(
    tuple(Node(name, name, "topic", column=column) for column, name in ((0, "a"), (0, "b"), (1, "c"), (1, "d"))),
    tuple(Edge(source, target, 1.0) for source in "ab" for target in "cd"),
)


def test_a_box_stands_right_of_all_that_feeds_it() -> None:
    columns = {key: at[0] for key, at in topology.places(FORK).items()}
    assert columns == {"a": 0, "b": 1, "c": 2, "d": 2}


def test_two_boxes_of_a_column_do_not_overlap() -> None:
    at = topology.places(FORK)
    assert abs(at["c"][1] - at["d"][1]) >= 1


def test_a_fixed_column_stays() -> None:
    graph = Graph((Node("a", "a", "topic", column=3), Node("b", "b", "topic", column=1)), (Edge("a", "b"),))
    assert topology.places(graph)["b"][0] == 1


def test_a_circle_does_not_hang() -> None:
    assert topology.places(Graph(NODES[:2], (Edge("a", "b"), Edge("b", "a"))))


def test_an_arrow_carries_its_rate_as_words_and_flows_only_with_records() -> None:
    columns = topology.edge_columns(FORK)
    assert columns["text"] == ["100/s", "5.0/s", "?"]
    assert list(zip(columns["words"], columns["records"], strict=True))[:2] == [("a → b", "1,204"), ("b → c", "?")]
    assert columns["flow"].tolist() == [0.9, 0.9, 0.0]


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.44, "0.4/s"), (120, "120/s"), (999.6, "1.0k/s"), (1204, "1.2k/s"), (9960, "10k/s"), (15_000, "15k/s")],
)
def test_a_rate_is_short_enough_to_stand_between_two_boxes(rate: float, words: str) -> None:
    assert topology.short(rate) == words


def test_rates_stand_on_their_arrows_and_not_on_each_other() -> None:
    columns = topology.edge_columns(CROSSING)
    labels = list(zip(columns["text_x"], columns["text_y"], strict=True))
    assert len(labels) == 4
    for number, (x, y) in enumerate(labels):
        others = labels[number + 1 :]
        assert all(
            abs(x - other) > topology.LABEL_WIDTH or abs(y - row) > topology.LABEL_HEIGHT for other, row in others
        )
        assert columns["x0"][number] < x < columns["x1"][number]
        assert sorted([columns["y0"][number], y, columns["y1"][number]])[1] == y


def test_an_empty_graph_can_be_drawn() -> None:
    assert topology.node_columns(Graph((), ()))["key"] == []
    assert len(topology.edge_columns(Graph((), ()))["rate"]) == 0


def test_a_long_label_is_wrapped_into_its_box() -> None:
    assert topology.wrapped("write processed-events", 12) == "write\nprocessed-\nevents"
    assert topology.wrapped("track_sessions", 12) == "track_\nsessions"
    assert topology.wrapped("hold_state", 12) == "hold_state"


def test_a_word_longer_than_its_box_ends_with_an_ellipsis() -> None:
    assert topology.wrapped("user-events", 10) == "user-\nevents"
    assert topology.wrapped("write processed-events", 8) == "write\nprocess…\nevents"
    assert topology.wrapped("find_abandoned_carts", 8) == "find_\nabandon…\ncarts"
    lines = topology.wrapped("write a very long name of the learner's own", 8).split("\n")
    assert len(lines) == 3
    assert lines[-1].endswith("…")


def test_the_more_columns_the_fewer_characters_fit_a_line() -> None:
    """The columns of pipeline, count_events and count_users."""
    assert [topology.characters_of_a_line(last) for last in (3, 7, 8, 30)] == [16, 10, 8, 5]


def test_words_stand_clear_of_the_edge_of_their_box() -> None:
    for columns in range(2, 12):
        box = topology.NARROW_PIXELS * topology.BOX_WIDTH / (columns - 1 + 2 * topology.MARGIN)
        words = topology.characters_of_a_line(columns - 1) * topology.CHARACTER_PIXELS
        assert words + 2 * topology.PADDING_PIXELS <= box


def test_hovering_says_the_whole_of_a_shortened_label() -> None:
    names = ["user-events", *"bcdefgh", "processed-events"]
    edges = tuple(Edge(a, b) for a, b in pairwise(names))
    columns = topology.node_columns(Graph(tuple(Node(name, name, "topic") for name in names), edges))
    assert (columns["label"][0], columns["label"][-1]) == ("user-\nevents", "process…\nevents")
    assert columns["words"] == names


def test_the_sentence_says_every_arrow() -> None:
    assert topology.graph_sentence(FORK) == "a → b 100/s; b → c 5.0/s; b → d ?."


def test_the_sentence_of_an_empty_graph_is_its_reason() -> None:
    assert topology.graph_sentence(Graph((), (), "no job is running")) == "no job is running"


def test_every_column_that_is_drawn_is_there() -> None:
    view = topology.Topology(lambda: FORK, title="a graph", name="a graph of a test")
    assert missing_columns(view.root) == set()
    refresher.remove("a graph of a test")
