"""Each lesson runs headless to its closing button; its exercises say "not yet" first and "right" with the solution."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import papermill
import pytest

from infra import notebooks
from kernel_lib import jobs, lesson_files, progress, services, settings, topics
from tests import leftovers

LESSONS = notebooks.lessons()
# No cell waits longer on purpose: what takes so long hangs. How long a lesson takes is for the benchmark to say.
CELL_SECONDS = 120


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
    leftovers.remove(settings.load())  # also the pipeline's jobs, which outlive the notebook


def run_solved(lesson: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Run a copy with the solutions put in; return its cells by id."""
    solved = notebooks.solved(json.loads(lesson.read_text()), lesson_files.solutions(lesson.stem))
    source, result = folder / lesson.name, folder / f"ran-{lesson.name}"
    source.write_text(notebooks.rendered(solved))
    papermill.execute_notebook(
        str(source),
        str(result),
        cwd=str(lesson.parent),
        progress_bar=False,
        execution_timeout=CELL_SECONDS,
        request_save_on_cell_execute=False,  # BokehJS is among the outputs: writing it after each cell costs seconds
    )
    return {cell["id"]: cell for cell in json.loads(result.read_text())["cells"]}


def shown(cell: dict[str, Any]) -> str:
    """Return the plain text that a cell shows."""
    texts = [output.get("data", {}).get("text/plain") or output.get("text", "") for output in cell["outputs"]]
    return "".join("".join(text) for text in texts)


@pytest.mark.timeout(400)  # the cockpit starts and drains the whole pipeline
def test_a_lesson_runs_to_its_end_and_its_checks_tell_wrong_from_right(
    lesson: Path, namespace: str, tmp_path: Path
) -> None:
    cells = run_solved(lesson, tmp_path)
    for id in (id for id in cells if id.startswith("check-") and not id.endswith("-solved")):
        assert "not yet" in shown(cells[id])
        assert "right" in shown(cells[f"{id}-solved"])
    assert not list(complaints(cells))
    assert not [status for status in services.statuses() if status.in_trouble]  # the closing button mends all
    assert not jobs.running()
    assert set(progress.done(lesson.stem)) == set(lesson_files.exercises(lesson.stem))


def complaints(cells: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield what cells wrote to stderr, and their errors."""
    for id, cell in cells.items():
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" or output.get("name") == "stderr":
                yield f"{id}: {output}"
