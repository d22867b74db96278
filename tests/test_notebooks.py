import json
import subprocess
from pathlib import Path

import pytest

from infra import notebooks
from infra.layout import CHECKOUT
from kernel_lib import lesson_files
from kernel_lib.errors import ConfigurationError, NotFound

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


def test_a_copy_with_answers_checks_before_and_after_each() -> None:
    exercise, check = cell("exercise-sum", "answer = 0"), cell("check-sum", "check(answer)")
    answered = notebooks.answered({"cells": [exercise, check]}, {"exercise-sum": ["answer = 1", "answer = 2"]})
    assert [(each["id"], each["source"]) for each in answered["cells"]] == [
        ("exercise-sum", "answer = 0"),
        ("check-sum", "check(answer)"),
        ("exercise-sum-1", "answer = 1"),
        ("check-sum-1", "check(answer)"),
        ("exercise-sum-2", "answer = 2"),
        ("check-sum-2", "check(answer)"),
        ("press-the-closing-button", "lessons.close()"),
    ]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of notebooks with one lesson, which a learner has changed since it was committed."""
    monkeypatch.setattr(lesson_files, "NOTEBOOKS", tmp_path)
    path = tmp_path / "05_first_job.ipynb"
    path.write_text("fresh")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a lesson"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    path.write_text("my own")
    return tmp_path


def test_a_reset_gives_a_fresh_lesson_and_keeps_the_learner_s(checkout: Path) -> None:
    kept = notebooks.reset("05_first_job")
    assert (checkout / "05_first_job.ipynb").read_text() == "fresh"
    assert kept.read_text() == "my own"
    assert lesson_files.names() == ("05_first_job",)  # what is kept is no lesson


def test_only_lessons_can_be_reset(checkout: Path) -> None:
    with pytest.raises(NotFound, match=r"no lesson '../secret'.*\n.*05_first_job"):
        notebooks.reset("../secret")


def test_without_git_nothing_is_reset(checkout: Path) -> None:
    (checkout / ".git" / "HEAD").unlink()
    with pytest.raises(ConfigurationError, match="clone of the course, made with Git"):
        notebooks.reset("05_first_job")
    assert (checkout / "05_first_job.ipynb").read_text() == "my own"


@pytest.mark.parametrize("path", notebooks.lessons(), ids=lambda path: path.stem)
def test_every_exercise_has_a_check_hints_and_a_solution(path: Path) -> None:
    ids = {each["id"] for each in json.loads(path.read_text())["cells"]}
    exercises = {id for id in ids if id.startswith("exercise-")}
    assert exercises
    assert exercises == set(lesson_files.solutions(path.stem))
    for kind in ("check-", "hints-"):
        assert {id.replace("exercise-", kind, 1) for id in exercises} <= ids


@pytest.mark.parametrize("path", notebooks.lessons(), ids=lambda path: path.stem)
def test_a_lesson_opens_with_its_title_then_its_parameters(path: Path) -> None:
    first, second = json.loads(path.read_text())["cells"][:2]
    assert first["source"][0].startswith("# ")
    assert "minutes" in "".join(first["source"])
    assert second["metadata"]["tags"] == ["parameters"]
