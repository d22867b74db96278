from kernel_lib.dataflow import Edge, Graph, Node
from kernel_lib.plots import refresher, topology
from tests.plots.drawn import missing_columns

NODES = tuple(Node(key, key, "operator") for key in "abcd")
FORK = Graph(NODES, (Edge("a", "b", 100.0), Edge("b", "c", 5.0), Edge("b", "d", None)))

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
    assert columns["flow"].tolist() == [0.9, 0.9, 0.0]


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
    assert topology.wrapped("write processed-events") == "write\nprocessed-\nevents"
    assert topology.wrapped("track_sessions") == "track_\nsessions"
    assert topology.wrapped("hold_state") == "hold_state"


def test_the_sentence_says_every_arrow() -> None:
    assert topology.graph_sentence(FORK) == "a → b 100/s; b → c 5.0/s; b → d ?."


def test_the_sentence_of_an_empty_graph_is_its_reason() -> None:
    assert topology.graph_sentence(Graph((), (), "no job is running")) == "no job is running"


def test_every_column_that_is_drawn_is_there() -> None:
    view = topology.Topology(lambda: FORK, title="a graph", name="a graph of a test")
    assert missing_columns(view.root) == set()
    refresher.remove("a graph of a test")
