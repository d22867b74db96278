"""Own what flows where, and how fast: topics, producers and running jobs as a graph that a picture can draw.

A reader is a function that returns the graph as it is now; the rates are between its last two calls.

    >>> read = dataflow.JobReader(job)
    >>> read().edges
    (Edge(source='topic user-events', target='cbc357cc', per_second=100.2), ...)
"""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kernel_lib import cluster, flink_reader, jobs, task_metrics, topics
from kernel_lib.job import Job
from kernel_lib.job_graph import Graph as JobPlan
from kernel_lib.job_graph import Vertex
from kernel_lib.records import EVENT_TYPES
from kernel_lib.settings import Settings, load
from kernel_lib.task_metrics import CONTROL_SOURCE, OFFSET, Finer, Reading, Shares

READINGS = 4
RESULTS = ("metrics", "processed-events", "alerts")
SOURCE = re.compile(r"Source: (?:[\w-]+\.)*(?P<table>\w+)")
SINK = re.compile(r"(?:Sink: )?(?P<table>\w+)(?:\[\d+\])?: (?P<part>Writer|Committer)")
LABELS = (
    (re.compile(r"LocalWindowAggregate"), "count (local)"),
    (re.compile(r"GlobalWindowAggregate|WindowAggregate"), "count per window"),
    (re.compile(r"WatermarkAssigner"), "watermark"),
    (re.compile(r"Calc"), "select"),
    (re.compile(r"TableToDataStream|DataStreamToTable"), "convert"),
)


@dataclass(frozen=True)
class Node:
    """A box: its key, what to write in it, its kind, what hovering says, its column if that is fixed, its load."""

    key: str
    label: str
    kind: str
    note: str = ""
    column: int | None = None
    load: Shares | None = None


@dataclass(frozen=True)
class Edge:
    """An arrow, the records per second on it, and how many it was so far; None while that is not known."""

    source: str
    target: str
    per_second: float | None = None
    records: float | None = None


@dataclass(frozen=True)
class Graph:
    """What to draw; `reason` says why nothing moves."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    reason: str = ""


class Rates:
    """How fast counters grew over the last few readings; Flink renews its figures each at another moment.

    One that is less than before was reset and counts `from_zero`; else it went back, and has not grown.
    """

    def __init__(self, readings: int = READINGS, *, from_zero: bool = True) -> None:
        self._readings: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=readings)
        self._from_zero = from_zero

    def of(self, counters: Mapping[str, float], *, now: float | None = None) -> dict[str, float]:
        """Return the growth per second since the oldest reading that is kept; {} at first."""
        self._readings.append((time.monotonic() if now is None else now, counters))
        if len(self._readings) < 2:
            return {}
        return per_second(self._readings[0], self._readings[-1], from_zero=self._from_zero)


def per_second(
    before: tuple[float, Mapping[str, float]], now: tuple[float, Mapping[str, float]], *, from_zero: bool = True
) -> dict[str, float]:
    """Return the growth per second of the counters in both readings, as `Rates` has it."""
    seconds = max(now[0] - before[0], 0.001)
    grown = {name: (value, before[1][name]) for name, value in now[1].items() if name in before[1]}
    return {
        name: (new - old if new >= old else new if from_zero else 0.0) / seconds for name, (new, old) in grown.items()
    }


class JobReader:
    """Read one job: its tasks between the topics it reads and writes, and with `loads` how they spend their time."""

    def __init__(self, job: Job, *, loads: bool = True) -> None:
        self.job = job
        # Of a source that reads one topic, its records say enough.
        offsets = Finer(OFFSET, self._readers_of_several)
        self._read = task_metrics.Reader(job, offsets, each_subtask=loads)
        self._rates, self._read_rates = Rates(), Rates(from_zero=False)
        self._before: deque[Reading] = deque(maxlen=READINGS)
        self._parameters: dict[str, str] = {}

    def __call__(self) -> Graph:
        # A job that is not scheduled yet has no parameters, and without them its topics are not known.
        self._parameters = self._parameters or self.job.parameters()
        if not self._parameters:
            return Graph((), (), f"job {self.job.name} is being scheduled")
        now = self._read()
        if len(now.graph.vertices) > 1 and not now.graph.edges:  # as of a job that waits for slots
            return Graph((), (), self._reason(now.state))
        loads = task_metrics.shares(self._before[0], now) if self._before else {}
        self._before.append(now)
        records = _counters(now)
        rates = self._rates.of(records, now=now.at) | self._rates_by_topic(now)
        return job_graph(now.graph, rates, self._parameters, self._reason(now.state), loads, records)

    def _readers_of_several(self, plan: JobPlan) -> list[Vertex]:
        return [source for source in plan.sources if len(read_topics(source.name, self._parameters)) > 1]

    def _rates_by_topic(self, now: Reading) -> dict[str, float]:
        """Return what each source that reads several topics reads of each of them."""
        names = {cluster.in_metrics(self.job.settings.named(topic)): topic for topic in _topics_read(self._parameters)}
        found: dict[str, float] = {}
        for place, rate in self._read_rates.of(read_offsets(now, names), now=now.at).items():
            topic = place.rpartition(" ")[0]
            found[topic] = found.get(topic, 0.0) + rate
        return found

    def _reason(self, state: str) -> str:
        if state == "RUNNING":
            return ""
        failure = self.job.failure() if state in ("FAILED", "RESTARTING", "FAILING") else ""
        return f"job {self.job.name} is {cluster.state_words(state)}" + (f": {failure}" if failure else "")


def read_offsets(reading: Reading, names: Mapping[str, str]) -> dict[str, float]:
    """Return the offset that each source has reached in each partition of the topics, whose `names` are by Flink's.

    From a start to the first record is no growth that is known: what is unread is a place of its own.
    """
    return {
        f"{vertex.id} of {names[name]} {'unread' if offset < 0 else partition}": max(offset, 0.0)
        for vertex in reading.graph.vertices
        for (name, partition), offset in reading.offsets(vertex.id).items()
        if name in names
    }


def _counters(reading: Reading) -> dict[str, float]:
    ways = {f"{vertex} in": counted.read for vertex, counted in reading.counted.items()}
    ways |= {f"{vertex} out": counted.written for vertex, counted in reading.counted.items()}
    return {name: total for name, total in ways.items() if total is not None}


def job_graph(
    flink: JobPlan,
    rates: Mapping[str, float],
    parameters: Mapping[str, str],
    reason: str,
    loads: Mapping[str, Shares] | None = None,
    records: Mapping[str, float] | None = None,
) -> Graph:
    """Return a job's tasks and topics; committers move no records and are left out.

    `rates` and `records` are by task and way, as in "cbc357cc in"; of one topic of several "cbc357cc of user-events".
    """
    loads, records = loads or {}, records or {}

    def arrow(source: str, target: str, counter: str) -> Edge:
        return Edge(source, target, rates.get(counter), records.get(counter))

    tasks = {vertex.id: vertex for vertex in flink.vertices if not is_committer(vertex.name)}
    edges = [(a, b) for a, b in flink.edges if a in tasks and b in tasks]
    inputs = Counter(b for _, b in edges)
    nodes = [_task(vertex, parameters, loads.get(vertex.id)) for vertex in tasks.values()]
    arrows = [arrow(a, b, f"{b} in" if inputs[b] == 1 else f"{a} out") for a, b in edges]
    for vertex in tasks.values():
        written = written_topic(vertex.name, parameters)
        if not inputs[vertex.id]:
            read = read_topics(vertex.name, parameters)
            nodes += map(topic_node, read)
            of = {topic: f"{vertex.id} of {topic}" if len(read) > 1 else f"{vertex.id} out" for topic in read}
            arrows += [arrow(f"topic {topic}", vertex.id, of[topic]) for topic in read]
        elif written:
            nodes.append(topic_node(written))
            arrows.append(arrow(vertex.id, f"topic {written}", f"{vertex.id} in"))
    unique = {node.key: node for node in nodes}
    return Graph(tuple(unique.values()), tuple(arrows), reason)


class MeterReader:
    """Read the records per second of some topics, and of every arrow in the graph of a job, by what to call them."""

    def __init__(self, names: Sequence[str], job: Job | None = None, *, settings: Settings | None = None) -> None:
        self.names = names
        self.settings = settings or load()
        self._rates = Rates()
        self._read_job = JobReader(job) if job else None

    def __call__(self) -> dict[str, float]:
        """Return {} at first; raises NotFound and ServiceUnavailable."""
        found = self._rates.of(topics.ends(*self.names, settings=self.settings))
        if self._read_job is not None:
            graph = self._read_job()
            labels = {node.key: node.label for node in graph.nodes if node.kind != "topic"}
            known = [edge for edge in graph.edges if edge.per_second is not None]
            within = [edge for edge in known if edge.source in labels and edge.target in labels]
            found |= {f"{labels[edge.source]} → {labels[edge.target]}": edge.per_second or 0.0 for edge in within}
        return found


class PipelineReader:
    """Read the whole pipeline: the raw topics and what is produced into them, running jobs, result topics."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load()
        self._topics = Rates()
        self._readers: dict[str, JobReader] = {}

    def __call__(self) -> Graph:
        sizes = topics.ends(*EVENT_TYPES, settings=self.settings)
        running = jobs.ours(flink_reader.of(self.settings).jobs(live=True), self.settings)
        self._readers = {job.id: self._readers.get(job.id) or JobReader(job, loads=False) for job in running}
        graphs = {job.name: self._readers[job.id]() for job in running}
        return pipeline_graph(self._topics.of(sizes), graphs, sizes)


def pipeline_graph(
    produced: Mapping[str, float], running: Mapping[str, Graph], sizes: Mapping[str, float] | None = None
) -> Graph:
    """Return producers, raw topics, one box a job, result topics.

    By topic: `produced` is records per second, `sizes` is how many there were ever.
    """
    sizes = sizes or {}
    nodes = [Node("producers", "producers", "producer", column=0)]
    nodes += [topic_node(name, column=1) for name in EVENT_TYPES]
    nodes += [topic_node(name, column=3) for name in RESULTS]
    edges = [Edge("producers", f"topic {name}", produced.get(name), sizes.get(name)) for name in EVENT_TYPES]
    for name, graph in running.items():
        key = f"job {name}"
        tasks = {node.key for node in graph.nodes if node.kind != "topic"}
        nodes.append(Node(key, name, "failed" if graph.reason else "job", graph.reason or f"job {name}", column=2))
        edges += [replace(e, target=key) for e in graph.edges if e.source not in tasks]
        edges += [replace(e, source=key) for e in graph.edges if e.target not in tasks]
    known = {node.key for node in nodes}
    for edge in edges:  # the topics of a learner's own job
        for key, column in ((edge.source, 1), (edge.target, 3)):
            if key not in known:
                known.add(key)
                nodes.append(topic_node(key.removeprefix("topic "), column=column))
    reasons = [graph.reason for graph in running.values() if graph.reason]
    idle = "" if running else "no job is running"
    return Graph(tuple(nodes), tuple(edges), "; ".join(reasons) or idle)


def topic_node(name: str, *, column: int | None = None) -> Node:
    """Return the box of a topic."""
    return Node(f"topic {name}", name, "topic", f"topic {name}", column)


def read_topics(vertex_name: str, parameters: Mapping[str, str]) -> list[str]:
    """Return the topics that a source task reads; [""] when that is not known."""
    if vertex_name == CONTROL_SOURCE:
        return [parameters.get("topic-control", "")]
    table = SOURCE.search(vertex_name)
    several = _topics_read(parameters)
    by_name = {topic.replace("-", "_"): topic for topic in several}
    named = table and (parameters.get(f"topic-{table['table']}") or by_name.get(table["table"].removeprefix("raw_")))
    return named.split(";") if named else several


def _topics_read(parameters: Mapping[str, str]) -> list[str]:
    return parameters.get("source", "").split(";")


def written_topic(vertex_name: str, parameters: Mapping[str, str]) -> str:
    """Return the topic that a task writes, "" if it writes none; jobs.submit notes table and topic."""
    sink = SINK.search(vertex_name)
    if not sink:
        return ""
    written, table = parameters.get("topic-sink", ""), sink["table"]
    # Of several sinks, the one whose table is named like its topic.
    named = next((topic for topic in written.split(";") if table.endswith(topic.replace("-", "_"))), written)
    return parameters.get(f"topic-{table}") or named or table


def task_label(vertex_name: str, parameters: Mapping[str, str]) -> str:
    """Return a task's name in plain words; Flink's own names of SQL tasks are for its planner."""
    written = written_topic(vertex_name, parameters)
    if written:
        return f"write {written}"
    if vertex_name.startswith("Source: "):
        return f"read {', '.join(read_topics(vertex_name, parameters))}"
    return next((words for pattern, words in LABELS if pattern.search(vertex_name)), vertex_name)


def _task(vertex: Vertex, parameters: Mapping[str, str], load: Shares | None) -> Node:
    note = f"{vertex.name} · {vertex.status} · parallelism {vertex.parallelism}"
    kind = "operator" if vertex.status in ("RUNNING", "FINISHED") else "failed"
    return Node(vertex.id, task_label(vertex.name, parameters), kind, note, load=load)


def is_committer(vertex_name: str) -> bool:
    """Say whether a task only commits transactions: it moves no records."""
    sink = SINK.search(vertex_name)
    return sink is not None and sink["part"] == "Committer"
