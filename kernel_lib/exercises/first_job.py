"""Check the exercise of lesson 05: a function that runs on the cluster over events that nobody has seen."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from kernel_lib import jobs, lessons, producer, runs, topics
from kernel_lib.exercises import trial
from kernel_lib.jobs import EventFunction
from kernel_lib.lessons import Verdict, not_yet, right
from kernel_lib.settings import Settings, load

Event = Mapping[str, Any]

EVENTS = 400
WANTED = ("add_to_cart", "purchase")
FIELDS = {"eventId", "userId", "eventType", "milliseconds"}
SOURCE, SINK = "user-events", "processed-events"
MOST_RECORDS = 1_000_000
RETURN_SECONDS = 10.0


def carts_and_purchases(function: EventFunction, *, settings: Settings | None = None) -> Verdict:
    """Run `function` on the cluster over fresh events, and judge what came out of the topic.

    Expected: only carts and purchases, each as userId, eventType and the duration in whole milliseconds.
    Raises as `lessons.check` does.
    """

    def checker() -> Verdict:
        return refusal(function) or _judged(function, trial.apart(settings or load()))

    return lessons.check(checker, lesson="05_first_job", exercise="carts")


def refusal(function: Any) -> Verdict | None:
    """Return what is wrong with an answer that no job can run; None if nothing is."""
    if callable(function):
        return None
    return not_yet(f"carts_and_purchases = {function!r} is no function.", look_at="the line that begins with def")


def judge_carts(sent: Sequence[Event], results: Sequence[Event]) -> Verdict:
    """Compare what was sent with what the function made of it."""
    wanted = {event["eventId"]: event for event in sent if event["eventType"] in WANTED}
    others = [event for event in results if event.get("eventId") not in wanted]
    if others:
        kind = others[0].get("eventType", "one without eventType")
        return not_yet(
            f"{len(others)} of your {len(results)} results come from other events, for example {kind}.",
            look_at="what your function returns for them; None drops an event",
        )
    missing = len(wanted) - len({event["eventId"] for event in results})
    if missing:
        return not_yet(
            f"{missing} of the {len(wanted)} carts and purchases are missing from your results.",
            look_at="which events your function returns None for",
        )
    if len(results) > len(wanted):
        return not_yet(f"{len(results) - len(wanted)} results came out more than once.", look_at="the checkpoints")
    return _judge_fields(wanted, results)


def _judge_fields(wanted: Mapping[str, Event], results: Sequence[Event]) -> Verdict:
    for result in results:
        sent = wanted[result["eventId"]]
        if set(result) != FIELDS:
            missing, extra = FIELDS - set(result), set(result) - FIELDS
            parts = [f"lacks {_words(missing)}" if missing else "", f"has {_words(extra)} too many" if extra else ""]
            return not_yet(f"A result {' and '.join(filter(None, parts))}.", look_at="the dict that you return")
        exact = sent["duration"] * 1000
        if type(result["milliseconds"]) is not int or not exact - 0.51 <= result["milliseconds"] <= exact + 0.51:
            return not_yet(
                f"A duration of {sent['duration']} s became milliseconds = {result['milliseconds']!r}.",
                look_at="round(seconds * 1000), which is a whole number",
            )
        if (result["userId"], result["eventType"]) != (sent["userId"], sent["eventType"]):
            return not_yet("userId or eventType is not the event's own.", look_at="where you take them from")
    return right(
        f"{len(results)} of {len(results)} carts and purchases came out of the topic as they should, once each."
    )


def _judged(function: EventFunction, settings: Settings) -> Verdict:
    for name in (SOURCE, SINK):
        topics.create(name, settings=settings)
    begun = {number: high for number, (_, high) in topics.offsets(SOURCE, committed=False, settings=settings).items()}
    # A seed nobody has seen: the events of the lesson cannot be learnt by heart.
    seed = secrets.randbelow(1_000_000)
    shop = producer.start(SOURCE, events_per_second=EVENTS, seed=seed, count=EVENTS, settings=settings)
    shop.wait()
    sent = _of_run(SOURCE, shop.run, settings)
    if not trial.comes_back(function, sent, seconds=RETURN_SECONDS):
        return not_yet(
            f"Your function does not return: it had not done with {len(sent)} events after {RETURN_SECONDS:g} s.",
            look_at="its loops, and what it waits for",
        )
    with trial.ending(
        jobs.submit(function, name="exercise", source=SOURCE, sink=SINK, start=begun, settings=settings)
    ) as job:
        job.drain()
    return judge_carts(sent, _of_run(SINK, shop.run, settings))


def _of_run(topic: str, run: str, settings: Settings) -> list[Event]:
    started_ms = runs.Run.open(run).identity.started_ms
    records = topics.read(topic, since_ms=started_ms, limit=MOST_RECORDS, settings=settings)
    events = [record.json() for record in records]
    return [event for event in events if str(event.get("eventId")).startswith(f"{run}-")]


def _words(names: set[str]) -> str:
    return " and ".join(sorted(names))
