"""Send events at a rate that can be changed while it runs: the process behind `kernel_lib.producer`.

It reads its order, a line of JSON with the connection (so that no password is on a command line), from
standard input, then changes of rate. It answers each with a line. The end of standard input, or of the
parent process, ends it.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as KafkaProducer

from kernel_lib import generators, kafka_client, runs
from kernel_lib.knob_log import KnobLog, Knobs

CHUNK_EVENTS = 500
MOST_IN_FLIGHT = 50_000
MOST_BEHIND_MS = 1_000
_TICK_SECONDS, _ACKNOWLEDGED_SECONDS, _IDLE_SECONDS = 0.01, 0.03, 0.1

# After these nobody knows whether the brokers have the event.
_DOUBTFUL = {
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._TRANSPORT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
}


class Order(msgspec.Struct, frozen=True):
    """What to produce; `topic` is the short name and `full_name` the one with the namespace."""

    connection: dict[str, Any]
    topic: str
    full_name: str
    seed: int
    count: int | None
    events_per_second: float
    parent: int


class Change(msgspec.Struct, frozen=True):
    """A line from the parent: a new rate, or the wish to stop within so many seconds."""

    events_per_second: float | None = None
    stop_seconds: float | None = None


def tuning() -> dict[str, Any]:
    """Return what makes the sends safe and cheap."""
    return {
        "acks": "all",
        "enable.idempotence": True,
        # The same partition for a key as Java clients, Flink among them.
        "partitioner": "murmur2_random",
        # Small batches are what costs processor time with three replicas.
        "linger.ms": 25,
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
        self._stream = generators.stream(order.topic, order.seed)
        self._encode = msgspec.json.Encoder().encode
        self._counters = run.counters(writable=True)
        self._states = run.state_map(0).data
        self._knobs_file = run.knobs_file.open("ab", buffering=0)
        self._log = KnobLog()
        self._sent = self._acknowledged = self._refused = self._in_doubt = 0
        self._end = order.count
        self._deadline: float | None = None
        self._inbox = b""
        self._recent: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._clock_offset = time.time() - time.monotonic()
        config = kafka_client.tuned(order.connection, self._reported) | tuning()
        self._kafka = KafkaProducer(config)

    def run(self) -> None:
        """Send until the count is reached or somebody says stop, and every send has an outcome."""
        self._apply(self._order.events_per_second)
        while not self._finished():
            self._listen()
            self._send_due()
            self._kafka.poll(0)
            self._publish()
        self._publish()

    def _now_ms(self) -> float:
        return (time.monotonic() + self._clock_offset) * 1000

    def _in_flight(self) -> int:
        return self._sent - self._acknowledged - self._refused - self._in_doubt

    def _finished(self) -> bool:
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._kafka.purge()
            self._kafka.flush(1)
            return True
        return self._end is not None and self._sent >= self._end and not self._in_flight()

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
        if knobs.events_per_second <= 0 or self._deadline is not None:
            return longest
        if self._in_flight() >= MOST_IN_FLIGHT:
            return _TICK_SECONDS
        spacing_ms = 1000 / knobs.events_per_second
        next_ms = knobs.at_ms + (self._sent - knobs.index) * spacing_ms
        if next_ms + CHUNK_EVENTS * spacing_ms < now_ms:
            return 0.0
        return min(longest, max(_TICK_SECONDS, (next_ms - now_ms) / 1000))

    def _obey(self, change: Change) -> None:
        if change.stop_seconds is not None:
            self._stop(change.stop_seconds)
        if change.events_per_second is not None:
            self._apply(change.events_per_second)
            answer(self._log.last)

    def _stop(self, seconds: float) -> None:
        self._end = self._sent
        self._deadline = self._deadline or time.monotonic() + seconds

    def _apply(self, events_per_second: float) -> None:
        self._note(Knobs(self._sent, self._now_ms(), events_per_second))
        self._recent = deque([(time.monotonic(), self._sent)])

    def _note(self, knobs: Knobs) -> None:
        self._log.append(knobs)
        self._knobs_file.write(KnobLog.line(knobs))

    def _send_due(self) -> None:
        due = self._log.due(self._now_ms())
        rate = self._log.last.events_per_second
        if due - self._sent > max(1.0, rate * MOST_BEHIND_MS / 1000):
            # More was asked for than could be sent: time goes on without the backlog, and the log says so.
            self._note(Knobs(self._sent, self._now_ms(), rate))
            due = self._sent + 1
        due = due if self._end is None else min(due, self._end)
        count = min(due - self._sent, CHUNK_EVENTS)
        if count > 0 and self._in_flight() < MOST_IN_FLIGHT:
            self._send(count)

    def _send(self, count: int) -> None:
        first = self._sent
        sent_at = int(self._now_ms())
        emission = self._stream.emit(first, count, self._log, run=self._run.id, sent_at=sent_at)
        self._mark_sent(count, np.bincount(emission.types, minlength=runs.MOST_TYPES))
        topic, encode, produce, done = self._order.full_name, self._encode, self._kafka.produce, self._delivered
        for index, (event, key) in enumerate(zip(emission.events, emission.keys, strict=True), first):
            try:
                produce(topic, encode(event), key, on_delivery=partial(done, index))
            except KafkaException as error:
                done(index, error.args[0], None)

    def _mark_sent(self, count: int, types: Any) -> None:
        # Before the first is handed over: killed in between, they are in doubt, never lost.
        if self._sent + count > len(self._states):
            self._states = self._run.state_map(self._sent + count).data
        self._states[self._sent : self._sent + count] = bytes([runs.IN_FLIGHT]) * count
        self._sent += count
        self._counters["sent"][0] = self._sent
        self._counters["types"][0] += types

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
        self._counters["errors"][0] += 1
        self._counters["last_error"][0] = f"{error.name()}: {error.str()}".encode()

    def _publish(self) -> None:
        counters = self._counters
        counters["acknowledged"][0] = self._acknowledged
        counters["refused"][0] = self._refused
        counters["in_doubt"][0] = self._in_doubt
        now = time.monotonic()
        if now - self._recent[-1][0] > 0.1:
            self._recent.append((now, self._sent))
            while len(self._recent) > 2 and now - self._recent[0][0] > 1.1:
                self._recent.popleft()
            since, sent = self._recent[0]
            counters["events_per_second"][0] = (self._sent - sent) / (now - since)


def answer(knobs: Knobs) -> None:
    """Tell the parent what holds now."""
    os.write(1, KnobLog.line(knobs))


def main(folder: str) -> None:
    """Run one order from standard input to its end."""
    with open(0, "rb", buffering=0, closefd=False) as unbuffered:
        line = unbuffered.readline()
    sender = Sender(msgspec.json.decode(line, type=Order), runs.Run(Path(folder)))
    answer(Knobs(0, 0.0, 0.0))
    sender.run()


if __name__ == "__main__":
    main(sys.argv[1])
