from collections.abc import Callable
from typing import Any

import pytest

from kernel_lib import exercises, jobs, lesson_files
from kernel_lib.lessons import Verdict
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


def test_a_function_that_does_not_return_is_told_so_and_leaves_no_job(settings: Settings) -> None:
    """Fails when the function goes to the cluster first: Flink cannot cancel it there."""

    def answer(event: dict[str, Any]) -> dict[str, Any]:
        while event["eventType"] != "purchase":
            pass
        return event

    verdict = exercises.carts_and_purchases(answer, settings=settings)
    assert verdict.state == "not yet"
    assert "Your function does not return" in verdict.words
    assert jobs.running(settings=settings) == []


CHECKERS: dict[str, tuple[Callable[..., Verdict], tuple[Any, ...]]] = {
    "00_cockpit": (exercises.named_trouble, ("kafka-2", "stopped")),
    "05_first_job": (exercises.carts_and_purchases, (lambda event: event,)),
    "08_watermarks": (exercises.moving_watermark, (4.0, 5.0)),
    "14_exactly_once": (exercises.exact_over_kills, ("exactly-once", "read_committed", 1.0)),
}
# Each lesson's checker without each of the services that it asks.
CASES = [
    (lesson, service)
    for lesson in lesson_files.names()
    for service in (("supervisor",) if lesson == "00_cockpit" else ("Flink", "Kafka"))
]


def without(service: str, settings: Settings, port: int) -> Settings:
    """Return settings with which a service is looked for at a port where nobody listens."""
    url = f"http://127.0.0.1:{port}"
    services = {name: each.model_copy(update={"supervisor": url}) for name, each in settings.course_services.items()}
    changes: dict[str, dict[str, Any]] = {
        "Flink": {"flink_jobmanager_url": url},
        "Kafka": {"kafka_bootstrap_servers": f"127.0.0.1:{port}"},
        "supervisor": {"course_services": services},
    }
    return settings.model_copy(update=changes[service])


@pytest.mark.parametrize(("lesson", "service"), CASES)
def test_without_a_service_an_answer_is_not_judged(
    lesson: str, service: str, settings: Settings, unused_port: int
) -> None:
    """Fails when a service that is down makes an answer wrong."""
    checker, answer = CHECKERS[lesson]
    verdict = checker(*answer, settings=without(service, settings, unused_port))
    assert verdict.state == "not checked"
    assert f"{service} at" in verdict.words
    assert f":{unused_port} does not answer" in verdict.words
