"""Check the exercise of lesson 08: settings with which windows close although a partition has fallen silent."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from kernel_lib import jobs, lessons, live, producer, runs, task_metrics, topics, window_counts
from kernel_lib.errors import WaitTimeout
from kernel_lib.exercises import trial
from kernel_lib.job import Job
from kernel_lib.lessons import Verdict, not_checked, not_yet, right
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load
from kernel_lib.timestamps import epoch_ms
from kernel_lib.waiting import wait_until

RATE = 120
# One event in ten happened one to three seconds before the usual tenth of a second.
DELAYS: dict[str, Any] = {"delay_ms": 100, "jitter_ms": 30, "late_share": 0.1, "late_ms": 2000}
WINDOW = timedelta(seconds=1)
LIMIT_SECONDS = 10
SPEAKING_SECONDS = 2
JUDGED_WINDOWS = 2
SHORTEST_IDLE_SECONDS = 0.001
# What a result takes beside what the settings ask for: a checkpoint, and the way into the topic.
REST_SECONDS = 4


@dataclass(frozen=True)
class Seen:
    """What a run showed: the silent partition, since when (epoch s), and where the watermark was at the end (epoch s).

    `waits`: for each window that ended after the silence began, how many seconds after its end the result was written;
    None if it was not. `sent` events were due in the windows that closed; `dropped` of them are in no result.
    """

    partition: int
    silent_at: float
    ended_at: float
    watermark_at: float | None
    waits: Sequence[float | None]
    sent: int
    dropped: int


def moving_watermark(
    out_of_orderness_seconds: float, idle_timeout_seconds: float | None, *, settings: Settings | None = None
) -> Verdict:
    """Run count_events with these settings over fresh events, silence a partition, and judge what came out.

    Expected: each result at most ten seconds after the end of its window, and no event dropped.
    Raises as `lessons.check` does.
    """

    def checker() -> Verdict:
        refused = refusal(out_of_orderness_seconds, idle_timeout_seconds)
        if refused:
            return refused
        seen = _run(out_of_orderness_seconds, idle_timeout_seconds, trial.apart(settings or load()))
        return judge_watermark(out_of_orderness_seconds, idle_timeout_seconds, seen)

    return lessons.check(checker, lesson="08_watermarks", exercise="frozen")


def refusal(bound: Any, idle: Any) -> Verdict | None:
    """Return what is wrong with settings that no job can have; None if nothing is."""
    if not trial.is_number(bound, least=0):
        return not_yet(f"out_of_orderness_seconds = {bound!r} is no number of seconds.", look_at="the slider's range")
    if idle is not None and not trial.is_number(idle, least=SHORTEST_IDLE_SECONDS):
        return not_yet(
            f"idle_timeout_seconds = {idle!r} is no time-out.", look_at="a number of seconds above 0; None means never"
        )
    return None


def judge_watermark(bound: float, idle: float | None, seen: Seen) -> Verdict:
    """Judge by the windows that ended after a partition fell silent, and by the events that no window counted."""
    slowest = max((wait for wait in seen.waits if wait is not None), default=0.0)
    stuck = None in seen.waits
    if stuck and idle is None:
        return not_yet(
            f"{_stands(seen)} because partition {seen.partition} has been silent for "
            f"{seen.ended_at - seen.silent_at:.0f} s and nothing tells the job not to wait for it.",
            look_at="idle_timeout_seconds",
        )
    if stuck or slowest > LIMIT_SECONDS:
        late = f"no result within {LIMIT_SECONDS} s" if stuck else f"its result {slowest:.1f} s later"
        if max(bound, idle or 0) <= LIMIT_SECONDS - REST_SECONDS:
            return not_checked(f"A window had {late}, and your settings do not explain it: the cluster was slow.")
        waits = "idle_timeout_seconds" if idle is not None and idle >= bound else "out_of_orderness_seconds"
        why = f"the job waits {max(bound, idle or 0):g} s"
        what = f"for partition {seen.partition}" if waits.startswith("idle") else "for events that might be late"
        return not_yet(f"A window that ended in the silence had {late}: {why} {what}.", look_at=waits)
    if seen.dropped:
        return not_yet(
            f"{seen.dropped} of {seen.sent} events came after their window had closed, and were dropped: "
            f"the watermark was only {bound:g} s behind the newest event.",
            look_at="how far below the diagonal the lowest points lie",
        )
    return right(
        f"All {seen.sent} events of the closed windows were counted, and the windows went on closing while partition "
        f"{seen.partition} was silent: {slowest:.1f} s after their end at the latest."
    )


def _stands(seen: Seen) -> str:
    if seen.watermark_at is None:
        return "The job has no watermark"
    return f"The watermark stands still at {live.clock_time(seen.watermark_at)}"


def _run(bound: float, idle: float | None, settings: Settings) -> Seen:
    topics.create("user-events", settings=settings)
    topics.create("metrics", append_time=True, settings=settings)
    seed = secrets.randbelow(1_000_000)
    timing: dict[str, Any] = {"out_of_orderness_seconds": bound, "idle_timeout_seconds": idle}
    with (
        producer.start("user-events", events_per_second=0, seed=seed, settings=settings, **DELAYS) as shop,
        trial.ending(jobs.submit("count_events", passed="", settings=settings, **timing)) as job,
    ):
        return _silence(shop, job.wait_running(), settings)


def _silence(shop: Producer, job: Job, settings: Settings) -> Seen:
    with live.TopicTail("metrics", name="results of the exercise", settings=settings) as results:
        shop.set(events_per_second=RATE)
        wait_until(lambda: shop.stats.acknowledged > SPEAKING_SECONDS * RATE, 30, "every partition to speak")
        partition = secrets.randbelow(runs.Run.open(shop.run).identity.partitions)
        shop.set(silent_partitions=[partition])
        silent_at = time.time()
        ends = [int(silent_at) + 2 + n for n in range(JUDGED_WINDOWS)]
        written = _written(results, past=ends[-1])
    watermark_ms = task_metrics.Reader(job, task_metrics.WATERMARKS)().watermark_ms
    book = window_counts.compared(shop, window=WINDOW, settings=settings)
    return Seen(
        partition=partition,
        silent_at=silent_at,
        ended_at=time.time(),
        watermark_at=None if watermark_ms is None else watermark_ms / 1000,
        waits=[written[end] - end if end in written else None for end in ends],
        sent=book.sent.total(),
        dropped=sum(each.sent - each.counted for each in book.differences),
    )


def _written(results: live.TopicTail, *, past: int) -> dict[int, float]:
    """Return when the first result of each window was written, by the window's end (both epoch s).

    Waits for a window that ends after `past`: then nothing is still to come for those before it.
    """
    written: dict[int, float] = {}

    def enough() -> bool:
        for record in results.poll():
            for row in window_counts.parsed([record]):
                written.setdefault(round(epoch_ms(row.windowEnd) / 1000), record.timestamp_ms / 1000)
        return max(written, default=0) > past

    with suppress(WaitTimeout):  # the verdict says what is missing
        wait_until(enough, past + LIMIT_SECONDS - time.time(), "the windows to close")
    return written
