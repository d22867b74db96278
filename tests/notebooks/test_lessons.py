"""Each lesson runs headless twice in one kernel, the second time with all answers and solutions put in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papermill
import pytest

from infra import namespaces, notebooks
from kernel_lib import jobs, lesson_files, progress, services, settings, topics
from kernel_lib.waiting import patience
from tests import written_answers
from tests.written_answers import Answer

LESSONS = notebooks.lessons()
# No cell waits longer on purpose: what takes so long hangs. How long a lesson takes is for the benchmark to say.
CELL_SECONDS = 240


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def namespace(lesson: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"test-{lesson.stem.replace('_', '-')}"
    monkeypatch.setenv("NAMESPACE", name)
    topics.create_all(settings=settings.load())
    yield name
    namespaces.remove(name, settings=settings.load())  # also the pipeline's jobs, which outlive the notebook


def expected(lesson: str) -> list[Answer]:
    """Return the written answers to the exercises of a lesson, and its solutions last."""
    solutions = [Answer(cell, "right", "", source) for cell, source in lesson_files.solutions(lesson).items()]
    return written_answers.to(lesson) + solutions


def by_cell(answers: list[Answer]) -> dict[str, list[Answer]]:
    """Return the answers to each exercise, in order."""
    return {cell: [each for each in answers if each.cell == cell] for cell in {each.cell for each in answers}}


def twice(lesson: Path) -> notebooks.Notebook:
    """Return a lesson with all its cells but the checks, which run again with each answer, before it once more."""
    once: notebooks.Notebook = json.loads(lesson.read_text())
    first = [{**cell, "id": f"{cell['id']}-first"} for cell in once["cells"] if not cell["id"].startswith("check-")]
    return {**once, "cells": first + once["cells"]}


def run_answered(lesson: Path, answers: dict[str, list[Answer]], folder: Path) -> dict[str, dict[str, Any]]:
    """Run a copy twice, the second time with the answers put in, one after the other; return its cells by id."""
    sources = {cell: [each.source for each in written] for cell, written in answers.items()}
    notebook = notebooks.answered(twice(lesson), sources)
    source, result = folder / lesson.name, folder / f"ran-{lesson.name}"
    source.write_text(notebooks.rendered(notebook))
    papermill.execute_notebook(
        str(source),
        str(result),
        cwd=str(lesson.parent),
        progress_bar=False,
        execution_timeout=round(CELL_SECONDS * patience()),
        request_save_on_cell_execute=False,  # BokehJS is among the outputs: writing it after each cell costs seconds
    )
    return {cell["id"]: cell for cell in json.loads(result.read_text())["cells"]}


def shown(cell: dict[str, Any]) -> str:
    """Return the plain text that a cell shows."""
    texts = [output.get("data", {}).get("text/plain") or output.get("text", "") for output in cell["outputs"]]
    return "".join("".join(text) for text in texts)


@pytest.mark.timeout(900)  # the cockpit starts and drains the whole pipeline; each answer takes seconds
def test_a_lesson_runs_to_its_end_and_its_checks_tell_wrong_from_right(
    lesson: Path, namespace: str, tmp_path: Path
) -> None:
    """Fails also when a cell cannot take the place of what it started before."""
    answers = by_cell(expected(lesson.stem))
    cells = run_answered(lesson, answers, tmp_path)
    for cell, written in answers.items():
        check = cell.replace("exercise-", "check-", 1)
        assert "not yet: " in shown(cells[check])
        heard = [shown(cells[f"{check}-{number}"]) for number in range(1, len(written) + 1)]
        assert not [(answer, words) for answer, words in zip(written, heard, strict=True) if not gets(answer, words)]
    assert not list(complaints(cells))
    assert not [status for status in services.statuses() if status.in_trouble]  # the closing button mends all
    assert not jobs.running()
    assert set(progress.done(lesson.stem)) == set(lesson_files.exercises(lesson.stem))


def gets(answer: Answer, words: str) -> bool:
    """Say whether `words` are the verdict of an answer."""
    return f"{answer.state}: " in words and answer.words in words


def complaints(cells: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield what cells wrote to stderr, and their errors."""
    for id, cell in cells.items():
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" or output.get("name") == "stderr":
                yield f"{id}: {output}"
