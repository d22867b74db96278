"""Own what a learner has done: which exercises of which lessons were right, in a file of the course.

A learner is a namespace. The file outlives kernels, JupyterLab and the services; `./course down --wipe` deletes it.

    >>> progress.note("05_first_job", "carts")
    >>> progress.done("05_first_job")
    {'carts': '2026-11-23T09:30:00Z'}
    >>> progress.overview()
      0 · The cockpit    name the trouble    not yet
    ✔ 5 · The first job  carts               2026-11-23T09:30:00Z
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import NamedTuple

import msgspec

from kernel_lib import course_home, lesson_files
from kernel_lib.errors import ConfigurationError
from kernel_lib.settings import Settings, load

Done = dict[str, dict[str, str]]
"""When each exercise was right for the first time (UTC, ISO 8601), by lesson and exercise."""

NOT_YET = "not yet"
WITHOUT_NAMESPACE = "_"
"""The name of the file of who works without a namespace: none can have it."""


class Row(NamedTuple):
    """A lesson's exercise, and when it was right for the first time."""

    title: str
    exercise: str
    done_at: str


class Map:
    """The lessons with what is done, as a table and as text."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)

    def __repr__(self) -> str:
        title, exercise = (max([len(row[n]) for row in self.rows], default=0) for n in (0, 1))
        lines = [
            f"{'✔' if row.done_at else ' '} {row.title:{title}}  {row.exercise:{exercise}}  {row.done_at or NOT_YET}"
            for row in self.rows
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{name}</th>' for name in ("lesson", "exercise", "right since (UTC)"))
        return f"<table><tr>{head}</tr>{''.join(_html_row(row) for row in self.rows)}</table>"


def note(lesson: str, exercise: str, *, settings: Settings | None = None) -> None:
    """Remember that an exercise was right; what was noted before stays. Raises as `done` does."""
    path = _path(settings)
    all_done = _read(path)
    all_done.setdefault(lesson, {}).setdefault(exercise, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(all_done, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def done(lesson: str, *, settings: Settings | None = None, state: Path | None = None) -> dict[str, str]:
    """Return when each exercise of a lesson was right for the first time.

    `state`: the folder of the course's state, if it is another one. Raises ConfigurationError if the file holds
    something else, NotFound for an unknown lesson.
    """
    known = lesson_files.exercises(lesson)
    found = _read(_path(settings, state)).get(lesson, {})
    return {name: at for name, at in found.items() if name in known}


def overview(*, settings: Settings | None = None) -> Map:
    """Return all lessons with their exercises, and which of them are done. Raises as `done` does."""
    return Map(
        [
            Row(lesson_files.title(lesson), exercise.replace("-", " "), noted.get(exercise, ""))
            for lesson in lesson_files.names()
            for noted in [done(lesson, settings=settings)]
            for exercise in lesson_files.exercises(lesson)
        ]
    )


def _html_row(row: Row) -> str:
    at = f"✔ {row.done_at}" if row.done_at else NOT_YET
    cells = "".join(f'<td style="text-align:left">{escape(text)}</td>' for text in (row.title, row.exercise, at))
    return f"<tr>{cells}</tr>"


def _path(settings: Settings | None, state: Path | None = None) -> Path:
    return (state or course_home.path()) / "progress" / f"{(settings or load()).namespace or WITHOUT_NAMESPACE}.json"


def _read(path: Path) -> Done:
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=Done)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            "What you have done cannot be read.", cause=f"{path}: {error}", remedy=f"delete {path.name} in its folder"
        ) from error
