import pytest

from kernel_lib import lesson_files
from kernel_lib.errors import NotFound


def test_a_lesson_has_a_title_and_exercises() -> None:
    assert lesson_files.names()[0] == "00_cockpit"
    assert lesson_files.title("05_first_job") == "5 · The first job"
    assert lesson_files.exercises("05_first_job") == ("carts",)


def test_solutions_are_found_by_cell_id() -> None:
    assert lesson_files.solutions("05_first_job")["exercise-carts"].startswith("def carts_and_purchases(event):")


def test_a_lesson_that_does_not_exist_is_named() -> None:
    with pytest.raises(NotFound, match="'99_nothing'"):
        lesson_files.exercises("99_nothing")
    with pytest.raises(NotFound, match="'99_nothing'"):
        lesson_files.solutions("99_nothing")
