"""Send events with knobs that can be turned while it runs: the process behind `kernel_lib.producer`.

It reads its order, a line of JSON with the connection (so that no password is on a command line), from
standard input, then changes of knobs. It answers each with a line. The end of standard input, or of the
parent process, ends it.
"""

from __future__ import annotations

import gc
import math
import os
import select
import sys
import time
from collections import deque
from itertools import compress
from pathlib import Path
from types import MethodType
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as KafkaProducer

from kernel_lib import child_process, generators, kafka_client, runs
from kernel_lib.generators.streams import Emission
from kernel_lib.knob_log import KnobLog, Knobs

CHUNK_EVENTS = 10_000
MOST_IN_FLIGHT = 50_000
MOST_BEHIND_MS = 1_000
# What costs brokers is less the events than how often they are sent: 300 events/s took 59 % of a core with ticks of
# 35 ms, 24 with these. No picture is redrawn more often than every 250 ms.
TICK_SECONDS = 0.1
_FLUSH_SECONDS, _ROOM_SECONDS, _ACKNOWLEDGED_SECONDS, _IDLE_SECONDS = 0.005, 0.01, 0.03, 0.1

# After these nobody knows whether the brokers have the event.
_DOUBTFUL = {
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._TRANSPORT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
}

# librdkafka's own words for this speak of its own end.
_PARTITION_GONE = "the partition this event waited for is gone: was its topic deleted?"


class Order(msgspec.Struct, frozen=True):
    """What to produce; `topic` is the short name, `full_name` the one with the namespace; `knobs` are by name.

    All that is due is handed over each `tick_seconds`, and sent at once.
    """

    connection: dict[str, Any]
    topic: str
    full_name: str
    seed: int
    partitions: int
    count: int | None
    knobs: dict[str, Any]
    parent: int
    tick_seconds: float = TICK_SECONDS


class Change(msgspec.Struct, frozen=True):
    """A line from the parent: knobs by name, perhaps for some seconds only; or the wish to stop within some seconds.

    `number` is repeated in the answer.
    """

    number: int = 0
    knobs: dict[str, Any] = {}
    burst_seconds: float | None = None
    stop_seconds: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """A line to the parent: change `number` is in force from event `index` on."""

    number: int
    index: int


def tuning() -> dict[str, Any]:
    """Return what makes the sends safe and cheap."""
    return {
        "acks": "all",
        "enable.idempotence": True,
        # The same partition for a key as Java clients, Flink among them.
        "partitioner": "murmur2_random",
        # Small batches are what costs processor time with three replicas. It is waited for them only while more is due
        # than could be sent yet: what a tick hands over is flushed.
        "linger.ms": 60,
        "batch.num.messages": 10_000,
        "compression.type": "lz4",
        "queue.buffering.max.messages": 2 * MOST_IN_FLIGHT,
        # A paused broker loses its leaderships after 9 s, a restarted one comes back in 10: neither should
        # cost an event.
        "delivery.timeout.ms": 120_000,
    }


class Sender:
    """The events of one run, from the first to the last acknowledgement."""

    def __init__(self, order: Order, run: runs.Run) -> None:
        self._order, self._run = order, run
        self._stream = generators.stream(order.topic, order.seed, order.partitions)
        self._counters = run.counters(writable=True)[0]
        self._states = run.state_map(0).data
        self._knobs_file = run.knobs_file.open("ab", buffering=0)
        self._log = KnobLog()
        self._numbered = self._acknowledged = self._refused = self._in_doubt = self._withheld = 0
        self._end = order.count
        self._next_tick, self._more_is_due = 0.0, False
        self._deadline: float | None = None
        self._burst_ends, self._rate_after_burst = math.inf, 0.0
        self._inbox = b""
        self._recent: deque[tuple[float, int]] = deque()
        self._clock_offset = time.time() - time.monotonic()
        config = kafka_client.tuned(order.connection, self._reported) | tuning()
        self._kafka = KafkaProducer(config)

    def run(self) -> None:
        """Send until the count is reached or somebody says stop, and every send has an outcome."""
        self._note(msgspec.convert({"index": 0, "at_ms": self._now_ms()} | self._order.knobs, Knobs))
        child_process.say(Answer(0, 0))  # whoever hears it may read the knobs
        while not self._finished():
            self._listen()
            self._follow_the_clock()
            self._send_due()
            self._kafka.poll(0)
            self._publish()
        self._publish()

    def _now_ms(self) -> float:
        return (time.monotonic() + self._clock_offset) * 1000

    def _in_flight(self) -> int:
        return self._sent() - self._acknowledged - self._refused - self._in_doubt

    def _sent(self) -> int:
        return self._numbered - self._withheld

    def _finished(self) -> bool:
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._kafka.purge()
            self._kafka.flush(1)
            return True
        return self._end is not None and self._numbered >= self._end and not self._in_flight()

    def _listen(self) -> None:
        if os.getppid() != self._order.parent:
            self._stop(2)
        # Once stopping, standard input is at its end and would always be ready.
        ready, _, _ = select.select([0] if self._deadline is None else [], [], [], self._patience())
        if not ready:
            return
        received = os.read(0, 65536)
        if not received:
            self._stop(2)
        *lines, self._inbox = (self._inbox + received).split(b"\n")
        for line in lines:
            self._obey(msgspec.json.decode(line, type=Change))

    def _patience(self) -> float:
        longest = _ACKNOWLEDGED_SECONDS if self._in_flight() else _IDLE_SECONDS
        knobs, now_ms = self._log.last, self._now_ms()
        if knobs.rate <= 0 or self._numbered == self._end:
            return longest
        if self._more_is_due:
            return _ROOM_SECONDS if self._in_flight() >= MOST_IN_FLIGHT else 0.0
        next_ms = knobs.at_ms + (self._numbered - knobs.index) * 1000 / knobs.rate
        return min(longest, max(0.0, self._next_tick - time.monotonic(), (next_ms - now_ms) / 1000))

    def _obey(self, change: Change) -> None:
        if change.stop_seconds is not None:
            self._stop(change.stop_seconds)
        else:
            self._apply(change)
            child_process.say(Answer(change.number, self._numbered))

    def _stop(self, seconds: float) -> None:
        self._end = self._numbered
        self._deadline = self._deadline or time.monotonic() + seconds

    def _apply(self, change: Change) -> None:
        self._catch_up()
        if change.burst_seconds is not None:
            if self._burst_ends == math.inf:
                self._rate_after_burst = self._log.last.events_per_second
            self._burst_ends = time.monotonic() + change.burst_seconds
        elif "events_per_second" in change.knobs:
            self._burst_ends = math.inf
        self._note(msgspec.convert(msgspec.to_builtins(self._as_of_now()) | change.knobs, Knobs))

    def _follow_the_clock(self) -> None:
        if time.monotonic() > self._burst_ends:
            self._catch_up()
            self._burst_ends = math.inf
            self._note(msgspec.structs.replace(self._as_of_now(), events_per_second=self._rate_after_burst))
        elif self._now_ms() > self._log.last.ends_ms:
            self._note(self._as_of_now())

    def _catch_up(self) -> None:
        """Send what is due before other knobs hold, without waiting for the tick."""
        if not self._more_is_due:
            self._next_tick = 0.0
            self._send_due()

    def _as_of_now(self) -> Knobs:
        return msgspec.structs.replace(self._log.last, index=self._numbered, at_ms=self._now_ms())

    def _note(self, knobs: Knobs) -> None:
        if knobs.events_per_second != (self._log.last.events_per_second if self._log.entries else None):
            self._recent = deque([(time.monotonic(), self._sent())])
        self._log.append(knobs)
        self._knobs_file.write(KnobLog.line(knobs))

    def _send_due(self) -> None:
        if time.monotonic() < self._next_tick:
            return
        due = self._log.due(self._now_ms())
        if due - self._numbered > max(1.0, self._log.last.rate * MOST_BEHIND_MS / 1000):
            # More was asked for than could be sent: time goes on without the backlog, and the log says so.
            self._note(self._as_of_now())
            due = self._log.due(self._now_ms())
        due = due if self._end is None else min(due, self._end)
        count = min(due - self._numbered, CHUNK_EVENTS)
        if count > 0 and self._in_flight() < MOST_IN_FLIGHT:
            self._send(count)
            if self._numbered == due:
                self._next_tick = time.monotonic() + self._order.tick_seconds
                self._kafka.flush(_FLUSH_SECONDS)
        self._more_is_due = self._numbered < due

    def _send(self, count: int) -> None:
        first = self._numbered
        emission = self._stream.emit(first, count, self._log, run=self._run.id, sent_at=int(self._now_ms()))
        self._mark(count, emission)
        # Half the time of produce_batch, which looks for six names in a dict for each event.
        produce, topic, delivered = self._kafka.produce, self._order.full_name, self._delivered
        events = zip(range(first, first + count), emission.values, emission.keys, strict=True)
        for index, value, key in compress(events, (~emission.withheld).tolist()):
            try:
                produce(topic, value, key, -1, MethodType(delivered, index))
            except KafkaException as refusal:
                delivered(index, refusal.args[0], None)

    def _mark(self, count: int, emission: Emission) -> None:
        # Before the first is handed over: killed in between, they are in doubt, never lost.
        if self._numbered + count > len(self._states):
            self._states = self._run.state_map(self._numbered + count).data
        states = np.where(emission.withheld, runs.WITHHELD, runs.IN_FLIGHT).astype(np.uint8)
        self._states[self._numbered : self._numbered + count] = states.tobytes()
        self._numbered += count
        self._withheld += int(np.count_nonzero(emission.withheld))
        self._counters["numbered"] = self._numbered
        self._counters["withheld"] = self._withheld
        self._counters["types"] += np.bincount(emission.types[~emission.withheld], minlength=runs.MOST_TYPES)

    def _delivered(self, index: int, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            self._acknowledged += 1
            self._states[index] = runs.ACKNOWLEDGED
        elif error.code() in _DOUBTFUL:
            self._in_doubt += 1
            self._states[index] = runs.IN_DOUBT
            self._reported(error)
        else:
            self._refused += 1
            self._states[index] = runs.REFUSED
            self._reported(error)

    def _reported(self, error: KafkaError) -> None:
        text = _PARTITION_GONE if error.code() == KafkaError._DESTROY else error.str()
        self._counters["errors"] += 1
        self._counters["last_error"] = f"{error.name()}: {text}".encode()

    def _publish(self) -> None:
        counters = self._counters
        counters["acknowledged"] = self._acknowledged
        counters["refused"] = self._refused
        counters["in_doubt"] = self._in_doubt
        now = time.monotonic()
        if now - self._recent[-1][0] > 0.1:
            self._recent.append((now, self._sent()))
            while len(self._recent) > 2 and now - self._recent[0][0] > 1.1:
                self._recent.popleft()
            since, sent = self._recent[0]
            counters["events_per_second"] = (self._sent() - sent) / (now - since)


def main(folder: str) -> None:
    """Run one order from standard input to its end."""
    order = child_process.first_line(Order)
    # Fifty thousand sends in flight are no garbage; looking through them again and again took a microsecond an event.
    gc.disable()
    sender = Sender(order, runs.Run(Path(folder)))
    sender.run()


if __name__ == "__main__":
    main(sys.argv[1])
