import pytest

from kernel_lib import dataflow, task_metrics
from kernel_lib.dataflow import Edge
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.job import Job
from kernel_lib.job_graph import Graph, Vertex
from kernel_lib.settings import Settings
from kernel_lib.task_metrics import Reading

PARAMETERS = {"source": "user-events", "topic-source": "user-events", "topic-counts": "metrics"}
PLAN = Graph(
    (
        Vertex("a", "Source: KafkaSource-default_catalog.default_database.events", 1, "RUNNING", 120),
        Vertex("b", "GlobalWindowAggregate[6]", 1, "RUNNING", 120),
        Vertex("c", "counts[8]: Writer", 1, "RUNNING", 120),
        Vertex("d", "counts[8]: Committer", 1, "RUNNING", 120),
    ),
    (("a", "b"), ("b", "c"), ("c", "d")),
)
NOBODY = Settings(kafka_bootstrap_servers="", flink_jobmanager_url="http://127.0.0.1:1", elasticsearch_url="")
RATES = {"a out": 100.0, "b in": 99.0, "c in": 5.0}


def test_rates_are_growth_over_time() -> None:
    rates = dataflow.Rates()
    assert rates.of({"x": 10}, now=1.0) == {}
    assert rates.of({"x": 30}, now=3.0) == {"x": 10.0}


def test_rates_reach_back_a_few_readings_only() -> None:
    rates = dataflow.Rates(readings=2)
    for now, count in ((0.0, 0), (1.0, 100), (2.0, 101)):
        latest = rates.of({"x": count}, now=now)
    assert latest == {"x": 1.0}


def test_a_counter_that_was_reset_counts_from_zero() -> None:
    assert dataflow.per_second((0.0, {"x": 500}), (2.0, {"x": 20})) == {"x": 10.0}


def test_a_job_is_drawn_between_the_topics_it_reads_and_writes() -> None:
    graph = dataflow.job_graph(PLAN, RATES, PARAMETERS, "")
    assert [node.label for node in graph.nodes] == [
        "read user-events",
        "count per window",
        "write metrics",
        "user-events",
        "metrics",
    ]
    assert Edge("topic user-events", "a", 100.0) in graph.edges
    assert Edge("a", "b", 99.0) in graph.edges
    assert Edge("c", "topic metrics", 5.0) in graph.edges


def test_an_arrow_knows_how_many_records_it_was_so_far() -> None:
    job = dataflow.job_graph(PLAN, RATES, PARAMETERS, "", records={"a out": 1204.0})
    assert Edge("topic user-events", "a", 100.0, 1204.0) in job.edges
    graph = dataflow.pipeline_graph({"user-events": 100.0}, {"count_events": job}, {"user-events": 1300.0})
    assert Edge("producers", "topic user-events", 100.0, 1300.0) in graph.edges
    assert Edge("topic user-events", "job count_events", 100.0, 1204.0) in graph.edges


def test_a_source_of_several_topics_has_an_arrow_from_each() -> None:
    several = {**PARAMETERS, "source": "user-events;transactions", "topic-source": "user-events;transactions"}
    graph = dataflow.job_graph(PLAN, {"a out": 60.0, "a of user-events": 50.0}, several, "")
    assert Edge("topic user-events", "a", 50.0) in graph.edges
    assert Edge("topic transactions", "a", None) in graph.edges
    assert {node.label for node in graph.nodes if node.kind == "topic"} == {"user-events", "transactions", "metrics"}
    assert "read user-events, transactions" in {node.label for node in graph.nodes}


def test_offsets_that_went_back_have_not_grown() -> None:
    """Flink reads again from the last checkpoint after a failure."""
    rates = dataflow.Rates(from_zero=False)
    rates.of({"x": 500}, now=0.0)
    assert rates.of({"x": 480}, now=2.0) == {"x": 0.0}


def test_of_a_topic_that_nobody_has_read_yet_nothing_is_read_and_its_first_record_is_no_jump() -> None:
    name = "Source__x.KafkaSourceReader.topic.{}.partition.{}.currentOffset"
    rates = dataflow.Rates(2, from_zero=False)
    found = []
    for at, busy in enumerate([-1.0, 900.0, 960.0]):
        offsets = {name.format("t_silent", 0): -1.0, name.format("t_busy", 3): busy}
        reading = Reading(at, "RUNNING", PLAN, finer={"a": offsets})
        found.append(rates.of(dataflow.read_offsets(reading, {"t_silent": "silent", "t_busy": "busy"}), now=at))
    assert found == [{}, {"a of silent unread": 0.0}, {"a of silent unread": 0.0, "a of busy 3": 60.0}]


def test_a_rate_that_is_not_known_yet_is_none() -> None:
    assert {edge.per_second for edge in dataflow.job_graph(PLAN, {}, PARAMETERS, "").edges} == {None}


def test_the_pipeline_shows_a_job_as_one_box() -> None:
    job = dataflow.job_graph(PLAN, RATES, PARAMETERS, "")
    graph = dataflow.pipeline_graph({"user-events": 100.0}, {"count_events": job})
    assert Edge("producers", "topic user-events", 100.0) in graph.edges
    assert Edge("topic user-events", "job count_events", 100.0) in graph.edges
    assert Edge("job count_events", "topic metrics", 5.0) in graph.edges
    assert graph.reason == ""


def test_topics_of_a_learners_own_job_get_their_boxes() -> None:
    edges = (Edge("topic mine", "a"), Edge("a", "topic results"))
    job = dataflow.Graph((dataflow.Node("a", "own", "operator"),), edges)
    graph = dataflow.pipeline_graph({}, {"own": job})
    boxes = {node.key: node.column for node in graph.nodes}
    assert (boxes["topic mine"], boxes["topic results"]) == (1, 3)
    assert {key for edge in graph.edges for key in (edge.source, edge.target)} <= boxes.keys()


def test_a_job_that_is_not_scheduled_yet_has_no_tasks_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [{}, PARAMETERS]
    monkeypatch.setattr(Job, "parameters", lambda _: answers.pop(0))
    read = dataflow.JobReader(Job("id", "own", NOBODY))
    assert read() == dataflow.Graph((), (), "job own is being scheduled")
    with pytest.raises(ServiceUnavailable):  # it goes on to the tasks as soon as there are parameters
        read()
    assert answers == []


def test_a_job_that_waits_for_slots_since_its_start_has_no_arrows_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Reading(0.0, "CREATED", Graph(PLAN.vertices, ()))
    monkeypatch.setattr(Job, "parameters", lambda _: PARAMETERS)
    monkeypatch.setattr(task_metrics, "Reader", lambda *_, **__: lambda: waiting)
    graph = dataflow.JobReader(Job("id", "own", NOBODY))()
    assert graph == dataflow.Graph((), (), "job own is CREATED: it waits for slots")


def test_a_pipeline_without_jobs_says_so() -> None:
    assert dataflow.pipeline_graph({}, {}).reason == "no job is running"


def test_a_learners_function_keeps_its_name() -> None:
    assert dataflow.task_label("shout", PARAMETERS) == "shout"


def test_parameters_are_drawn_from_their_topic_and_acknowledged_into_theirs() -> None:
    noted = PARAMETERS | {"topic-control": "control", "topic-acknowledgements": "said"}
    assert dataflow.task_label("Source: control", noted) == "read control"
    assert dataflow.task_label("acknowledgements: Writer", noted) == "write said"


def test_of_several_sinks_each_task_writes_the_topic_that_its_table_is_named_after() -> None:
    parameters = {"topic-sink": "results-fast;results-exact"}
    assert dataflow.written_topic("passed_results_exact[3]: Writer", parameters) == "results-exact"
    assert dataflow.written_topic("passed_results_fast[2]: Writer", parameters) == "results-fast"
    assert dataflow.written_topic("results[2]: Writer", {"topic-sink": "my-events"}) == "my-events"
