import json
from pathlib import Path
from typing import Any

import pytest

from infra import grading, notebooks
from infra.grading import Graded, Outcome
from kernel_lib import lesson_files, lessons, services
from kernel_lib.errors import CourseError, NotFound
from kernel_lib.lessons import Verdict

LESSON = "05_first_job"


def cell(id: str, *outputs: dict[str, Any], source: str = "1") -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": id,
        "metadata": {},
        "source": source,
        "execution_count": 1,
        "outputs": list(outputs),
    }


def value(shown: object) -> dict[str, Any]:
    return {"output_type": "execute_result", "metadata": {}, "execution_count": 1, "data": {"text/plain": repr(shown)}}


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def submitted(path: Path, *cells: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def judged(*outputs: dict[str, Any], noted: bool = False, ended: str = "") -> Outcome:
    return grading.judge("carts", {"check-carts": cell("check-carts", *outputs)}, noted=noted, ended=ended)


# The verdict


def test_a_verdict_is_the_value_of_the_check_cell_and_noted_by_the_checker() -> None:
    assert judged(value(lessons.right("All of them.")), noted=True) == Outcome("carts", "right", "All of them.")


def test_a_wrong_answer_keeps_the_checker_s_words() -> None:
    assert judged(value(lessons.not_yet("Two are missing."))) == Outcome("carts", "not yet", "Two are missing.")


def test_a_service_that_was_down_leaves_an_exercise_unchecked() -> None:
    assert judged(value(Verdict("not checked", "Flink is down."))).state == "not checked"


def test_a_verdict_that_no_checker_noted_does_not_count() -> None:
    outcome = judged(value(lessons.right("Trust me.")), noted=False)
    assert outcome.state == "not checked"
    assert "no checker noted: Trust me." in outcome.words


def test_what_a_cell_prints_is_no_verdict() -> None:
    assert judged(printed("✔ right: all of it"), noted=True).state == "not checked"


def test_a_check_that_raises_is_not_yet_with_the_error() -> None:
    error = {"output_type": "error", "ename": "NameError", "evalue": "name 'carts' is not defined", "traceback": []}
    assert judged(error) == Outcome("carts", "not yet", "the check raised NameError: name 'carts' is not defined")


def test_a_check_that_did_not_run_says_why() -> None:
    assert judged(ended="the kernel died") == Outcome("carts", "not reached", "the kernel died")


def test_a_check_that_is_gone_is_not_reached() -> None:
    assert "no cell check-carts any more" in grading.judge("carts", {}, noted=True, ended="").words


@pytest.mark.parametrize(
    ("outcomes", "could"),
    [
        ((), False),
        ((Outcome("carts", "not reached", ""), Outcome("sums", "not yet", "")), True),
        ((Outcome("carts", "right", ""), Outcome("sums", "not checked", "")), False),
    ],
)
def test_what_was_judged_or_not_reached_could_be_graded(outcomes: tuple[Outcome, ...], could: bool) -> None:
    assert Graded("ann", LESSON, outcomes, (), 1, None).could_be_graded is could


# The notebook


def test_a_lesson_is_known_by_its_heading_whatever_the_file_is_called(tmp_path: Path) -> None:
    copy = tmp_path / "homework.ipynb"
    copy.write_text(lesson_files.path(LESSON).read_text())
    assert grading.lesson_of(grading.read(copy)) == LESSON


@pytest.mark.parametrize("lesson", lesson_files.names())
def test_without_its_heading_a_lesson_is_known_by_its_cells(lesson: str) -> None:
    notebook = grading.read(lesson_files.path(lesson))
    changed = {**notebook, "cells": notebook["cells"][1:]}
    assert grading.lesson_of(changed) == lesson


@pytest.mark.parametrize("lesson", lesson_files.names())
def test_a_submission_of_each_lesson_is_judged_by_its_own_exercises(lesson: str, tmp_path: Path) -> None:
    mine = json.loads(lesson_files.path(lesson).read_text())
    for each in mine["cells"]:
        if each["id"].startswith("check-"):
            each["source"] = "lessons.right('Trust me.')"
    notebook = grading.read(submitted(tmp_path / "homework.ipynb", *mine["cells"]))
    assert grading.lesson_of(notebook) == lesson
    checked = {each["id"]: each for each in grading.with_checks(notebook, lesson)["cells"]}
    exercises = lesson_files.exercises(lesson)
    assert exercises
    for exercise in exercises:
        assert "exercises." in "".join(checked[f"check-{exercise}"]["source"])
        outcome = grading.judge(exercise, checked, noted=True, ended="nothing ran")
        assert outcome == Outcome(exercise, "not reached", "nothing ran")


def test_a_heading_alone_makes_no_lesson(tmp_path: Path) -> None:
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# 5 · The first job"}
    with pytest.raises(NotFound, match="not a lesson of the course"):
        grading.lesson_of(grading.read(submitted(tmp_path / "a.ipynb", title)))


def test_an_empty_notebook_is_no_lesson(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not a lesson of the course"):
        grading.lesson_of(grading.read(submitted(tmp_path / "a.ipynb")))


def test_check_cells_are_the_lesson_s_own_and_nothing_that_was_shown_is_kept(tmp_path: Path) -> None:
    path = submitted(
        tmp_path / "a.ipynb",
        cell("exercise-carts", source="my_answer = 1"),
        cell("check-carts", value(lessons.right("Trust me.")), source="lessons.right('Trust me.')"),
    )
    checked = grading.with_checks(grading.read(path), LESSON)
    exercise, check = checked["cells"]
    assert exercise["source"] == ["my_answer = 1"]
    assert check["source"] == ["exercises.carts_and_purchases(carts_and_purchases)"]
    assert check["outputs"] == []


@pytest.mark.parametrize("text", ['{"cells": [', "", "[]", "null", '{"cells": 3}', "[" * 100_000, '{"nbformat": 4}'])
def test_what_is_no_notebook_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(CourseError, match=r"a\.ipynb is not a notebook"):
        grading.read(path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CourseError, match=r"a\.ipynb is not a notebook"):
        grading.read(path)


def test_what_is_read_is_canonical() -> None:
    notebook = grading.read(lesson_files.path(LESSON))
    assert notebooks.rendered(notebook) == lesson_files.path(LESSON).read_text()


# The files


def test_submissions_of_a_folder_are_told_apart_by_their_places(tmp_path: Path) -> None:
    for name in ("ann/05.ipynb", "bob/05.ipynb", "bob/.ipynb_checkpoints/05-checkpoint.ipynb"):
        submitted(tmp_path / name)
    assert list(grading.submissions([tmp_path])) == ["ann/05", "bob/05"]
    assert list(grading.submissions([tmp_path / "bob" / "05.ipynb", tmp_path / "ann"])) == ["bob/05", "ann/05"]


def test_the_same_file_twice_is_one_submission(tmp_path: Path) -> None:
    path = submitted(tmp_path / "05.ipynb")
    assert list(grading.submissions([path, tmp_path])) == ["05"]


def test_a_folder_without_notebooks_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=str(tmp_path)):
        grading.submissions([tmp_path])


def test_taskmanagers_with_jobs_of_somebody_else_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "_jobs_of_others", lambda: {"count_events"})
    monkeypatch.setattr(services, "stop", lambda _: pytest.fail("a TaskManager was stopped"))
    grading.renew_taskmanagers()
