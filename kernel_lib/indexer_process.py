"""Copy a topic into an index, exactly: the process behind `kernel_lib.indexer`.

It reads its order, a line of JSON with the connection (so that no password is on a command line), from
standard input, and writes its figures, a line of JSON, several times a second. The end of standard input, or of the
parent process, ends it.

    main thread:  read ──> batch ──> read the next one meanwhile, listen, report
    worker:                  └──> Elasticsearch ──> dead letters ──> commit the offsets

Offsets are committed after Elasticsearch has the documents. What was written and not committed is written
again, under the same ids.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from kernel_lib import child_process, indices, kafka_client
from kernel_lib.dead_letters import DeadLetters
from kernel_lib.errors import CourseError
from kernel_lib.live import in_one_line
from kernel_lib.records import EVENT_TYPES
from kernel_lib.settings import Settings

BATCH_RECORDS = 5_000
READ_SECONDS = 0.2
COMMIT_SECONDS = 0.5
REPORT_SECONDS = 0.2
RETRY_SECONDS = 0.2
SILENT_SECONDS = 2.0
LOOK_SECONDS = 2.0
# Only what an action line of a bulk request may contain; else the record's place is the id.
_EVENT_ID = re.compile(rb'"eventId"\s*:\s*"([ !#-\[\]-~]{1,512})"')


class Order(msgspec.Struct, frozen=True):
    """What to index; `settings` with the passwords, `topic`, `index` and `group` as short names."""

    settings: dict[str, Any]
    topic: str
    index: str
    group: str
    parent: int


class Stop(msgspec.Struct, frozen=True):
    """A line from the parent: end, and take at most so many seconds for what was begun."""

    seconds: float


class IndexerStats(msgspec.Struct, frozen=True):
    """Figures since the start: documents, attempts to write that failed, and how long Elasticsearch was away for it.

    `committed` is, by partition, the offset up to which all is done, and `lag` how many offsets follow, as far as
    Kafka has told; `problem` is empty when all is well.
    """

    indexed: int
    rejected: int
    retries: int
    outage_seconds: float
    lag: int
    documents_per_second: float
    problem: str
    committed: dict[int, int]

    @property
    def text(self) -> str:
        """One line that says the same."""
        outage = f", {self.outage_seconds:.0f} s without Elasticsearch" if self.outage_seconds else ""
        line = (
            f"{self.indexed:,} indexed, {self.rejected:,} rejected, {self.lag:,} behind{outage}, "
            f"{self.documents_per_second:,.0f} documents/s"
        )
        return f"{line}; {self.problem}" if self.problem else line


class Batch(NamedTuple):
    """Records in the order of their partitions, and the offsets up to which they were read."""

    messages: list[Message]
    ends: dict[int, int]


class Indexing:
    """The way of one topic into one index."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._settings = settings = Settings(**order.settings)
        self._full_name = settings.named(order.topic)
        config = kafka_client.config(settings, kafka_client.Heard(), **reading(settings.named(order.group)))
        self._consumer = Consumer(config)
        # Elasticsearch takes a text for a geohash and a number for a date, and one record that is no JSON object makes
        # it refuse the whole request.
        self._decode = msgspec.json.Decoder[Any](EVENT_TYPES.get(order.topic, dict[str, Any])).decode
        self._worker = ThreadPoolExecutor(1)
        self._stopping = threading.Event()
        self._dead_letters = DeadLetters(order.topic, settings, self._stopping)
        self._deadline = float("inf")
        self._look_due = self._report_due = self._commit_due = 0.0
        self._read_to: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._indexed = self._rejected = self._retries = 0
        self._asked_at = self._outage_since = self._outage_seconds = 0.0
        self._problems: dict[str, str] = {}
        self._recent = deque([(time.monotonic(), 0)])

    def run(self) -> None:
        """Index until somebody says stop."""
        self._tick()
        following = self._read()
        while not self._stopping.is_set():
            work = self._worker.submit(self._finish, following)
            following = self._read()
            self._tick()
            while wait({work}, REPORT_SECONDS).not_done and time.monotonic() < self._deadline:
                self._tick()
            if work.done():
                work.result()
        self._commit()
        self._report()

    def _tick(self) -> None:
        self._listen()
        now = time.monotonic()
        if now >= self._look_due:
            self._look_due = now + LOOK_SECONDS
            self._look()
        if now >= self._report_due:
            self._report_due = now + REPORT_SECONDS
            self._report()

    def _listen(self) -> None:
        if os.getppid() != self._order.parent:
            self._stop(0)
        ready, _, _ = select.select([] if self._stopping.is_set() else [0], [], [], 0)
        if ready:
            line = os.read(0, 65536)
            self._stop(msgspec.json.decode(line, type=Stop).seconds if line else 0)

    def _stop(self, seconds: float) -> None:
        self._deadline = min(self._deadline, time.monotonic() + seconds)
        self._stopping.set()

    def _look(self) -> None:
        """Ask Kafka for partitions that are new; whether it answers is worth knowing too."""
        with self._noted("Kafka"), kafka_client.translated(self._settings, topic=self._order.topic):
            topic = self._consumer.list_topics(self._full_name, timeout=1.0).topics[self._full_name]
            if topic.error:
                raise KafkaException(topic.error)
            new = [TopicPartition(self._full_name, n) for n in topic.partitions if n not in self._read_to]
            if new:
                self._assign(self._consumer.committed(new, kafka_client.ANSWER_SECONDS))

    def _assign(self, new: list[TopicPartition]) -> None:
        # Not as a member of the group: Elasticsearch may be away for longer than a member may be silent, and after
        # a kill -9 the group would keep the partitions of the dead for as long as its session lasts.
        self._committed |= {place.partition: place.offset for place in new if place.offset >= 0}
        self._read_to |= {place.partition: self._committed.get(place.partition, OFFSET_BEGINNING) for place in new}
        self._consumer.assign([TopicPartition(self._full_name, n, offset) for n, offset in self._read_to.items()])

    def _read(self) -> Batch:
        batch = Batch([], {})
        for message in self._consumer.consume(BATCH_RECORDS, timeout=READ_SECONDS):
            error = message.error()
            if error is None:
                batch.messages.append(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                self._problems["Kafka"] = in_one_line(kafka_client.error_for(error, self._settings))
                continue
            # The end of a partition lies behind transaction markers, which are not delivered.
            batch.ends[message.partition() or 0] = (message.offset() or 0) + (error is None)
        self._read_to |= batch.ends
        return batch

    def _finish(self, batch: Batch) -> None:
        """Do with a batch all that is to be done; runs in the worker. What stops it, the next indexer does again."""
        good, bad = self._sorted(batch.messages)
        refused = self._write(good)
        if refused is None:
            return
        bad += [(good[each.position], each.reason) for each in refused]
        if not self._dead_letters.write(bad):
            return
        self._indexed += len(batch.messages) - len(bad)
        self._rejected += len(bad)
        self._done |= batch.ends
        if bad or not batch.messages or time.monotonic() >= self._commit_due:
            self._commit()

    def _sorted(self, messages: list[Message]) -> tuple[list[Message], list[tuple[Message, str]]]:
        """Return the records that Elasticsearch is asked to take, and the others with what is wrong with them."""
        good, bad = [], []
        for message in messages:
            try:
                self._decode(message.value() or b"")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                bad.append((message, str(error)))
            else:
                good.append(message)
        return good, bad

    def _write(self, messages: list[Message]) -> list[indices.Refusal] | None:
        documents = [document(self._order.topic, message) for message in messages]
        while not self._stopping.is_set():
            self._asked_at = time.monotonic()
            try:
                refused = indices.write(self._order.index, documents, settings=self._settings)
            except CourseError as error:
                self._problems["Elasticsearch"] = in_one_line(error)
                self._outage_since = self._outage_since or self._asked_at
                self._retries += 1
                self._stopping.wait(RETRY_SECONDS)
            else:
                self._outage_seconds, self._outage_since = self._outage(), 0.0
                self._problems.pop("Elasticsearch", None)
                return refused
            finally:
                self._asked_at = 0.0
        return None

    def _outage(self) -> float:
        return self._outage_seconds + (time.monotonic() - self._outage_since if self._outage_since else 0.0)

    def _commit(self) -> None:
        self._commit_due = time.monotonic() + COMMIT_SECONDS
        done = dict(self._done)
        places = [TopicPartition(self._full_name, n, end) for n, end in done.items() if self._committed.get(n) != end]
        if places:
            with self._noted("offsets"), kafka_client.translated(self._settings, topic=self._order.topic):
                for place in self._consumer.commit(offsets=places, asynchronous=False) or []:
                    if place.error:
                        raise KafkaException(place.error)
                self._committed |= done

    @contextmanager
    def _noted(self, subject: str) -> Iterator[None]:
        """Keep the problem that comes up inside, or that there is none any more."""
        try:
            yield
        except CourseError as error:
            self._problems[subject] = in_one_line(error)
        else:
            self._problems.pop(subject, None)

    def _report(self) -> None:
        now, indexed, committed = time.monotonic(), self._indexed, dict(self._committed)
        self._recent.append((now, indexed))
        while len(self._recent) > 2 and now - self._recent[1][0] > 1.0:
            self._recent.popleft()
        since, before = self._recent[0]
        rate = (indexed - before) / max(now - since, 0.001)
        stats = IndexerStats(
            indexed,
            self._rejected,
            self._retries,
            self._outage(),
            self._lag(committed),
            rate,
            self._problem(),
            committed,
        )
        child_process.say(stats)

    def _lag(self, committed: dict[int, int]) -> int:
        lag = 0
        for number in self._read_to:
            # What the fetches said; they go on for a while when nothing is consumed.
            low, high = self._consumer.get_watermark_offsets(TopicPartition(self._full_name, number), cached=True)
            lag += max(0, high - max(low, committed.get(number, 0)))
        return lag

    def _problem(self) -> str:
        silent = time.monotonic() - self._asked_at if self._asked_at else 0.0
        if silent > SILENT_SECONDS and "Elasticsearch" not in self._problems:
            return f"Elasticsearch at {self._settings.elasticsearch_url} has not answered for {silent:.0f} s"
        return "; ".join(filter(None, [*self._problems.values(), self._dead_letters.problem]))


def reading(group: str) -> dict[str, Any]:
    """Return how the topic is read: from the group's offsets, or else from its beginning."""
    return {
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "queued.max.messages.kbytes": 16_384,
        "topic.metadata.refresh.interval.ms": 5_000,
    }


def document(topic: str, message: Message) -> tuple[str, bytes]:
    """Return id and text of a record's document: the id is the event's own, or else where the record is."""
    value = message.value() or b""
    found = _EVENT_ID.search(value)
    return found[1].decode() if found else f"{topic}-{message.partition()}-{message.offset()}", value


def main() -> None:
    """Run one order from standard input to its end."""
    Indexing(child_process.first_line(Order)).run()
    # The worker may wait for an answer that takes long: nothing is lost when nobody waits for it.
    os._exit(0)


if __name__ == "__main__":
    main()
