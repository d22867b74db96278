"""Start and stop indexers: each copies a topic into an Elasticsearch index, in a process of its own.

    >>> copy = indexer.start("user-events")
    >>> copy.wait_caught_up(timeout_seconds=60)
    >>> print(copy.stats.text)
    6,000 indexed, 0 rejected, 0 behind, 1,180 documents/s
    >>> indices.count("user-events")
    6000
    >>> copy.stop()

Every record becomes one document, whatever dies in between: its id is the event's `eventId` or the record's place,
and offsets are committed after Elasticsearch has the documents. While Elasticsearch is away the indexer waits. A
record that is no event of its topic, or that Elasticsearch does not take, goes to the topic `dead-letters` with the
reason; after a kill a dead letter may come twice, and its topic, partition and offset tell. Starting the same topic
and index again replaces the predecessor, so a cell can be run twice. An indexer ends with the process that started
it, also when that is killed.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import threading
from collections import deque
from types import TracebackType
from typing import Any, Self

import msgspec
from pydantic import SecretStr

from kernel_lib import dead_letters, groups, indices, mappings, topics
from kernel_lib.child_process import Child
from kernel_lib.errors import CourseError, IndexerFailed, WaitTimeout
from kernel_lib.indexer_process import IndexerStats, Order, Stop
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

START_SECONDS = 30.0


class Indexer:
    """An indexer process."""

    def __init__(self, order: Order, settings: Settings) -> None:
        self.topic, self.index, self.group = order.topic, order.index, order.group
        self._settings = settings
        self._child = Child("kernel_lib.indexer_process", stderr=subprocess.STDOUT)
        self._reported: IndexerStats | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._reader = threading.Thread(target=self._listen, name=f"indexer of {self.topic}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._child.alive

    @property
    def stats(self) -> IndexerStats:
        """What it last reported, at most half a second ago; costs microseconds."""
        assert self._reported
        if self.alive:
            return self._reported
        problem = self._ending() or self._reported.problem
        return msgspec.structs.replace(self._reported, documents_per_second=0.0, problem=problem)

    def wait_caught_up(self, timeout_seconds: float = 60.0) -> IndexerStats:
        """Wait until all that is in the topic now is indexed, or dead letters, and its offsets are committed.

        Records of open transactions do not count. Raises IndexerFailed if the process is gone, and WaitTimeout.
        """
        ends = topics.offsets(self.topic, settings=self._settings)
        try:
            wait_until(lambda: self._has_reached(ends), timeout_seconds, f"the indexer of {self.topic} to catch up")
        except WaitTimeout as error:
            raise WaitTimeout(error.what, cause=self.stats.text, remedy="./course status") from None
        return self.stats

    def stop(self, timeout_seconds: float = 10.0) -> IndexerStats:
        """Read no more, give the documents on their way `timeout_seconds`, and return the final figures.

        Whatever is not finished then, the next indexer of this topic does.
        """
        _forget(self)
        if self.alive:
            self._child.tell(Stop(timeout_seconds))
            self._child.end_within(timeout_seconds + 3)
        self._close()
        return self.stats

    def kill(self) -> IndexerStats:
        """End the process with SIGKILL: what it had not committed, the next indexer of this topic writes again."""
        _forget(self)
        self._end()
        return self.stats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Indexer of {self.topic} into {self.index}: {self.stats.text}>"

    def _begin(self, order: Order) -> None:
        self._child.tell(order)
        wait_until(
            lambda: self._reported or not self.alive,
            START_SECONDS,
            f"the indexer of {self.topic}",
            interval_seconds=0.02,
        )
        if not self.alive:
            raise self._failed()

    def _has_reached(self, ends: dict[int, tuple[int, int]]) -> bool:
        if not self.alive:
            raise self._failed()
        committed = self.stats.committed
        return all(committed.get(number, low) >= high for number, (low, high) in ends.items())

    def _listen(self) -> None:
        for line in self._child.output:
            try:
                self._reported = msgspec.json.decode(line, type=IndexerStats)
            except msgspec.DecodeError:  # what Python says when the process fails
                self._said.append(line.decode(errors="replace").strip())

    def _end(self) -> None:
        self._child.kill()
        self._close()

    def _close(self) -> None:
        self._reader.join()  # its end is that of the process
        self._child.close()

    def _ending(self) -> str:
        code = self._child.exit_code
        return ": ".join([f"it ended with code {code}", *list(self._said)[-1:]]) if code else ""

    def _failed(self) -> IndexerFailed:
        return IndexerFailed(
            f"The indexer of {self.topic} does not run any more.",
            cause=self._ending() or "it was stopped",
            remedy=f"indexer.start({self.topic!r})",
        )


_registry: dict[tuple[str, str, str], Indexer] = {}


def start(topic: str, index: str = "", *, settings: Settings | None = None) -> Indexer:
    """Start a process that copies the topic into the index, from where the last one ended; replaces a predecessor.

    The index has the topic's name unless given; one that does not exist is made, with the mappings of
    `kernel_lib.mappings` as its template, and then the topic is read from its beginning. Raises NotFound for an
    unknown topic, ServiceUnavailable, AuthenticationFailed, PermissionRefused, IndexerFailed, and CourseError when
    the index has other types already.
    """
    settings = settings or load()
    index = index or topic
    group = f"indexer.{topic}" if index == topic else f"indexer.{topic}.{index}"
    topics.offsets(topic, settings=settings)
    is_new = index not in indices.list_names(settings=settings)
    key = (settings.namespace, topic, index)
    if key in _registry:
        _registry[key].stop()
    if is_new:
        # The documents that its offsets stand for went with the index.
        groups.forget(group, settings=settings)
    indices.put_template(index, mappings.of_topic(topic), settings=settings)
    topics.create(dead_letters.TOPIC, append_time=True, settings=settings)
    started = _launch(Order(_revealed(settings), topic, index, group, os.getpid()), settings)
    _registry[key] = started
    return started


def running() -> list[Indexer]:
    """Return the indexers that this process started and that still run."""
    return [each for each in _registry.values() if each.alive]


def stop_all() -> None:
    """Stop every indexer that this process started."""
    for each in list(_registry.values()):
        each.stop()


def _revealed(settings: Settings) -> dict[str, Any]:
    secrets = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    return settings.model_dump(mode="json") | secrets


def _launch(order: Order, settings: Settings) -> Indexer:
    started = Indexer(order, settings)
    try:
        started._begin(order)
    except CourseError:
        started._end()
        raise
    return started


def _forget(indexer: Indexer) -> None:
    for key in [key for key, value in _registry.items() if value is indexer]:
        del _registry[key]


atexit.register(stop_all)
