"""Start, steer and stop producers; each is an operating-system process of its own.

    >>> producer.alone("user-events")  # raises while another notebook sends into it
    >>> shop = producer.start("user-events", events_per_second=100, seed=1)
    >>> shop.set(events_per_second=500, late_share=0.1).milliseconds
    4.2
    >>> print(shop.stats.text)
    1,204 sent, 1,190 acknowledged, 0 refused, 0 in doubt, 14 in flight, 500 events/s
    >>> shop.stop()

Starting the same topic again replaces the predecessor, so a cell can be run twice. A producer ends with
the process that started it, also when that is killed. What became of each event is in its run's folder.
"""

from __future__ import annotations

import atexit
import math
import os
import secrets
import select
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
from confluent_kafka import Producer as KafkaProducer

from kernel_lib import generators, kafka_client, knob_log, runs
from kernel_lib.child_process import Child
from kernel_lib.errors import ConfigurationError, ProducerFailed, WaitTimeout
from kernel_lib.producer_process import TICK_SECONDS, Answer, Change, Order
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

ANSWER_SECONDS = 10.0
START_SECONDS = 20.0
# A producer whose notebook has ended finishes its open sends.
LEAVING_SECONDS = 5.0


@dataclass(frozen=True)
class Applied:
    """Knobs that are in force: from which event on, and how many milliseconds that took."""

    knobs: dict[str, Any]
    index: int
    milliseconds: float


@dataclass(frozen=True)
class ProducerStats:
    """Figures of a run; `sent` = acknowledged + refused + in_doubt + in_flight. What was withheld is not sent."""

    sent: int
    acknowledged: int
    refused: int
    in_doubt: int
    in_flight: int
    withheld: int
    events_per_second: float
    errors: int
    last_error: str
    by_type: dict[str, int]

    @property
    def text(self) -> str:
        """One line that says the same."""
        line = (
            f"{self.sent:,} sent, {self.acknowledged:,} acknowledged, {self.refused:,} refused, "
            f"{self.in_doubt:,} in doubt, {self.in_flight:,} in flight, {self.events_per_second:,.0f} events/s"
        ) + (f", {self.withheld:,} withheld" if self.withheld else "")
        return f"{line}; {self.errors:,} errors, the last: {self.last_error}" if self.errors else line


class Producer:
    """A producer process and its run; `name` tells producers of one topic apart."""

    def __init__(self, topic: str, name: str, run: runs.Run, child: Child) -> None:
        self.topic, self.name = topic, name
        self.run = run.id
        self.folder = run.folder
        self._run = run
        self._child = child
        self._lock = threading.Lock()
        self._changes = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._child.alive

    def set(self, **knobs: Any) -> Applied:
        """Turn knobs, and return when they are in force; the others stay. A rate of 0 pauses.

        `knobs` are those of `knob_log.Knobs`. Raises ConfigurationError for one that this stream does not have or a
        value that it cannot have, and ProducerFailed if the process is gone.
        """
        return self._change(knobs, None)

    def burst(self, *, events_per_second: float, seconds: float) -> Applied:
        """Send at another rate for some seconds, then at the present one again; returns when the burst has begun.

        A rate that is set meanwhile ends the burst. Raises as `set` does.
        """
        if not 0 < seconds < math.inf:
            raise ConfigurationError(f"A burst cannot last {seconds} seconds.", remedy="give a finite time above 0")
        return self._change({"events_per_second": events_per_second}, seconds)

    @property
    def stats(self) -> ProducerStats:
        """What happened so far; costs microseconds, whatever the process does."""
        return stats_of(self._run, alive=self.alive, event_types=generators.event_types(self.topic))

    def wait(self, timeout_seconds: float = 60.0) -> ProducerStats:
        """Wait until a producer with a `count` has sent all and every send has an outcome.

        Raises WaitTimeout, and ProducerFailed if the process ended by an error.
        """
        wait_until(lambda: not self.alive, timeout_seconds, f"producer {self.run} to finish", interval_seconds=0.02)
        if self._child.exit_code:
            raise self._failed()
        return self.stats

    def stop(self, timeout_seconds: float = 10.0) -> ProducerStats:
        """Send no more, give open sends `timeout_seconds` for their outcome, and return the final figures."""
        _forget(self)
        if self.alive:
            with self._lock:
                self._child.tell(Change(stop_seconds=timeout_seconds))
            self._child.end_within(timeout_seconds + 3)
        self._child.close()
        return self.stats

    def kill(self) -> ProducerStats:
        """End the process with SIGKILL: what was on its way is in doubt."""
        _forget(self)
        self._child.kill()
        self._child.close()
        return self.stats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Producer {self.run} of {self.topic}: {self.stats.text}>"

    def _change(self, knobs: dict[str, Any], burst_seconds: float | None) -> Applied:
        started = time.monotonic()
        checked = knob_log.checked(knobs, generators.knobs(self.topic))
        with self._lock:
            self._changes += 1
            self._tell(Change(self._changes, checked, burst_seconds))
            answer = self._answer(ANSWER_SECONDS)
            while answer.number != self._changes:  # answers to calls that were interrupted
                answer = self._answer(ANSWER_SECONDS)
        return Applied(checked, answer.index, (time.monotonic() - started) * 1000)

    def _tell(self, line: msgspec.Struct) -> None:
        if not self._child.tell(line):
            raise self._failed()

    def _answer(self, seconds: float) -> Answer:
        ready, _, _ = select.select([self._child.output], [], [], seconds)
        line = self._child.output.readline() if ready else b""
        if not line:
            raise self._failed() if ready else WaitTimeout(f"Waited {seconds:g} s for producer {self.run} to answer.")
        return msgspec.json.decode(line, type=Answer)

    def _failed(self) -> ProducerFailed:
        said = self._run.log_file.read_text(errors="replace").strip().splitlines()
        ending = f"it ended with code {self._child.exit_code}"
        return ProducerFailed(
            f"Producer {self.run} of {self.topic} does not run any more.",
            cause=f"{ending}: {said[-1]}" if said else ending,
            remedy=f"producer.start({self.topic!r}); its log is {self._run.log_file}",
        )


_registry: dict[tuple[str, str, str], Producer] = {}


def start(
    topic: str,
    *,
    events_per_second: float = 100.0,
    seed: int = 1,
    count: int | None = None,
    name: str = "",
    tick_seconds: float = TICK_SECONDS,
    settings: Settings | None = None,
    **knobs: Any,
) -> Producer:
    """Start a process that sends the topic's events; replaces one started before with the same `name`.

    Sends for ever, or `count` events: each `tick_seconds` all that is due. Fewer, larger sends cost producers, brokers
    and readers less, and events come later. `knobs` are those of `knob_log.Knobs`. Raises NotFound for a topic that
    does not exist or has no generator, ConfigurationError for a knob that it does not have or a value that it
    cannot have, ServiceUnavailable, AuthenticationFailed, ProducerFailed.
    """
    settings = settings or load()
    checked = knob_log.checked({"events_per_second": events_per_second, **knobs}, generators.knobs(topic))
    partitions = _partitions(topic, settings)
    key = (settings.namespace, topic, name)
    if key in _registry:
        _registry[key].stop()
    connection, full_name = settings.kafka_client(), settings.named(topic)
    order = Order(connection, topic, full_name, seed, partitions, count, checked, os.getpid(), tick_seconds)
    started = _launch(order, settings.namespace, name)
    _registry[key] = started
    return started


def running(name: str | None = None) -> list[Producer]:
    """Return the producers that this process started and that still run, all or those of a name."""
    return [each for (_, _, own), each in _registry.items() if each.alive and name in (None, own)]


def alone(topic: str, *, settings: Settings | None = None, within_seconds: float = LEAVING_SECONDS) -> None:
    """Make sure that no other process, such as a notebook left open, sends into the topic: its events would count too.

    Raises ConfigurationError if one still does after `within_seconds`.
    """
    settings = settings or load()
    try:
        wait_until(lambda: not _others(topic, settings), within_seconds, f"{topic} to be left alone")
    except WaitTimeout as error:
        processes = ", ".join(str(run.identity.pid) for run in _others(topic, settings))
        raise ConfigurationError(
            f"Another notebook sends events into {topic}, and they would be counted here too.",
            cause=f"its producer is process {processes}",
            remedy="press the button at the end of the other notebook, or shut its kernel down",
        ) from error


def _others(topic: str, settings: Settings) -> list[runs.Run]:
    own = {each.run for each in running()}
    return [run for run in runs.living(topic, settings.namespace) if run.id not in own]


def stop_all() -> None:
    """Stop every producer that this process started."""
    for each in list(_registry.values()):
        each.stop()


def stats_of(run: runs.Run, *, alive: bool, event_types: tuple[str, ...]) -> ProducerStats:
    """Return the figures of a run from its files, also after its process died."""
    counters = run.counters()[0]
    withheld = int(counters["withheld"])
    sent = int(counters["numbered"]) - withheld
    acknowledged, refused, in_doubt = (int(counters[n]) for n in ("acknowledged", "refused", "in_doubt"))
    if not alive:
        # The counters are a moment older than the states when the process was killed.
        outcome = np.bincount(run.states(), minlength=runs.WITHHELD + 1)
        withheld = int(outcome[runs.WITHHELD])
        sent = int(outcome.sum()) - withheld
        acknowledged, refused = int(outcome[runs.ACKNOWLEDGED]), int(outcome[runs.REFUSED])
        in_doubt = sent - acknowledged - refused
    return ProducerStats(
        sent,
        acknowledged,
        refused,
        in_doubt,
        sent - acknowledged - refused - in_doubt,
        withheld,
        float(counters["events_per_second"]) if alive else 0.0,
        int(counters["errors"]),
        bytes(counters["last_error"]).decode(errors="replace"),
        dict(zip(event_types, counters["types"].tolist(), strict=False)),
    )


def _partitions(topic: str, settings: Settings) -> int:
    heard = kafka_client.Heard()
    with kafka_client.translated(settings, heard, topic=topic):
        client = KafkaProducer(kafka_client.config(settings, heard))
        return len(kafka_client.reach(client, settings, heard, topic=topic).topics[settings.named(topic)].partitions)


def _launch(order: Order, namespace: str, name: str) -> Producer:
    now_ms = time.time_ns() // 1_000_000
    run = runs.Run.create(np.base_repr(now_ms, 36).lower() + secrets.token_hex(2))
    run.counters(writable=True)
    with run.log_file.open("wb") as log:
        child = Child("kernel_lib.producer_process", str(run.folder), stderr=log)
    run.write_identity(runs.Identity(run.id, order.topic, namespace, order.seed, now_ms, child.pid, order.partitions))
    started = Producer(order.topic, name, run, child)
    started._tell(order)
    started._answer(START_SECONDS)
    return started


def _forget(producer: Producer) -> None:
    for key in [key for key, value in _registry.items() if value is producer]:
        del _registry[key]


atexit.register(stop_all)
