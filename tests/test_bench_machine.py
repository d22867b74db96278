import math

import pytest

from infra import browser
from infra.bench import machine, roles
from infra.bench.machine import Look
from infra.bench.roles import Taken
from infra.layout import layout

SENT = {"transactions": [10.0, 11.0, 12.0], "iot-sensors": [10.5]}


def test_the_age_is_that_of_the_first_event_that_an_arrow_does_not_count() -> None:
    seen = {"producers → transactions": 3, "transactions → match_fraud": 1, "producers → user-events": 0}
    assert machine.age(Look(12.5, seen), SENT) == 1.5
    assert machine.age(Look(12.5, seen | {"iot-sensors → detect_anomalies": 0}), SENT) == 2.0


def test_an_event_that_was_not_sent_yet_is_not_missed() -> None:
    assert machine.age(Look(11.5, {"transactions → match_fraud": 2}), SENT) == 0
    assert machine.age(Look(12.5, {"transactions → match_fraud": 3}), SENT) == 0


def test_the_processor_time_of_a_role_is_that_of_its_processes_between_two_readings() -> None:
    before = Taken(100.0, {1: ("brokers", 50.0, 200.0), 2: ("kernel", 5.0, 80.0)}, 1000.0)
    after = Taken(110.0, {1: ("brokers", 55.0, 210.0), 2: ("kernel", 5.5, 80.0), 3: ("kernel", 0.5, 20.0)}, 1008.0)
    percent, size = roles.cpu_percent(before, after), roles.megabytes(after)
    assert (percent["brokers"], percent["kernel"], percent["browser"]) == (50, 10, 0)
    assert roles.other_cpu_percent(before, after) == pytest.approx(20)
    assert (size["brokers"], size["kernel"], size["browser"]) == (210, 100, 0)


def test_without_a_browser_each_figure_says_that_it_was_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "missing", lambda: "There is no Chromium on this machine.")
    found = list(machine.measure(layout(), seconds=1, warm_up_seconds=1))
    assert [each.name for each in found] == list(machine.FIGURES)
    assert all(math.isnan(each.value) and not each.reached for each in found if each.goal)
    assert {each.conditions for each in found} == {"NOT MEASURED. There is no Chromium on this machine."}


def test_the_driver_of_the_browser_can_be_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "find", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(browser, "find_spec", lambda name: None)
    assert browser.missing().startswith("playwright is not installed. Try: ./course test")
