"""Own which topics end with the notebook that made them: a note for each, in a folder of the course.

Kafka keeps no owner of a topic, and each topic costs brokers also when nobody uses it any more. A note holds for one
cluster, known by its addresses: a topic of the same name elsewhere is another one.

    >>> topic_owners.note("results-none", Owner.this_process(), settings)
    >>> topic_owners.owned(settings)
    {'results-none': Owner(kind='kernel', ...)}
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from kernel_lib import course_home
from kernel_lib.owners import Owner
from kernel_lib.settings import Settings


class Note(msgspec.Struct, frozen=True):
    """Whose a topic of a cluster is."""

    cluster: str
    owner: Owner


def note(full_name: str, owner: Owner, settings: Settings) -> None:
    """Write down whose a topic is, by its name with the namespace before it."""
    path = _path(full_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(Note(settings.kafka_bootstrap_servers, owner)))
    draft.replace(path)


def forget(full_names: Iterable[str]) -> None:
    """Remove the notes of topics that are gone; one without a note is passed over."""
    for full_name in full_names:
        _path(full_name).unlink(missing_ok=True)


def any_noted() -> bool:
    """Say whether there is a note at all: without one no cluster need be known."""
    return any(_folder().glob("*.json"))


def owned(settings: Settings) -> dict[str, Owner]:
    """Return the owner of each topic of the cluster that has one; a note that cannot be read is none."""
    found = {}
    for path in sorted(_folder().glob("*.json")):
        with suppress(msgspec.DecodeError, FileNotFoundError):  # another process may have just removed it
            read = msgspec.json.decode(path.read_bytes(), type=Note)
            if read.cluster == settings.kafka_bootstrap_servers:
                found[path.stem] = read.owner
    return found


def _path(full_name: str) -> Path:
    return _folder() / f"{full_name}.json"


def _folder() -> Path:
    return course_home.path() / "data" / "topic-owners"
