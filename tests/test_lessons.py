import pytest

from kernel_lib import lessons
from kernel_lib.errors import JobFailed, NotFound, ServiceUnavailable
from kernel_lib.lessons import Verdict

QUESTION = {"a copy": "Yes, that is it.", "a backup": "No: a backup is older."}


def test_a_prediction_is_kept_and_not_judged() -> None:
    guess = lessons.predict("When?", ["now", "later"])
    guess.answer("later")
    assert guess.answered == "later"
    assert "✔" not in repr(guess)


def test_a_wrong_answer_says_why() -> None:
    quiz = lessons.quiz("What is a replica?", QUESTION, answer="a copy")
    quiz.answer("a backup")
    assert repr(quiz) == "✘ not yet: No: a backup is older."


def test_a_question_can_be_answered_again_and_by_number() -> None:
    quiz = lessons.quiz("What is a replica?", QUESTION, answer="a copy")
    quiz.answer(2)
    quiz.answer(1)
    assert repr(quiz) == "✔ right: Yes, that is it."


def test_an_unanswered_question_shows_its_options_headless() -> None:
    assert repr(lessons.quiz("?", QUESTION, answer="a copy")) == "not answered yet: a copy / a backup"


def test_an_answer_that_is_no_option_is_an_error_of_the_author() -> None:
    with pytest.raises(NotFound, match="'a clone' is not among the options"):
        lessons.quiz("?", QUESTION, answer="a clone")


def test_a_service_that_is_down_is_no_wrong_answer() -> None:
    def checker() -> Verdict:
        raise ServiceUnavailable("Flink", "127.0.0.1:8081", "connection refused")

    verdict = lessons.check(checker)
    assert verdict.state == "not checked"
    assert "Flink at 127.0.0.1:8081 does not answer" in verdict.words


def test_a_job_that_failed_is_not_yet_with_its_cause() -> None:
    def checker() -> Verdict:
        raise JobFailed("Job exercise ended as FAILED.", cause="KeyError: 'page'")

    assert lessons.check(checker) == Verdict("not yet", "Job exercise ended as FAILED. Cause: KeyError: 'page'")


def test_words_of_a_verdict_are_escaped() -> None:
    assert "<script>" not in lessons.not_yet("<script>")._repr_html_()


def test_solutions_are_found_by_cell_id() -> None:
    assert lessons.solutions("05_first_job")["exercise-carts"].startswith("def carts_and_purchases(event):")


def test_a_lesson_without_solutions_is_named() -> None:
    with pytest.raises(NotFound, match="'99_nothing'"):
        lessons.solutions("99_nothing")
