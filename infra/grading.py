"""Grade learners' notebooks: run each on the running course as a user of its own, and read what the checkers said.

    >>> for graded in grading.grade([Path("submissions")], layout, copies=folder):
    ...     print(graded.submission, graded.outcomes)

A verdict counts when the check cell of the committed lesson showed it in this run and the checker noted it as done. A
notebook is Python that runs as whoever grades, though: an executed copy is kept, to be read when in doubt.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat

from infra import headless, learners, notebooks
from infra.headless import Limits
from infra.layout import Layout
from infra.learners import Learner
from kernel_lib import cluster, lesson_files, progress, services
from kernel_lib.errors import ConfigurationError, CourseError, NotFound
from kernel_lib.lessons import MARKS
from kernel_lib.settings import load

State = Literal["right", "not yet", "not checked", "not reached"]
Cell = dict[str, Any]
USUAL = Limits()
RENEW_EVERY = 10
"""After so many submissions the TaskManagers are started anew."""


@dataclass(frozen=True)
class Outcome:
    """What became of an exercise, in the checker's words."""

    exercise: str
    state: State
    words: str


@dataclass(frozen=True)
class Graded:
    """A submission: its lesson, each exercise, what the instructor should know, and the executed copy."""

    submission: str
    lesson: str
    outcomes: tuple[Outcome, ...]
    remarks: tuple[str, ...]
    seconds: int
    copy: Path | None

    @property
    def could_be_graded(self) -> bool:
        """Whether each exercise was judged, or not reached for a reason that is the notebook's own."""
        return bool(self.outcomes) and not any(each.state == "not checked" for each in self.outcomes)


def grade(paths: Sequence[Path], where: Layout, *, copies: Path, limits: Limits = USUAL) -> Iterator[Graded]:
    """Yield what each notebook, also of folders, is worth; one after the other, as slots of the cluster are few.

    Raises NotFound without a notebook, ConfigurationError while another process grades, ServiceUnavailable.
    """
    found = submissions(paths)
    with _alone(where):
        for number, (name, path) in enumerate(found.items(), 1):
            services.mend()
            learners.remove_leftovers(where)
            try:
                yield _graded(name, path, where, copies, limits)
            except CourseError as error:
                yield Graded(name, "", (), (str(error),), 0, None)
            if number % RENEW_EVERY == 0 or number == len(found):
                renew_taskmanagers()


def renew_taskmanagers() -> None:
    """Start the TaskManagers anew, unless jobs of somebody else run there.

    Flink's exactly-once sink (Kafka connector 5.0) leaves a client open for each writer that there was. One whose user
    is gone asks for its login again and again, and those of thirty learners take all of two cores.
    """
    if _jobs_of_others():
        return
    used = [each.name for each in services.statuses() if each.name.startswith("flink-taskmanager") and each.healthy]
    with ThreadPoolExecutor(max(1, len(used))) as side_by_side:
        list(side_by_side.map(_renew, used))


def _renew(name: str) -> None:
    services.stop(name)
    services.start(name)


def submissions(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the notebooks by names that tell them apart: their places below the folder that all of them share."""
    files = [path.resolve() for each in paths for path in (sorted(each.rglob("*.ipynb")) if each.is_dir() else [each])]
    wanted = [path for path in dict.fromkeys(files) if ".ipynb_checkpoints" not in path.parts]
    missing = [path for path in wanted if not path.is_file()]
    if missing or not wanted:
        raise NotFound(f"There is no notebook {', '.join(map(str, missing or paths))}.")
    shared = os.path.commonpath([path.parent for path in wanted])
    return {str(path.relative_to(shared).with_suffix("")): path for path in wanted}


def read(path: Path) -> notebooks.Notebook:
    """Return a submission in canonical form, without anything that it claims to have shown. Raises CourseError."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(notebook, dict):
            raise TypeError("it is no JSON object")
        nbformat.validate(notebook)
        return notebooks.canonical(notebook)
    except (ValueError, TypeError, KeyError, RecursionError, nbformat.ValidationError) as error:
        said = str(error).partition("\n")[0]
        raise CourseError(f"{path.name} is not a notebook.", cause=f"{type(error).__name__}: {said}") from error


def lesson_of(notebook: notebooks.Notebook) -> str:
    """Return the lesson that a notebook is a copy of, whatever its file is called: by its heading, or by its exercises.

    Raises NotFound.
    """
    heading = "".join(notebook["cells"][0]["source"]).partition("\n")[0].lstrip("# ") if notebook["cells"] else ""
    shared = {name: _shared(notebook, name) for name in lesson_files.names()}
    for name, count in shared.items():
        if count and lesson_files.title(name) == heading:
            return name
    best = max(shared, key=lambda name: shared[name])
    if not shared[best]:
        raise NotFound("This is not a lesson of the course.", cause="it has no cell of an exercise, by its id")
    return best


def _shared(notebook: notebooks.Notebook, lesson: str) -> int:
    """Return how many cells of the lesson's exercises a notebook has, and by how many cells it resembles it."""
    ids = {cell["id"] for cell in notebook["cells"]}
    if not ids & _exercise_cells(lesson):
        return 0
    return len(ids & {cell["id"] for cell in lesson_files.cells(lesson)})


def _exercise_cells(lesson: str) -> set[str]:
    return {f"{kind}-{name}" for kind in ("exercise", "check") for name in lesson_files.exercises(lesson)}


def with_checks(notebook: notebooks.Notebook, lesson: str) -> notebooks.Notebook:
    """Return a copy with the check cells as the lesson has them: what a learner made of them does not count."""
    checks = {cell["id"]: cell for cell in lesson_files.cells(lesson) if cell["id"].startswith("check-")}
    return {**notebook, "cells": [checks.get(cell["id"], cell) for cell in notebook["cells"]]}


def judge(exercise: str, cells: Mapping[str, Cell], *, noted: bool, ended: str) -> Outcome:
    """Read what the check cell of an exercise showed; `noted`: whether the checker noted the exercise as right."""
    cell = cells.get(f"check-{exercise}")
    if cell is None:
        return Outcome(exercise, "not reached", f"the notebook has no cell check-{exercise} any more")
    if not cell["outputs"]:
        return Outcome(exercise, "not reached", ended or "the check showed nothing")
    state, words = _shown(cell)
    if state == "right" and not noted:
        return Outcome(exercise, "not checked", f"the cell shows a verdict that no checker noted: {words}")
    return Outcome(exercise, state, words)


def _shown(cell: Cell) -> tuple[State, str]:
    """Return the verdict that a cell has as its value; what it prints is none."""
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            return "not yet", f"the check raised {output['ename']}: {output['evalue']}"
        text = (
            "".join(output.get("data", {}).get("text/plain", "")) if output["output_type"] == "execute_result" else ""
        )
        for state, (mark, _) in MARKS.items():
            if text.startswith(f"{mark}: "):
                return state, text.removeprefix(f"{mark}: ")  # type: ignore[return-value]
    return "not checked", "the check showed something else than a verdict"


def _graded(name: str, path: Path, where: Layout, copies: Path, limits: Limits) -> Graded:
    begun = time.monotonic()
    notebook = read(path)
    lesson = lesson_of(notebook)
    copy = copies / f"{name}.ipynb"
    copy.parent.mkdir(parents=True, exist_ok=True)
    others = _jobs_of_others()
    with learners.enrolled(where) as learner:
        ended = _run(with_checks(notebook, lesson), learner, copy, limits)
        learner.end_processes()
        harm = list(_harm(others))
        noted = progress.done(lesson, settings=learner.settings(), state=learner.home)
    ran = json.loads(copy.read_text(encoding="utf-8"))["cells"]
    cells = {cell["id"]: cell for cell in ran if cell["cell_type"] == "code"}
    outcomes = [judge(each, cells, noted=each in noted, ended=ended) for each in lesson_files.exercises(lesson)]
    told = not ended or any(each.words == ended for each in outcomes)
    remarks = [*([] if told else [ended]), *_raised(cells), *harm]
    return Graded(name, lesson, tuple(outcomes), tuple(remarks), round(time.monotonic() - begun), copy)


def _run(notebook: notebooks.Notebook, learner: Learner, copy: Path, limits: Limits) -> str:
    """Run a notebook as a learner, keep the executed copy, and return why the run ended early, or ""."""
    source, result = learner.home / "submitted.ipynb", learner.work / "result.ipynb"
    source.write_text(notebooks.rendered(notebook), encoding="utf-8")
    failed = headless.run_apart(source, result, learner.environment(), limits)
    copy.write_bytes((source if failed else result).read_bytes())
    return failed or str(json.loads(copy.read_text(encoding="utf-8"))["metadata"].get(headless.ENDED, ""))


def _raised(cells: Mapping[str, Cell]) -> Iterator[str]:
    for id, cell in cells.items():
        for output in cell["outputs"]:
            shutting_down = output.get("ename") == "KeyboardInterrupt"  # that is how an endless cell ends
            if output["output_type"] == "error" and not id.startswith("check-") and not shutting_down:
                yield f"the cell {id} raised {output['ename']}: {output['evalue']}".partition("\n")[0]


def _jobs_of_others() -> set[str]:
    return {job["name"] for job in cluster.jobs(load(), live=True) if not job["name"].startswith(learners.PREFIX)}


def _harm(others: set[str]) -> Iterator[str]:
    """Mend what a notebook did to the services, and yield it in words."""
    for name in services.mend():
        yield f"it left {name} in trouble, which was started again"
    for name in sorted(others - _jobs_of_others()):
        yield f"the job {name} of somebody else ended meanwhile"


@contextmanager
def _alone(where: Layout) -> Iterator[None]:
    where.run.mkdir(parents=True, exist_ok=True)
    with (where.run / "grading.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                "Another ./course grade is running.", cause="one learner at a time", remedy="wait for its end"
            ) from error
        yield
