import json
from pathlib import Path

import pytest

from infra import notebooks
from infra.layout import CHECKOUT
from kernel_lib import lessons

GALLERY = CHECKOUT / "tests" / "browser" / "gallery.ipynb"


def cell(id: str, source: str = "1 + 1", kind: str = "code") -> dict[str, object]:
    code = {"execution_count": 7, "outputs": [{"output_type": "stream", "text": "2"}]} if kind == "code" else {}
    return {"cell_type": kind, "id": id, "metadata": {"scrolled": True}, "source": source, **code}


def written(path: Path, *cells: dict[str, object]) -> Path:
    path.write_text(json.dumps({"cells": list(cells), "metadata": {"x": 1}, "nbformat": 4, "nbformat_minor": 4}))
    return path


@pytest.mark.parametrize("path", [*notebooks.lessons(), GALLERY], ids=lambda path: path.stem)
def test_the_notebooks_of_the_course_are_canonical(path: Path) -> None:
    assert not notebooks.problems(path), "mend it with: ./course test lint --fix"


def test_outputs_and_counters_are_a_problem_that_fix_mends(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", cell("add-up"))
    assert notebooks.problems(path)
    assert notebooks.fix([path]) == [path]
    assert not notebooks.problems(path)
    assert json.loads(path.read_text())["cells"][0]["outputs"] == []


def test_a_made_up_cell_id_is_named_and_replaced_by_the_words_of_the_cell(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", cell("3f2a9c1b", "## Start the producer", "markdown"))
    assert "3f2a9c1b" in notebooks.problems(path)[0]
    notebooks.fix([path])
    assert json.loads(path.read_text())["cells"][0]["id"] == "start-the-producer"


def test_the_same_cell_id_twice_is_mended(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", cell("add"), cell("add", "plots.stop()"))
    assert any("twice" in problem for problem in notebooks.problems(path))
    notebooks.fix([path])
    assert not notebooks.problems(path)


def test_fixing_a_canonical_notebook_leaves_it_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", cell("add"))
    notebooks.fix([path])
    assert notebooks.fix([path]) == []


def test_a_solved_copy_checks_before_and_after_the_solution() -> None:
    exercise, check = cell("exercise-sum", "answer = 0"), cell("check-sum", "check(answer)")
    solved = notebooks.solved({"cells": [exercise, check]}, {"exercise-sum": "answer = 2"})
    assert [each["source"] for each in solved["cells"]] == [
        "answer = 0",
        "check(answer)",
        "answer = 2",
        "check(answer)",
    ]
    assert len({each["id"] for each in solved["cells"]}) == 4


@pytest.mark.parametrize("path", notebooks.lessons(), ids=lambda path: path.stem)
def test_every_exercise_has_a_check_and_a_solution(path: Path) -> None:
    ids = {each["id"] for each in json.loads(path.read_text())["cells"]}
    exercises = {id for id in ids if id.startswith("exercise-")}
    assert exercises
    assert exercises == set(lessons.solutions(path.stem))
    assert {id.replace("exercise-", "check-", 1) for id in exercises} <= ids


@pytest.mark.parametrize("path", notebooks.lessons(), ids=lambda path: path.stem)
def test_a_lesson_opens_with_its_title_then_its_parameters(path: Path) -> None:
    first, second = json.loads(path.read_text())["cells"][:2]
    assert first["source"][0].startswith("# ")
    assert "minutes" in "".join(first["source"])
    assert second["metadata"]["tags"] == ["parameters"]
