"""Own how brokers are asked where partitions begin and end, also while their leaders are elected.

>>> offset_bounds.ask(admin, "user-events", [0, 1])
{0: (0, 1204), 1: (0, 1190)}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from kernel_lib.kafka_client import ANSWER_SECONDS
from kernel_lib.waiting import wait_until

# A leader that has just died answers nothing; another is elected within seconds, and must be asked then.
# Measured after a broker's kill: 8-10 s, when the broker was the active controller too.
ATTEMPT_SECONDS = 1.5
ELECTION_SECONDS = 25.0
_ELECTING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
}


def ask(
    admin: AdminClient, full_name: str, partitions: list[int], *, committed: bool = False
) -> dict[int, tuple[int, int]]:
    """Return (first offset, offset after the last one) of each partition; `committed` ends before open transactions.

    Raises KafkaException, and WaitTimeout where no leader answers.
    """
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    places = [TopicPartition(full_name, number) for number in partitions]
    low = _answer(admin, places, OffsetSpec.earliest(), level)  # type: ignore[no-untyped-call]
    high = _answer(admin, places, OffsetSpec.latest(), level)  # type: ignore[no-untyped-call]
    return {number: (low[full_name, number], high[full_name, number]) for number in partitions}


def ends(admin: AdminClient, partitions: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return the sum of the offsets after the last records of topics (full names), of open transactions too.

    Raises as `ask` does.
    """
    places = [TopicPartition(full_name, number) for full_name, numbers in partitions.items() for number in numbers]
    level = IsolationLevel.READ_UNCOMMITTED
    found = _answer(admin, places, OffsetSpec.latest(), level) if places else {}  # type: ignore[no-untyped-call]
    return {name: sum(found[name, number] for number in numbers) for name, numbers in partitions.items()}


def _answer(
    admin: AdminClient, places: Sequence[TopicPartition], spec: OffsetSpec, level: IsolationLevel
) -> dict[tuple[str, int], int]:
    names = sorted({place.topic for place in places})

    def attempt() -> dict[tuple[str, int], int] | None:
        wanted = dict.fromkeys(places, spec)
        futures = admin.list_offsets(wanted, isolation_level=level, request_timeout=ATTEMPT_SECONDS)
        try:
            found = {(place.topic, place.partition): future.result().offset for place, future in futures.items()}
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING:
                raise
            found = {}
        if found and min(found.values()) >= 0:  # some answers of a dead leader are negative, without an error
            return found
        # Without this, the client goes on asking the leaders that it knew, also when they are dead.
        for name in names:
            admin.list_topics(name, timeout=ANSWER_SECONDS)
        return None

    return wait_until(attempt, ELECTION_SECONDS, f"the leaders of {', '.join(names)}") or {}


def starts(consumer: Consumer, full_name: str, bounds: Mapping[int, tuple[int, int]], since_ms: int) -> dict[int, int]:
    """Return for each partition of `bounds` the offset of its first record that is as young as `since_ms` (epoch).

    A partition without one starts at its end; 0 is the beginning. `bounds` are those that the consumer sees,
    asked for before this: one that reads committed records only has its end before open transactions.
    """
    if not since_ms:
        return {n: low for n, (low, _) in bounds.items()}
    places = [TopicPartition(full_name, n, since_ms) for n in bounds]
    found = {place.partition: place.offset for place in consumer.offsets_for_times(places, ANSWER_SECONDS)}
    # -1 says that nothing is that young.
    return {n: found[n] if found[n] >= 0 else high for n, (_, high) in bounds.items()}
