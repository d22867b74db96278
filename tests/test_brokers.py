import socket

from infra.layout import HOST
from kernel_lib import brokers
from kernel_lib.brokers import AWAY, Broker, Cluster, Partition


def test_a_replica_counts_as_in_sync_only_while_its_broker_is_up() -> None:
    partition = Partition("t", 0, 2, (2, 1), (1, 2))
    cluster = Cluster((Broker(1, "b:1"), Broker(2, "b:2", AWAY)), (partition,))
    assert (cluster.up, cluster.in_sync(partition), cluster.leader(partition)) == ({1}, 1, -1)


def test_the_partitions_of_a_topic_are_told_apart() -> None:
    mine, other = Partition("t", 0, 1, (1,), (1,)), Partition("u", 0, 1, (1,), (1,))
    assert Cluster((), (mine, other)).of("t") == [mine]


def test_a_port_answers_or_does_not(unused_port: int) -> None:
    with socket.create_server((HOST, 0)) as server:
        assert brokers._answers(f"{HOST}:{server.getsockname()[1]}")
    assert not brokers._answers(f"{HOST}:{unused_port}")
