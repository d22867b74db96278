import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kernel_lib.errors import ServiceUnavailable
from kernel_lib.shared import Answers
from kernel_lib.waiting import wait_until

AGES, NOW = -math.inf, math.inf


def test_an_answer_is_shared_for_as_long_as_each_one_who_asks_is_content_with_it() -> None:
    answers, numbers = Answers(), iter(range(9))
    assert [answers.of("n", lambda: next(numbers), since=AGES) for _ in range(3)] == [0, 0, 0]
    assert answers.of("n", lambda: next(numbers), since=NOW) == 1
    assert answers.of("n", lambda: next(numbers), since=AGES) == 1


def test_other_questions_have_other_answers() -> None:
    answers = Answers()
    assert [answers.of(n, lambda n=n: n, since=AGES) for n in (1, 2)] == [1, 2]  # type: ignore[misc]


def test_who_asks_what_is_being_asked_waits_for_that_answer() -> None:
    answers, release, asked = Answers(), threading.Event(), list[int]()

    def slow() -> str:
        asked.append(1)
        release.wait(20)
        return "found"

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(answers.of, "slow", slow, since=NOW) for _ in range(4)]
        wait_until(lambda: sum(each.running() for each in calls) == 4, 10, "all to ask")
        release.set()
        assert {each.result(20) for each in calls} == {"found"}
    assert len(asked) < 4


def test_an_error_is_an_answer_too_and_the_next_one_asks_again() -> None:
    answers, outcomes = Answers(), ["down", "up"]

    def ask() -> str:
        found = outcomes.pop(0)
        if found == "down":
            raise ServiceUnavailable("Flink", "127.0.0.1:1", found)
        return found

    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="down"):
            answers.of("state", ask, since=AGES)
    assert answers.of("state", ask, since=NOW) == "up"


def test_old_answers_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel_lib.shared.OLDEST_SECONDS", -1.0)
    answers = Answers()
    for number in range(100):
        answers.of(number, lambda: "x" * 1000, since=NOW)
    assert len(answers._found) == 1
