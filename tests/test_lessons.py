import pytest

from kernel_lib import cluster, knobs, lessons, progress
from kernel_lib.errors import (
    ConfigurationError,
    CourseError,
    JobFailed,
    NoFreeSlots,
    NotFound,
    ProducerFailed,
    ServiceUnavailable,
    WaitTimeout,
)
from kernel_lib.lessons import Verdict
from kernel_lib.plots import refresher
from kernel_lib.waiting import wait_until

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


def checked(error: CourseError) -> Verdict:
    """Return the verdict of a checker that met an error."""

    def checker() -> Verdict:
        raise error

    return lessons.check(checker, lesson="05_first_job", exercise="carts")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ServiceUnavailable("Flink", "flink:8081", "connection refused"),
            "Flink at flink:8081 does not answer. Cause: connection refused Try: ./course status",
        ),
        (
            NoFreeSlots("Job exercise needs 1 slot, and none is free.", cause="pipeline jobs hold 8", remedy="cancel"),
            "none is free. Cause: pipeline jobs hold 8 Try: cancel",
        ),
        (
            WaitTimeout("Waited 60 s for job exercise to run.", cause="last seen: False"),
            "for job exercise to run. Cause: last seen: False Try: ./course status, and check again",
        ),
        (
            ProducerFailed("Producer a of user-events does not run any more.", cause="it ended with code 1"),
            "does not run any more. Cause: it ended with code 1 Try: ./course status, and check again",
        ),
        (
            JobFailed("Job exercise ended as FAILED.", cause=cluster.NO_PYTHON, remedy="mend it"),
            "Job exercise ended as FAILED. Cause: a TaskManager was interrupted while it started Python",
        ),
        (ConfigurationError("NAMESPACE is wrong.", remedy="./course up"), "NAMESPACE is wrong. Try: ./course up"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, CourseError) else "",
)
def test_what_the_services_are_to_blame_for_is_no_wrong_answer(error: CourseError, words: str) -> None:
    verdict = checked(error)
    assert verdict.state == "not checked"
    assert verdict.words.startswith("your answer was not judged: ")
    assert words in verdict.words


def test_a_check_whose_waits_together_take_too_long_is_no_wrong_answer() -> None:
    def checker() -> Verdict:
        wait_until(lambda: False, 60, "a slow cluster", interval_seconds=0.01)
        return lessons.not_yet("No.")

    verdict = lessons.check(checker, lesson="05_first_job", exercise="carts", seconds=0.05)
    assert verdict.state == "not checked"
    assert "The time was up while waiting for a slow cluster" in verdict.words
    assert "Try: ./course status, and check again" in verdict.words


def test_a_job_that_failed_is_not_yet_with_its_cause() -> None:
    assert checked(JobFailed("Job exercise ended as FAILED.", cause="KeyError: 'page'")) == Verdict(
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
    knob = knobs.toggle("a knob of the lesson", lambda _: 0.0, value=True, on="on", off="off")
    assert lessons.close() == "all is as it was"
    assert knob.control.disabled
    assert not refresher.names()
    lessons.closing("leave", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lessons.close()
