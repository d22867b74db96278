"""Check the exercise of lesson 00: which service is in trouble, and in which state."""

from __future__ import annotations

from collections.abc import Sequence

from kernel_lib import lessons, services
from kernel_lib.lessons import Verdict, not_yet, right
from kernel_lib.services import ServiceStatus
from kernel_lib.settings import Settings


def named_trouble(service: str, state: str, *, settings: Settings | None = None) -> Verdict:
    """Judge whether `service` is the one that is in trouble now, and whether it is in the state named.

    Raises as `lessons.check` does.
    """
    return lessons.check(
        lambda: judge_trouble(service, state, services.statuses(settings=settings)),
        lesson="00_cockpit",
        exercise="trouble",
    )


def judge_trouble(service: str, state: str, statuses: Sequence[ServiceStatus]) -> Verdict:
    """Compare an answer with how the services are; those that wait for a later lesson do not count."""
    for name, value in (("service", service), ("state", state)):
        if not isinstance(value, str):
            return not_yet(f"{name} = {value!r} is no text.", look_at="the quotation marks around the words")
    troubles = {each.name: each for each in statuses if each.in_trouble}
    if not troubles:
        return not_yet(
            f"Every service that should run does, so there is no trouble to name{_waiting(statuses)}.",
            look_at="the buttons of the board",
        )
    if service not in troubles:
        return not_yet(
            f"{service!r} is not the one in trouble.", look_at="the rows of the board whose dot is not green"
        )
    if state != troubles[service].state:
        return not_yet(f"{service} is not {state!r}.", look_at="the second column of its row")
    found = troubles[service]
    return right(f"{service} is {state}: {found.reason}. What helps: {found.remedy}.")


def _waiting(statuses: Sequence[ServiceStatus]) -> str:
    names = [each.name for each in statuses if not (each.healthy or each.in_trouble)]
    verb = "waits" if len(names) == 1 else "wait"
    return f"; {' and '.join(names)} {verb} for a later lesson" if names else ""
