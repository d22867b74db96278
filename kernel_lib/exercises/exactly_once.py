"""Check the exercise of lesson 14: settings with which nothing is missing and nothing is there twice, over kills."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

from kernel_lib import checkpoints, crashes, jobs, lessons, producer, topics
from kernel_lib.errors import WaitTimeout
from kernel_lib.exercises import trial
from kernel_lib.job import Job
from kernel_lib.ledger import Figures, Ledger, Topic
from kernel_lib.lessons import Verdict, not_checked, not_yet, right
from kernel_lib.producer import Producer
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

RATE = 200
KILLS = 2
# A kill that comes right after a checkpoint shows nothing: by then a fifth of a second of results is written anew.
UNSAVED = RATE // 5
GUARANTEES = ("none", "at-least-once", "exactly-once")
LEVELS = ("read_uncommitted", "read_committed")
SHORTEST_CHECKPOINT_SECONDS = 0.5
SEEN_SECONDS = 5
# What is seen a little later than that may owe it to a busy machine; so may the first result of a job.
GRACE_SECONDS, START_SECONDS = 2, 30
LOOKS = 3
# A TaskManager starts twice, and the jobs that it ran: on a busy machine that takes its time.
CHECK_SECONDS = 180.0
SOURCE, SINK = "user-events", "processed-events"


@dataclass(frozen=True)
class Answer:
    """What the learner chose."""

    guarantee: str
    isolation_level: str
    checkpoint_seconds: float


@dataclass(frozen=True)
class Seen:
    """What a run showed: after how many seconds results were seen, None if not in time; kills; the ledger."""

    seen_after: float | None
    kills: int
    figures: Figures


def exact_over_kills(
    guarantee: str,
    isolation_level: str,
    checkpoint_seconds: float,
    *,
    kills: int = KILLS,
    settings: Settings | None = None,
) -> Verdict:
    """Relay fresh events with these settings, kill its TaskManager again and again, and judge by the ledger.

    Expected: nothing missing, nothing twice, and each result is seen within five seconds while nothing is killed.
    Raises as `lessons.check` does.
    """
    answer = Answer(guarantee, isolation_level, checkpoint_seconds)

    def checker() -> Verdict:
        if not isinstance(kills, int) or kills < KILLS:
            return not_yet(f"kills={kills!r} proves nothing; {KILLS} is the least.", look_at="the call")
        return refusal(answer) or judge_exactness(answer, _run(answer, kills, settings or load()))

    return lessons.check(checker, lesson="14_exactly_once", exercise="exact", seconds=CHECK_SECONDS)


def refusal(answer: Answer) -> Verdict | None:
    """Return what is wrong with settings that no job and no reader can have; None if nothing is."""
    for name, value, known in (
        ("guarantee", answer.guarantee, GUARANTEES),
        ("isolation_level", answer.isolation_level, LEVELS),
    ):
        if not isinstance(value, str) or value not in known:
            return not_yet(f"{name} = {value!r} is not one of these: {', '.join(known)}.", look_at="the names above")
    interval = answer.checkpoint_seconds
    if not trial.is_number(interval, least=SHORTEST_CHECKPOINT_SECONDS):
        return not_yet(
            f"checkpoint_seconds = {interval!r} is not a number from {SHORTEST_CHECKPOINT_SECONDS} on.",
            look_at=f"the seconds, at most the {trial.LONGEST_SECONDS:,.0f} of a day",
        )
    return None


def judge_exactness(answer: Answer, seen: Seen) -> Verdict:
    """Judge by what a reader saw, and say of each fault which setting lets it through."""
    figures = seen.figures
    if seen.seen_after is None and answer.checkpoint_seconds < SEEN_SECONDS:
        return not_checked(
            f"Results were not seen within {SEEN_SECONDS} s, and your settings do not explain it: the cluster was slow."
        )
    if seen.seen_after is None:
        return not_yet(
            f"Results were not seen within {SEEN_SECONDS} s: a read_committed reader sees a transaction when a "
            f"checkpoint has committed it, and yours come every {answer.checkpoint_seconds:g} s.",
            look_at="checkpoint_seconds",
        )
    if not (figures.missing or figures.duplicate):
        return right(
            f"{figures.received:,} of {figures.acknowledged:,} events are there after {_times(seen.kills)}: "
            f"0 missing, 0 duplicate; results were seen after {seen.seen_after:.1f} s."
        )
    count = (
        f"After {_times(seen.kills)}, {figures.missing:,} events are missing and {figures.duplicate:,} are there twice:"
    )
    match answer.guarantee:
        case "none":
            return not_yet(
                f"{count} nobody waited for Kafka's acknowledgements, and a restart reads events again.",
                look_at="guarantee",
            )
        case "at-least-once":
            return not_yet(
                f"{count} the job reads again what came after its last checkpoint, and writes it again.",
                look_at="guarantee",
            )
    if answer.isolation_level == "read_uncommitted":
        return not_yet(
            f"{count} your reader also sees what transactions wrote that were aborted.", look_at="isolation_level"
        )
    return not_yet(f"{count} that should not happen with these settings.", look_at="job.failure()")


def _times(kills: int) -> str:
    return f"{kills} kill{'' if kills == 1 else 's'}"


def _run(answer: Answer, kills: int, settings: Settings) -> Seen:
    interval_ms = round(answer.checkpoint_seconds * 1000)
    mine = trial.apart(settings).model_copy(update={"flink_checkpoint_interval": interval_ms})
    topics.create(SOURCE, settings=mine)
    topics.create(SINK, append_time=True, settings=mine)
    with (
        producer.start(SOURCE, events_per_second=0, seed=secrets.randbelow(1_000_000), settings=mine) as shop,
        trial.ending(jobs.submit("relay", guarantee=answer.guarantee, restart_attempts=100, settings=mine)) as job,
    ):
        return _kill_and_read(answer, kills, shop, job.wait_running(), mine)


def _kill_and_read(answer: Answer, kills: int, shop: Producer, job: Job, settings: Settings) -> Seen:
    reader = Topic(SINK, committed=answer.isolation_level == "read_committed")
    with Ledger(shop, reader, settings=settings) as book:
        shop.set(events_per_second=RATE)
        seen_after = _wait_to_see(book, answer.checkpoint_seconds)
        if seen_after is None:
            return Seen(None, 0, book.figures())
        done = 0
        while done < kills and not book.update().duplicate:  # one fault is enough for a verdict
            _wait_for_unsaved(job)
            with crashes.killed_taskmanager(job):
                _wait_for_more(book)
            done += 1
        shop.stop()
        return Seen(seen_after, done, book.settle(answer.checkpoint_seconds + SEEN_SECONDS))


def _wait_to_see(
    book: Ledger, checkpoint_seconds: float, within_seconds: float = SEEN_SECONDS + GRACE_SECONDS
) -> float | None:
    """Return after how many seconds results are seen when the job is under way, None if not in time.

    Flink takes a job's first checkpoint at a random moment of the interval: only the results after it wait for a
    whole one. Where the interval does not explain a long wait, a busy machine does, and is looked at again.
    """
    slow_start, looks = (START_SECONDS, LOOKS) if checkpoint_seconds < SEEN_SECONDS else (within_seconds, 1)
    with suppress(WaitTimeout):
        _seconds_until(1, book, slow_start)
        for _ in range(looks):
            with suppress(WaitTimeout):
                return _seconds_until(book.update().acknowledged, book, within_seconds)
    return None


def _seconds_until(received: int, book: Ledger, within_seconds: float) -> float:
    begun = time.monotonic()
    wait_until(lambda: book.update().received >= received, within_seconds, f"result {received:,}")
    return time.monotonic() - begun


def _wait_for_more(book: Ledger) -> None:
    enough = book.update().received + RATE
    wait_until(lambda: book.update().received >= enough, 60, "results to go on after the kill")


def _wait_for_unsaved(job: Job) -> None:
    """Wait until the job has written results that its last complete checkpoint does not know."""
    read = checkpoints.CheckpointReader(job)
    written_at: dict[int, int] = {}

    def enough() -> bool:
        written = sum(end for _, end in topics.offsets(SINK, committed=False, settings=job.settings).values())
        last = read().last_completed
        checkpoint = last.id if last else 0
        return written - written_at.setdefault(checkpoint, written) >= UNSAVED

    wait_until(enough, 60, f"{UNSAVED} results that are in no checkpoint yet")
