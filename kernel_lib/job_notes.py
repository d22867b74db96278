"""Own what is written down with a job about the topics that it uses, as parameters that Flink keeps and shows.

`source` and `versions` are what it reads, with a semicolon between several; `topic-NAME` is the topic of an option
of its `build`; `start` the offsets that it begins with; `idle-timeout` (s) that of its source.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from kernel_lib import groups, topics
from kernel_lib.settings import Settings


def of(build: Callable[..., Any], job: str, used: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, str]:
    """Return the notes of a job whose `build` has these `options`; `used` are its topics by the names of theirs."""
    parameters = inspect.signature(build).parameters
    versions = [topic for option, topic in used.items() if parameters[option].annotation == "Versions"]
    notes = {"job": job, "source": used.get("source", ""), "versions": ";".join(versions)}
    idle_timeout = parameters.get("idle_timeout_seconds")
    timeout = options.get("idle_timeout_seconds", idle_timeout.default) if idle_timeout else None
    if timeout is not None:
        notes["idle-timeout"] = str(timeout)
    return notes | {f"topic-{option}": topic for option, topic in used.items()}


def begun(job: str, used: Mapping[str, str], options: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Return the note of the offsets that a job begins with, for `Job.drain`: no later run changes them."""
    places, start = {}, options.get("start", "committed")
    for topic in filter(None, used.get("source", "").split(";")):
        if isinstance(start, str):
            ends = topics.offsets(topic, committed=False, settings=settings)
            behind = groups.lag(job, topic, settings=settings)
            places[topic] = {n: low if start == "earliest" else high - behind[n] for n, (low, high) in ends.items()}
        else:
            places[topic] = dict(start.get(topic, start))
    return {"start": json.dumps(places)}


def read(notes: Mapping[str, str]) -> list[str]:
    """Return the topics whose records a job reads, without the one of its parameters."""
    return [topic for note in ("source", "versions") for topic in notes.get(note, "").split(";") if topic]


def written(notes: Mapping[str, str]) -> list[str]:
    """Return the topics that a job may write into."""
    used = {topic for note, several in notes.items() if note.startswith("topic-") for topic in several.split(";")}
    return sorted(used - {*read(notes), notes.get("topic-control", ""), ""})
