import threading

from kernel_lib import knobs
from kernel_lib.errors import ProducerFailed
from kernel_lib.plots import refresher
from kernel_lib.waiting import wait_until


def knob(apply: object, **options: object) -> knobs.Knob:
    return knobs.Knob("rate", apply, value=100, least=10, most=1000, unit="events/s", **options)  # type: ignore[arg-type]


def test_a_knob_shows_what_is_in_force_and_how_long_it_took() -> None:
    turned = knob(lambda value: 4.2)
    turned.slider.value = 500
    wait_until(lambda: turned.in_force == 500, 5, "the value to be in force")
    assert turned.text == "In force: 500 events/s, acknowledged after 4 ms."
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
    wait_until(lambda: turned.slider.disabled, 5, "the slider to be disabled")
    assert turned.text.endswith("its producer has ended")
    refresher.stop()


def test_a_button_says_what_came_of_it() -> None:
    row = knobs.Buttons({"greet": lambda: "hello"})
    row.buttons["greet"].click()
    wait_until(lambda: row.text == "greet: hello", 5, "the outcome")
    refresher.stop()


def test_a_button_that_fails_says_why() -> None:
    def fail() -> None:
        raise ProducerFailed("no producer", remedy="start one")

    row = knobs.Buttons({"fail": fail})
    row.press("fail")
    wait_until(lambda: row.text == "fail: no producer Try: start one", 5, "the reason")
    refresher.stop()
