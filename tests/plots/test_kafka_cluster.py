from collections.abc import Iterator
from dataclasses import replace

import pytest

from kernel_lib.brokers import AWAY, Broker, Cluster, Partition
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.plots import kafka_cluster, look, refresher
from kernel_lib.plots.kafka_cluster import KafkaCluster, Leadership
from kernel_lib.waiting import wait_until
from tests.plots.drawn import missing_columns

NEEDED = {"user-events": 2}


def cluster(*away: int, topic: str = "user-events", partitions: int = 6) -> Cluster:
    """Three brokers of which some are away, and whose leaderships the others have taken over."""
    brokers = tuple(Broker(n, f"broker:{n}", AWAY if n in away else "") for n in (1, 2, 3))
    return Cluster(brokers, tuple(partition(topic, n, away) for n in range(partitions)))


def partition(topic: str, number: int, away: tuple[int, ...]) -> Partition:
    replicas = tuple((number + n) % 3 + 1 for n in range(3))
    in_sync = tuple(sorted(n for n in replicas if n not in away))
    return Partition(topic, number, next((n for n in replicas if n in in_sync), -1), replicas, in_sync)


@pytest.fixture
def name() -> Iterator[str]:
    yield "a cluster of a test"
    refresher.remove("a cluster of a test")


def test_a_cluster_that_is_well_is_said_in_one_sentence() -> None:
    assert kafka_cluster.cluster_sentence(cluster(), NEEDED) == (
        "3 of 3 brokers are up; all 18 replicas of user-events are in sync; "
        "leaders: broker 1: 2, broker 2: 2, broker 3: 2."
    )


def test_a_broker_that_is_away_is_named_with_what_it_means() -> None:
    sentence = kafka_cluster.cluster_sentence(cluster(2), NEEDED)
    assert sentence.startswith(
        "Broker 2 is away; 6 of 6 partitions of user-events have 2 of 3 replicas in sync, writes go on (2 are needed); "
        "leaders: broker 1: 2, broker 3: 4"
    )


def test_below_the_minimum_writes_are_refused() -> None:
    sentence = kafka_cluster.cluster_sentence(cluster(1, 3), NEEDED)
    assert "Brokers 1 and 3 are away; 6 of 6 partitions of user-events have 1 of 3 replicas in sync" in sentence
    assert "writes are refused (2 are needed)" in sentence


def test_nothing_is_said_about_writes_while_the_minimum_is_not_known() -> None:
    assert "writes" not in kafka_cluster.cluster_sentence(cluster(2), {})


def test_a_leader_whose_broker_is_away_leads_nothing() -> None:
    """Fails when a leader is taken from the metadata as it is: without a quorum nobody corrects it."""
    before = cluster()
    dead = Cluster(cluster(2).brokers, before.partitions)
    sentence = kafka_cluster.cluster_sentence(dead, NEEDED)
    assert "2 of 6 partitions of user-events cannot be read or written: no leader is up" in sentence
    assert "leaders: broker 1: 2, broker 3: 2" in sentence
    states = kafka_cluster.cell_columns(dead, {}, 0.0)["state"]
    assert states.count("out of sync") == 6


def test_a_broker_that_is_back_waits_for_its_leaderships() -> None:
    caught_up = Cluster(cluster().brokers, tuple(replace(p, in_sync=(1, 2, 3)) for p in cluster(2).partitions))
    sentence = kafka_cluster.cluster_sentence(caught_up, NEEDED)
    assert "broker 2: 0" in sentence
    assert "2 will be handed back" in sentence


def test_a_cell_says_by_letter_colour_and_frame_what_a_replica_is() -> None:
    cells = kafka_cluster.cell_columns(cluster(2), {}, 0.0)
    of_zero = {
        b: (s, state)
        for b, n, s, state in zip(*(cells[c] for c in ("broker", "partition", "sign", "state")), strict=True)
        if n == 0
    }
    assert of_zero == {1: ("L", "leads"), 2: (look.CROSS, "out of sync"), 3: ("F", "follows in sync")}
    assert len({fill + frame for fill, frame in zip(cells["fill"], cells["frame"], strict=True)}) == 3


def test_a_broker_without_a_replica_has_empty_cells() -> None:
    spare = Cluster((*cluster().brokers, Broker(4, "broker:4")), cluster().partitions)
    cells = kafka_cluster.cell_columns(spare, {}, 0.0)
    assert {sign for broker, sign in zip(cells["broker"], cells["sign"], strict=True) if broker == 4} == {""}


def test_a_leadership_that_moved_says_from_whom_for_a_while() -> None:
    first = kafka_cluster.leaderships({}, cluster(), 10.0)
    moved = kafka_cluster.leaderships(first, cluster(2), 20.0)
    assert moved["user-events", 1] == Leadership(3, 20.0, before=2)
    assert moved["user-events", 0] == Leadership(1)
    assert "L ← 2" in kafka_cluster.cell_columns(cluster(2), moved, 21.0)["sign"]
    assert "L ← 2" not in kafka_cluster.cell_columns(cluster(2), moved, 60.0)["sign"]


def test_a_leadership_that_was_vacant_in_between_names_the_last_leader() -> None:
    vacant = Cluster(cluster(2).brokers, cluster().partitions)
    steps = kafka_cluster.leaderships(kafka_cluster.leaderships({}, cluster(), 1.0), vacant, 2.0)
    assert kafka_cluster.leaderships(steps, cluster(2), 3.0)["user-events", 1] == Leadership(3, 3.0, before=2)


def test_topics_stand_apart_under_their_names() -> None:
    both = Cluster(cluster().brokers, cluster().partitions + cluster(topic="metrics").partitions)
    at = kafka_cluster.places(both)
    assert at["metrics", 0] - at["user-events", 5] > 1
    labels = kafka_cluster.label_columns(both, NEEDED)
    assert {"user-events", "metrics", "broker 1", "up, leads 4"} <= set(labels["text"])
    assert len({(x, y) for x, y in zip(labels["x"], labels["y"], strict=True)}) == len(labels["text"])


def test_too_few_in_sync_replicas_are_marked_in_words_too() -> None:
    labels = kafka_cluster.label_columns(cluster(1, 3), NEEDED)
    assert labels["text"].count("1/3 !") == 6


def test_the_view_follows_the_cluster_and_all_it_draws_is_there(name: str) -> None:
    now = [cluster()]
    view = KafkaCluster(read=lambda: now[0], needed=lambda: NEEDED, name=name)
    wait_until(lambda: "3 of 3 brokers are up" in view.text, 5, "the cluster to be drawn")
    assert missing_columns(view.root) == set()
    assert len(view.source.data["x"]) == 18
    now[0] = cluster(2)
    wait_until(lambda: "Broker 2 is away" in view.text, 5, "the broker to be missed")
    assert f"{look.CROSS} away" in view.labels.data["text"]


def test_a_cluster_that_does_not_answer_is_named_and_found_again(name: str) -> None:
    outcomes: list[Cluster | Exception] = [ServiceUnavailable("Kafka", "broker:1", "connection refused")]

    def read() -> Cluster:
        if isinstance(outcomes[0], Exception):
            raise outcomes[0]
        return outcomes[0]

    view = KafkaCluster(read=read, needed=lambda: NEEDED, name=name)
    wait_until(lambda: "No data yet because Kafka at broker:1" in view.text, 5, "the reason")
    assert view.quiet_because
    outcomes[0] = cluster()
    wait_until(lambda: "3 of 3 brokers are up" in view.text, 5, "the cluster to be found again")
    assert view.quiet_because == ""
