import pytest

from kernel_lib import lessons, progress
from kernel_lib.errors import JobFailed, NoFreeSlots, NotFound, ServiceUnavailable
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

    verdict = lessons.check(checker, lesson="05_first_job", exercise="carts")
    assert verdict.state == "not checked"
    assert "Flink at 127.0.0.1:8081 does not answer" in verdict.words


def test_a_cluster_without_room_is_no_wrong_answer() -> None:
    def checker() -> Verdict:
        raise NoFreeSlots("Job exercise needs 1 slot, and none is free.", cause="pipeline jobs hold 8")

    verdict = lessons.check(checker, lesson="05_first_job", exercise="carts")
    assert verdict.state == "not checked"
    assert "pipeline jobs hold 8" in verdict.words


def test_a_job_that_failed_is_not_yet_with_its_cause() -> None:
    def checker() -> Verdict:
        raise JobFailed("Job exercise ended as FAILED.", cause="KeyError: 'page'")

    assert lessons.check(checker, lesson="05_first_job", exercise="carts") == Verdict(
        "not yet", "Job exercise ended as FAILED. Cause: KeyError: 'page'"
    )


def test_words_of_a_verdict_are_escaped() -> None:
    assert "<script>" not in lessons.not_yet("<script>")._repr_html_()


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is noted as done, instead of writing it to the learner's file."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(progress, "note", lambda *words: found.append(words))
    return found


def test_what_is_right_is_noted_and_nothing_else(noted: list[tuple[str, str]]) -> None:
    lessons.check(lambda: lessons.not_yet("No."), lesson="05_first_job", exercise="carts")
    assert noted == []
    lessons.check(lambda: lessons.right("Yes."), lesson="05_first_job", exercise="carts")
    assert noted == [("05_first_job", "carts")]


def test_hints_come_one_by_one_and_the_solution_last() -> None:
    ladder = lessons.hints("05_first_job", "carts", "Think.", "Return None.")
    assert repr(ladder) == "2 hints and a solution are here when you want them"
    assert ladder.more() == "Hint 1 of 2: Think."
    assert ladder.more().endswith("Hint 2 of 2: Return None.")
    assert "def carts_and_purchases" not in repr(ladder)
    assert ladder.more().partition("One solution, among others:\n")[2].startswith("def carts_and_purchases(event):")
    assert ladder.more() == repr(ladder)


def test_the_button_says_what_comes_next() -> None:
    ladder = lessons.hints("05_first_job", "carts", "Think.", "Return None.")
    button = ladder.widget.children[0]
    said = [button.description]
    for _ in range(3):
        button.click()
        said.append(button.description)
    assert said == ["a hint", "another hint", "show a solution", "that was all"]
    assert button.disabled


def test_hints_to_what_is_no_exercise_are_an_error_of_the_author() -> None:
    with pytest.raises(NotFound, match="no solution of 'sums'"):
        lessons.hints("05_first_job", "sums", "Add.")


def test_a_headless_run_ends_with_the_closing_button(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "_closings", [])
    with pytest.raises(NotFound, match="no closing button"):
        lessons.close()
    lessons.closing("leave", lambda: "an older run of the cell")
    lessons.closing("leave", lambda: "all is as it was")
    assert lessons.close() == "all is as it was"
    lessons.closing("leave", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lessons.close()
