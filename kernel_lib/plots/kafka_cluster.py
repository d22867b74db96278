"""Draw brokers against partitions: who leads, who follows in sync, and which replica is behind.

Question: which broker leads which partition, and is every replica in sync? Fault that changes it: kill or pause a
broker. Its row is away within a second, its replicas are out of sync and its leaderships are on the others within
five. After its return its replicas are in sync again; leaderships come back minutes later.
    before  "3 of 3 brokers are up; all 18 replicas of user-events are in sync; leaders: broker 1: 2, broker 2: 2,
            broker 3: 2."
    then    "Broker 2 is away; 6 of 6 partitions of user-events have 2 of 3 replicas in sync, writes go on (2 are
            needed); leaders: broker 1: 3, broker 3: 3."

    >>> plots.KafkaCluster("user-events", "metrics")
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, HoverTool, Range1d

from kernel_lib import brokers, live
from kernel_lib.brokers import Broker, Cluster, Partition
from kernel_lib.plots import look
from kernel_lib.plots.view import View, no_data_since, stale_because
from kernel_lib.settings import Settings, load

ROW_PIXELS = 50
MOVED_SECONDS = 15.0
TOPIC_GAP = 0.5
CELL = 0.9
LABEL_COLUMNS, LABEL_SHARE = 1.4, 0.2
MOST_COLUMNS_WITH_WORDS = 8
KEY = f"L leads    F follows in sync    {look.CROSS} out of sync    thick frame: new leader"
# Opaque, so that the letters read the same on a white and on a dark page.
FILLS = {"leads": "#0072B2", "follows in sync": "#B9DDF3", "out of sync": "#ffffff", "no replica": "#ffffff"}
ALPHAS = {"leads": 1.0, "follows in sync": 1.0, "out of sync": 0.0, "no replica": 0.0}
INKS = {"leads": "#ffffff", "follows in sync": "#0b3550", "out of sync": look.INK, "no replica": look.INK}
SIGNS = {"leads": "L", "follows in sync": "F", "out of sync": look.CROSS, "no replica": ""}
FRAMES = {"leads": "#0072B2", "follows in sync": "#B9DDF3", "out of sync": look.BAD, "no replica": look.INK}
FRAME_ALPHAS = {"leads": 1.0, "follows in sync": 1.0, "out of sync": 1.0, "no replica": 0.2}
Key = tuple[str, int]
Columns = dict[str, Any]


@dataclass(frozen=True)
class Leadership:
    """Who leads a partition, since when (epoch seconds; None: since before the picture), and who did before."""

    leader: int
    since: float | None = None
    before: int = -1


def leaderships(known: Mapping[Key, Leadership], cluster: Cluster, now: float) -> dict[Key, Leadership]:
    """Return who leads each partition now; one that has moved says when and from whom."""
    found: dict[Key, Leadership] = {}
    for partition in cluster.partitions:
        key, leader = (partition.topic, partition.number), cluster.leader(partition)
        last = known.get(key)
        if last is None:
            found[key] = Leadership(leader)
        elif last.leader == leader:
            found[key] = last
        else:
            found[key] = Leadership(leader, now, last.leader if last.leader >= 0 else last.before)
    return found


def state_of(cluster: Cluster, partition: Partition, broker: Broker) -> str:
    """Return what a broker is to a partition, in words."""
    if broker.id not in partition.replicas:
        return "no replica"
    if not broker.up or broker.id not in partition.in_sync:
        return "out of sync"
    return "leads" if broker.id == partition.leader else "follows in sync"


def places(cluster: Cluster) -> dict[Key, float]:
    """Return the column of each partition, with a gap between topics."""
    topics = list(dict.fromkeys(partition.topic for partition in cluster.partitions))
    return {(p.topic, p.number): n + TOPIC_GAP * topics.index(p.topic) for n, p in enumerate(cluster.partitions)}


def edges(cluster: Cluster) -> tuple[float, float]:
    """Return where the picture begins and ends, with room for the brokers' names at the left."""
    width = max(places(cluster).values(), default=0.0) + 1
    return -0.5 - max(LABEL_COLUMNS, width * LABEL_SHARE), width - 0.4


def cell_columns(cluster: Cluster, leads: Mapping[Key, Leadership], now: float) -> Columns:
    """Return one row a broker and partition, the first broker on top."""
    at = places(cluster)
    words = len(cluster.partitions) <= MOST_COLUMNS_WITH_WORDS
    columns: Columns = {name: [] for name in CELL_FIELDS}
    for row, broker in enumerate(reversed(cluster.brokers)):
        for partition in cluster.partitions:
            key, state = (partition.topic, partition.number), state_of(cluster, partition, broker)
            lead = leads.get(key, Leadership(-1))
            moved = state == "leads" and lead.since is not None and now - lead.since < MOVED_SECONDS
            came = f" ← {lead.before}" if moved and words and lead.before >= 0 else ""
            values = (at[key], row, broker.id, partition.topic, partition.number, state, SIGNS[state] + came)
            style = (FILLS[state], ALPHAS[state], INKS[state], look.WARN if moved else FRAMES[state])
            note = cell_note(partition, broker, state, lead)
            frame = (FRAME_ALPHAS[state], 4.0 if moved else 1.5, note)
            for name, value in zip(CELL_FIELDS, (*values, *style, *frame), strict=True):
                columns[name].append(value)
    return columns


CELL_FIELDS = (
    *("x", "y", "broker", "topic", "partition", "state", "sign"),
    *("fill", "alpha", "ink", "frame", "frame_alpha", "frame_width", "note"),
)


def cell_note(partition: Partition, broker: Broker, state: str, lead: Leadership) -> str:
    """Return what else there is to know about a replica."""
    if state == "leads":
        since = f"since {live.clock_time(lead.since)}" if lead.since else "since before this picture"
        return since + (f", before it broker {lead.before}" if lead.before >= 0 else "")
    if state == "out of sync":
        return f"the broker is away: {broker.reason}" if not broker.up else "it copies what it has missed"
    if state == "follows in sync" and partition.replicas[0] == broker.id:
        return "it should lead; Kafka hands leaderships back within minutes"
    return "ready to lead" if state == "follows in sync" else "this broker keeps no copy"


def label_columns(cluster: Cluster, needed: Mapping[str, int]) -> Columns:
    """Return the words around the cells: brokers at the left, topics and partitions on top, in-sync counts below."""
    at, top = places(cluster), len(cluster.brokers)
    rows: list[tuple[float, float, str, str, str, str, str]] = []
    for row, broker in enumerate(reversed(cluster.brokers)):
        count = sum(cluster.leader(partition) == broker.id for partition in cluster.partitions)
        rows.append((-0.65, row + 0.2, f"broker {broker.id}", look.INK, "right", "bold", "14px"))
        words = f"up, leads {count}" if broker.up else f"{look.CROSS} away"
        rows.append((-0.65, row - 0.2, words, look.INK, "right", "normal", "12px"))
    for partition in cluster.partitions:
        x = at[partition.topic, partition.number]
        few = cluster.in_sync(partition) < needed.get(partition.topic, 0)
        count_words = f"{cluster.in_sync(partition)}/{len(partition.replicas)}" + (" !" if few else "")
        rows.append((x, top - 0.3, str(partition.number), look.INK, "center", "normal", "12px"))
        style = (look.INK, "center", "bold", "13px") if few else (look.INK, "center", "normal", "12px")
        rows.append((x, -0.75, count_words, *style))
    for topic in dict.fromkeys(partition.topic for partition in cluster.partitions):
        xs = [at[topic, partition.number] for partition in cluster.of(topic)]
        rows.append(((xs[0] + xs[-1]) / 2, top + 0.15, topic, look.INK, "center", "bold", "14px"))
    if cluster.partitions:
        rows.append((-0.65, top - 0.3, "partition", look.INK, "right", "normal", "12px"))
        rows.append((-0.65, -0.75, "in sync", look.INK, "right", "normal", "12px"))
        left, right = edges(cluster)
        rows.append(((left + right) / 2, -1.25, KEY, look.INK, "center", "normal", "12px"))
    return {name: [row[n] for row in rows] for n, name in enumerate(LABEL_FIELDS)}


LABEL_FIELDS = ("x", "y", "text", "ink", "align", "style", "size")


def cluster_sentence(cluster: Cluster, needed: Mapping[str, int]) -> str:
    """Return in words who is up, what is in sync, whether writes go on, and who leads how many partitions."""
    topics = list(dict.fromkeys(partition.topic for partition in cluster.partitions))
    parts = [_brokers(cluster), *(_topic(cluster, topic, needed.get(topic)) for topic in topics), _leaders(cluster)]
    return "; ".join(filter(None, parts)) + "."


def _brokers(cluster: Cluster) -> str:
    away = [str(broker.id) for broker in cluster.brokers if not broker.up]
    if not away:
        return f"{len(cluster.up)} of {len(cluster.brokers)} brokers are up"
    if len(away) == 1:
        return f"Broker {away[0]} is away"
    return f"Brokers {', '.join(away[:-1])} and {away[-1]} are away"


def _topic(cluster: Cluster, topic: str, needed: int | None) -> str:
    partitions = cluster.of(topic)
    replicas = sum(len(partition.replicas) for partition in partitions)
    if sum(map(cluster.in_sync, partitions)) == replicas:
        return f"all {replicas} replicas of {topic} are in sync"
    headless = sum(cluster.leader(partition) < 0 for partition in partitions)
    counts = Counter((cluster.in_sync(p), len(p.replicas)) for p in partitions)
    said = [
        f"{_of(count, len(partitions), topic)} {'has' if count == 1 else 'have'} {in_sync} of {all_of} replicas in sync"
        + _writes(in_sync, needed)
        for (in_sync, all_of), count in sorted(counts.items())
        if in_sync < all_of
    ]
    if headless:
        said.append(f"{_of(headless, len(partitions), topic)} cannot be read or written: no leader is up")
    return "; ".join(said)


def _of(count: int, total: int, topic: str) -> str:
    return f"{count} of {total} partitions of {topic}"


def _writes(in_sync: int, needed: int | None) -> str:
    if needed is None:
        return ""
    verb = "is" if needed == 1 else "are"
    return f", writes {'go on' if in_sync >= needed else 'are refused'} ({needed} {verb} needed)"


def _leaders(cluster: Cluster) -> str:
    counts = Counter(map(cluster.leader, cluster.partitions))
    said = ", ".join(f"broker {number}: {counts[number]}" for number in sorted(cluster.up))
    waiting = sum(
        p.replicas[0] in cluster.up and p.replicas[0] in p.in_sync and cluster.leader(p) != p.replicas[0]
        for p in cluster.partitions
    )
    back = f" ({waiting} will be handed back to the brokers that should lead them, within minutes)" if waiting else ""
    return f"leaders: {said}{back}" if said and cluster.partitions else ""


class KafkaCluster(View):
    """Brokers against the partitions of some topics, asked once a second."""

    def __init__(
        self,
        *topics: str,
        read: Callable[[], Cluster] | None = None,
        needed: Callable[[], Mapping[str, int]] | None = None,
        settings: Settings | None = None,
        name: str = "kafka cluster",
    ) -> None:
        topics = topics or ("user-events",)
        used = settings or (None if read and needed else load())
        self.poller = live.Poller(read or brokers.ClusterReader(topics, settings=used), every_seconds=1.0)
        asked = needed or (lambda: brokers.needed_in_sync(topics, settings=used))
        self._needed: live.Poller[Mapping[str, int]] = live.Poller(asked, every_seconds=5.0)
        self._leads: dict[Key, Leadership] = {}
        self._seen_at: float | None = None
        empty = Cluster((), ())
        self.labels = ColumnDataSource(label_columns(empty, {}))
        source = ColumnDataSource(cell_columns(empty, {}, 0.0))
        title, figure = f"Kafka brokers and {', '.join(topics)}", self._figure(source)
        super().__init__(figure, source, title=title, name=name, reads=[self.poller, self._needed])

    def draw(self) -> str:
        cluster, needed = self.poller.poll(), self._needed.poll() or {}
        if cluster is not None and self.poller.answered_at != self._seen_at:
            self._seen_at = self.poller.answered_at
            self._show(cluster, needed)
        self.quiet_because = stale_because(self.poller)
        if self.quiet_because or cluster is None:
            return no_data_since(self.poller.answered_at, self.quiet_because)
        return cluster_sentence(cluster, needed)

    def _show(self, cluster: Cluster, needed: Mapping[str, int]) -> None:
        now = time.time()
        self._leads = leaderships(self._leads, cluster, now)
        cells, labels = cell_columns(cluster, self._leads, now), label_columns(cluster, needed)
        if cells != self.source.data:
            self.source.data = cells
        if labels != self.labels.data:
            self.labels.data = labels
            self._fit(cluster)

    def _fit(self, cluster: Cluster) -> None:
        left, right = edges(cluster)
        self.root.x_range.update(start=left, end=right)
        self.root.y_range.update(start=-1.6, end=len(cluster.brokers) + 0.5)
        self.root.height = int(ROW_PIXELS * (len(cluster.brokers) + 2.1))

    def _figure(self, source: ColumnDataSource) -> Any:
        tips = [("", "broker @broker, partition @partition of @topic"), ("", "@state: @note")]
        hover = HoverTool(tooltips=tips, point_policy="follow_mouse")
        ranges: Any = {"x_range": Range1d(start=-3, end=6), "y_range": Range1d(start=-2, end=4)}
        plot = look.bare(look.figure(height=ROW_PIXELS * 5, hover=hover, **ranges))
        cells = plot.rect(
            "x", "y", width=CELL, height=CELL * 0.86, source=source, fill_color="fill", fill_alpha="alpha",
            line_color="frame", line_alpha="frame_alpha", line_width="frame_width", border_radius=4,
        )  # fmt: skip
        hover.renderers = [cells]
        look.text(plot, "x", "y", "sign", source, text_color="ink", text_font_style="bold", text_font_size="16px")
        look.text(
            plot, "x", "y", "text", self.labels,
            text_color="ink", text_align="align", text_font_style="style", text_font_size="size",
        )  # fmt: skip
        return plot
