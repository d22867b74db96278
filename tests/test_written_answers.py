"""Each exercise of each lesson has answers with which its checker is tested, wrong ones and right ones."""

import re

import pytest

from kernel_lib import lesson_files
from tests import written_answers

EXERCISES = [(lesson, name) for lesson in lesson_files.names() for name in lesson_files.exercises(lesson)]


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES)
def test_an_exercise_has_three_wrong_answers_and_two_right_ones_unlike_the_solution(lesson: str, exercise: str) -> None:
    cell = f"exercise-{exercise}"
    sources = {answer.source: answer.state for answer in written_answers.to(lesson) if answer.cell == cell}
    states = [state for source, state in sources.items() if source != lesson_files.solutions(lesson)[cell]]
    assert states.count("not yet") >= 3
    assert states.count("right") >= 2


@pytest.mark.parametrize("lesson", lesson_files.names())
def test_every_cell_of_a_file_of_answers_is_one_to_an_exercise(lesson: str) -> None:
    """Also when its head is misspelt: it would be a part of the answer before it."""
    answers = written_answers.to(lesson)
    text = (written_answers.FOLDER / f"{lesson}.py").read_text(encoding="utf-8")
    assert len(answers) == len(re.findall(r"^# *%%", text, re.MULTILINE))
    assert {answer.cell for answer in answers} <= {f"exercise-{name}" for name in lesson_files.exercises(lesson)}
