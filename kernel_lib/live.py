"""Own bounded live sources: each has poll(), which never blocks and never raises, stop(), and `problem` in words.

    >>> tail = live.TopicTail("metrics")
    >>> tail.poll()                          # the newest records since the last call, at most `max_records`
    >>> board = live.Poller(services.status, every_seconds=1)
    >>> board.poll()                         # what status() last returned, or None

A source that is made again under the same name stops its predecessor, so that a cell can run twice. One that pictures
`hold` ends with the last of them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, runtime_checkable

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from kernel_lib import kafka_client, shared, topics
from kernel_lib.settings import Settings, load

T = TypeVar("T")

STATISTICS_MS = 2000
_slow_calls = ThreadPoolExecutor(max_workers=4, thread_name_prefix="live")


class Stoppable(Protocol):
    """A live handle."""

    def stop(self) -> None: ...


@runtime_checkable
class Samples(Protocol):
    """A source that passes records over when more come than it reads."""

    @property
    def gap(self) -> str: ...


_handles: dict[str, Stoppable] = {}
_held: dict[object, tuple[Stoppable, ...]] = {}
_holding = threading.Lock()


def register(name: str, handle: Stoppable) -> None:
    """Keep `handle` under `name` and stop what had that name before."""
    predecessor = _handles.pop(name, None)
    if predecessor is not None:
        predecessor.stop()
    _handles[name] = handle


def hold(owner: object, *sources: Stoppable) -> None:
    """Keep `sources` for an owner, in place of those it held before; one that nobody holds any more is stopped."""
    with _holding:
        before = _held.pop(owner, ())
        if sources:
            _held[owner] = sources
        let_go = [each for each in before if not any(each in others for others in _held.values())]
    for source in let_go:
        source.stop()


def stop_all() -> None:
    """Stop every live source of this kernel."""
    while _handles:
        _handles.popitem()[1].stop()


def running() -> list[str]:
    """Return the names of the live sources of this kernel."""
    return sorted(_handles)


class Poller(Generic[T]):
    """Call a function that may block in the background, at most every `every_seconds`, while somebody polls.

    `close` is called once, when the poller is stopped and the function has returned: it may close what that reads.
    """

    def __init__(
        self, function: Callable[[], T], *, every_seconds: float = 1.0, close: Callable[[], object] | None = None
    ) -> None:
        self.problem = ""
        self.begun_at = time.time()
        self.answered_at: float | None = None
        self._function = function
        self._every = every_seconds
        self._due = 0.0
        self._value: T | None = None
        self._call: Future[T] | None = None
        self._close = close
        self._stopped = False

    def poll(self) -> T | None:
        """Return the newest answer, or None before the first one; after a failure `problem` says why."""
        if self._call is not None and self._call.done():
            self._take(self._call)
            self._call = None
        if self._call is None and not self._stopped and time.monotonic() >= self._due:
            self._due = shared.turn(self._every) + self._every  # pictures that read as often read together
            self._call = _slow_calls.submit(self._function)
        return self._value

    def stop(self) -> None:
        """Call the function no more."""
        self._stopped = True
        close, self._close = self._close, None
        if close is not None and self._call is not None:
            self._call.add_done_callback(lambda _: close())
        elif close is not None:
            close()

    def _take(self, call: Future[T]) -> None:
        error = call.exception()
        if error is None:
            self._value, self.problem, self.answered_at = call.result(), "", time.time()
        else:
            self.problem = in_one_line(error)


def in_one_line(error: BaseException) -> str:
    """Return an error as one line of words."""
    return " ".join(str(error).split()) or type(error).__name__


class TopicTail:
    """Follow a topic: the newest records, bounded, without a consumer group.

    `committed` hides records of open and aborted transactions. When more than `max_records` a
    partition wait unread, the oldest are passed over and counted in `skipped`, markers of transactions
    too: a tail shows what is new, it does not read everything. Raises ServiceUnavailable or NotFound when it starts.
    """

    def __init__(
        self,
        topic: str,
        *,
        max_records: int = 2000,
        committed: bool = True,
        since: Literal["end", "beginning"] = "end",
        name: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or load()
        self.topic = topic
        self.max_records = max_records
        self.skipped = 0
        self.skipped_at = 0.0
        self.last_record_at: float | None = None
        self.problem = ""
        self._heard = kafka_client.Heard()
        description = topics.describe(topic, settings=self.settings)
        self._consumer: Consumer | None = Consumer(self._configuration(committed))
        self._consumer.assign(
            [
                TopicPartition(self.settings.named(topic), p.number, p.high if since == "end" else p.low)
                for p in description.partitions
            ]
        )
        self._reading = threading.Lock()  # librdkafka's consumer must not be closed while another thread reads
        self._name = name or f"tail of {self.settings.named(topic)}"
        register(self._name, self)

    @property
    def gap(self) -> str:
        """How many records were passed over so far, in a sentence; "" if none was."""
        return gap_sentence(self.topic, self.skipped, self.skipped_at)

    def poll(self) -> list[kafka_client.Record]:
        """Return the records that arrived since the last call, oldest first; never blocks, never raises."""
        with self._reading:
            return self._read(self._consumer) if self._consumer is not None else []

    def _read(self, consumer: Consumer) -> list[kafka_client.Record]:
        messages = consumer.consume(self.max_records, timeout=0)
        records = [kafka_client.Record.from_message(message) for message in messages if self._readable(message)]
        if records:
            self.last_record_at = time.time()
        if len(messages) == self.max_records:
            self._pass_over(consumer)
        return records

    def stop(self) -> None:
        """Leave the topic; poll() returns nothing from now on."""
        with self._reading:
            consumer, self._consumer = self._consumer, None
            if consumer is not None:
                consumer.close()
        if _handles.get(self._name) is self:
            del _handles[self._name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def _readable(self, message: Message) -> bool:
        error = message.error()
        if error is not None:
            self._noted(error)
        return error is None

    def _pass_over(self, consumer: Consumer) -> None:
        for at in consumer.position(consumer.assignment()):
            _, high = consumer.get_watermark_offsets(at, cached=True)
            behind = high - at.offset
            if at.offset >= 0 and behind > self.max_records:
                self.skipped, self.skipped_at = self.skipped + behind, time.time()
                consumer.seek(TopicPartition(at.topic, at.partition, high))

    def _configuration(self, committed: bool) -> dict[str, Any]:
        return kafka_client.config(self.settings, self._heard) | {
            "group.id": self.settings.named("live"),  # librdkafka wants one; nothing is committed to it
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "fetch.wait.max.ms": 200,  # short waits cost the brokers CPU and bring nothing at 5 pictures a second
            "queued.max.messages.kbytes": 4096,
            "topic.metadata.refresh.interval.ms": 5000,  # how soon a deleted topic is missed
            "statistics.interval.ms": STATISTICS_MS,
            "stats_cb": self._statistics,
        }

    def _statistics(self, text: str) -> None:
        statistics = json.loads(text)
        brokers = [broker for broker in statistics["brokers"].values() if broker["nodeid"] >= 0]
        if not any(broker["state"] == "UP" for broker in brokers):
            away = f"Kafka at {self.settings.kafka_bootstrap_servers} is away"
            self.problem = (self._heard.refused_login or away) if brokers else ""
        elif _all_unknown(statistics["topics"].get(self.settings.named(self.topic), {"partitions": {}})):
            self.problem = in_one_line(kafka_client.unknown_topic(self.settings, self.topic))
        else:
            self.problem = ""
            self._heard.forget()

    def _noted(self, error: KafkaError) -> None:
        self.problem = in_one_line(kafka_client.error_for(error, self.settings, topic=self.topic))


def gap_sentence(topic: str, skipped: int, at: float) -> str:
    """Return how many records of a topic were not read, the last of them `at` (epoch s); "" if none."""
    if not skipped:
        return ""
    return (
        f"Up to {skipped:,} records of {topic} were passed over, the last at {clock_time(at)}: "
        "more came than a picture reads."
    )


def _all_unknown(topic: dict[str, Any]) -> bool:
    # Partition -1 is librdkafka's own place for records without one.
    known = [part for number, part in topic["partitions"].items() if number != "-1"]
    return bool(known) and all(part["unknown"] for part in known)


class Runs(Protocol):
    """A producer."""

    @property
    def alive(self) -> bool: ...


class HasState(Protocol):
    """A job."""

    name: str

    def state(self) -> str: ...


def why_quiet(source: Runs, job: HasState) -> Callable[[], str]:
    """Return a function that says why a job's results stand still: the job, or what feeds it."""
    state = Poller(job.state, every_seconds=2.0)

    def reason() -> str:
        now = state.poll()
        if state.problem:
            return state.problem
        if now not in (None, "RUNNING"):
            return f"job {job.name} is {now}"
        return "no window closes" if source.alive else "its producer has stopped, so no later event closes a window"

    return reason


def clock_time(epoch_seconds: float) -> str:
    """Return a time of day in UTC, which all pictures use, as people read it."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%H:%M:%S UTC")
