import threading
from collections.abc import Callable

import pytest

from kernel_lib import knobs
from kernel_lib.errors import ProducerFailed
from kernel_lib.knob import Knob
from kernel_lib.plots import refresher
from kernel_lib.waiting import wait_until


def knob(apply: Callable[[float], float], gone: Callable[[], str] = str) -> Knob[float]:
    return knobs.slider("rate", apply, value=100, least=10, most=1000, unit="events/s", gone=gone)


def test_a_knob_shows_what_is_in_force_and_how_long_it_took() -> None:
    turned = knob(lambda value: 4321.4)
    turned.control.value = 500
    wait_until(lambda: turned.in_force == 500, 5, "the value to be in force")
    assert turned.text == "In force: 500 events/s, acknowledged after 4,321 ms."
    refresher.stop()


def test_until_the_target_has_acknowledged_the_old_value_is_in_force() -> None:
    release = threading.Event()
    turned = knob(lambda value: float(release.wait(10)))
    turned.ask(500)
    assert turned.text == "Asked for 500 events/s; 100 events/s still in force …"
    release.set()
    refresher.stop()


def test_the_newest_wish_wins() -> None:
    release, applied = threading.Event(), []

    def apply(value: float) -> float:
        release.wait(10)
        applied.append(value)
        return 1.0

    turned = knob(apply)
    for value in (200, 300, 400):
        turned.ask(value)
    release.set()
    wait_until(lambda: turned.in_force == 400, 5, "the last wish")
    assert applied == [200, 400]
    refresher.stop()


def test_a_target_that_fails_is_named_and_the_old_value_stays() -> None:
    def apply(value: float) -> float:
        raise ProducerFailed("Producer x does not run any more.")

    turned = knob(apply)
    turned.ask(500)
    wait_until(lambda: "does not run any more" in turned.text, 5, "the reason")
    assert turned.in_force == 100
    refresher.stop()


def test_a_knob_whose_target_is_gone_is_disabled_with_the_reason() -> None:
    turned = knob(lambda value: 0.0, gone=lambda: "its producer has ended")
    wait_until(lambda: turned.control.disabled, 5, "the knob to be disabled")
    assert turned.text.endswith("its producer has ended")
    refresher.stop()


def test_a_knob_replaces_only_one_of_the_same_target_which_says_why_it_is_disabled() -> None:
    """Fails without the target in the name by which the refresher knows a knob."""

    def of(target: str) -> Knob[bool]:
        return knobs.toggle("runs", lambda value: 1.0, value=True, target=target)

    shop, bank = of("shop"), of("bank")
    again = of("shop")
    assert [each.control.disabled for each in (shop, bank, again)] == [True, False, False]
    assert shop.text == "Cannot be turned: another knob took its place, or plots.stop() closed it"
    assert shop.text in shop.widget.children[1].value
    refresher.stop()


def test_a_knob_follows_a_target_that_is_turned_elsewhere_and_does_not_turn_it() -> None:
    """Fails without the read of the target, or when the control turns what it follows."""
    target, turned = [100.0], []

    def apply(value: float) -> float:
        turned.append(value)
        target[0] = value
        return 4.0

    followed = knobs.slider(
        "rate", apply, value=100, least=10, most=1000, unit="events/s", read=lambda: target[0], read_every_seconds=0
    )
    target[0] = 300
    wait_until(lambda: followed.control.value == 300, 5, "the slider to follow")
    assert followed.text == "In force: 300 events/s."
    target[0] = 5000
    wait_until(lambda: followed.control.value == 1000, 5, "the slider at its end")
    assert followed.text == "In force: 5,000 events/s."
    followed.control.value = 500
    wait_until(lambda: followed.in_force == 500, 5, "a turn of its own")
    assert followed.text == "In force: 500 events/s, acknowledged after 4 ms."
    assert turned == [500]
    refresher.stop()


def test_what_was_read_before_a_turn_ended_is_not_taken_for_what_is_in_force() -> None:
    """Fails when the reading that began before the turn is kept."""
    reading, release, reads = threading.Event(), threading.Event(), list[int]()

    def read() -> float:
        reads.append(len(reads))
        if reads[-1] == 0:
            reading.set()
            release.wait(10)
            return 100
        return 500

    turned = knobs.slider("rate", lambda value: 1.0, value=100, least=10, most=1000, read=read, read_every_seconds=0)
    shown = []
    turned.control.observe(lambda change: shown.append(change["new"]), names="value")
    assert reading.wait(5)
    turned.control.value = 500
    wait_until(lambda: turned.in_force == 500, 5, "the turn")
    release.set()
    wait_until(lambda: len(reads) > 2, 5, "a new reading to be taken")
    assert (turned.in_force, shown) == (500, [500])
    refresher.stop()


def test_a_target_that_cannot_be_read_disables_its_knob_with_the_reason() -> None:
    def read() -> float:
        raise ProducerFailed("Job x does not run any more.")

    turned = knobs.slider("rate", lambda value: 1.0, value=100, least=10, most=1000, read=read)
    wait_until(lambda: turned.control.disabled, 5, "the knob to be disabled")
    assert turned.text == "Cannot be turned: Job x does not run any more."
    refresher.stop()


def test_a_share_is_said_in_percent_and_a_small_step_with_its_digits() -> None:
    share = knobs.slider("late share", lambda value: 1.0, value=0.25, least=0, most=1, step=0.01, percent=True)
    bound = knobs.slider("bound", lambda value: 1.0, value=0.5, least=0, most=5, step=0.1, unit="s")
    assert (share.text, bound.text) == ("In force: 25%.", "In force: 0.5 s.")
    refresher.stop()


def test_a_switch_says_its_position_in_its_own_words() -> None:
    asked = []

    def apply(value: bool) -> float:
        asked.append(value)
        return 3.0

    switch = knobs.toggle("silence partition 2", apply, value=False, on="silent", off="sending")
    assert switch.text == "In force: sending."
    switch.control.value = True
    wait_until(lambda: switch.text == "In force: silent, acknowledged after 3 ms.", 5, "the switch to be in force")
    assert asked == [True]
    refresher.stop()


def test_a_button_says_what_came_of_it() -> None:
    row = knobs.Buttons({"greet": lambda: "hello"})
    row.buttons["greet"].click()
    wait_until(lambda: row.text == "greet: hello", 5, "the outcome")


def test_a_button_that_fails_says_why() -> None:
    def fail() -> None:
        raise ProducerFailed("no producer", remedy="start one")

    row = knobs.Buttons({"fail": fail})
    with pytest.raises(ProducerFailed):
        row.press("fail").result(5)
    wait_until(lambda: row.text == "fail: no producer Try: start one", 5, "the reason")
