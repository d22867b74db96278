from kernel_lib.records import TopicSpec
from kernel_lib.topics import Partition, TopicDescription, topic_config


def test_a_topic_keeps_seven_days_and_at_most_128_mebibytes_a_partition() -> None:
    config = topic_config(TopicSpec("t"))
    assert (config["retention.ms"], config["retention.bytes"]) == ("604800000", "134217728")


def test_a_compacted_topic_has_no_retention() -> None:
    config = topic_config(TopicSpec("t", compacted=True))
    assert config["cleanup.policy"] == "compact"
    assert "retention.bytes" not in config


def test_only_results_are_stamped_by_the_broker() -> None:
    assert topic_config(TopicSpec("t", append_time=True))["message.timestamp.type"] == "LogAppendTime"
    assert "message.timestamp.type" not in topic_config(TopicSpec("t"))


def test_the_size_of_a_topic_is_that_of_its_partitions() -> None:
    partitions = tuple(Partition(n, 1, (1,), (1,), low=5, high=15) for n in range(3))
    assert TopicDescription("t", partitions).size == 30
