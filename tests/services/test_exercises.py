from typing import Any

from kernel_lib import exercises
from kernel_lib.settings import Settings


def test_the_solution_passes_on_the_cluster(settings: Settings) -> None:
    """Fails when the verdict is given before the job has read what was sent."""

    def answer(event: dict[str, Any]) -> dict[str, Any] | None:
        if event["eventType"] not in ("add_to_cart", "purchase"):
            return None
        kept = {name: event[name] for name in ("userId", "eventType")}
        return kept | {"milliseconds": round(event["duration"] * 1000)}

    verdict = exercises.carts_and_purchases(answer, settings=settings)
    assert verdict.state == "right", verdict


def test_a_function_that_raises_hears_its_own_error(settings: Settings) -> None:
    """Fails when the job's failure is told without its cause."""

    def answer(event: dict[str, Any]) -> dict[str, Any]:
        return {"userId": event["user"]}

    verdict = exercises.carts_and_purchases(answer, settings=settings)
    assert verdict.state == "not yet"
    assert "KeyError: 'user'" in verdict.words


def test_without_flink_an_answer_is_not_judged(settings: Settings, unused_port: int) -> None:
    """Fails when a service that is down makes an answer wrong."""
    away = settings.model_copy(update={"flink_jobmanager_url": f"http://127.0.0.1:{unused_port}"})
    verdict = exercises.carts_and_purchases(lambda event: event, settings=away)
    assert verdict.state == "not checked"
    assert "Flink at" in verdict.words
