import pytest

from kernel_lib.errors import ConfigurationError
from kernel_lib.plots import refresher
from kernel_lib.waiting import wait_until


class Item:
    def __init__(self, fails: bool = False) -> None:
        self.updates = 0
        self.closed = False
        self.error: BaseException | None = None
        self._fails = fails

    def update(self) -> None:
        self.updates += 1
        if self._fails:
            raise ZeroDivisionError("a mistake in a view")

    def broke(self, error: BaseException) -> None:
        self.error = error

    def close(self) -> None:
        self.closed = True


def test_an_item_is_updated_again_and_again() -> None:
    item = Item()
    refresher.add("again", item)
    wait_until(lambda: item.updates >= 3, 5, "three updates")
    refresher.remove("again")


def test_an_item_of_the_same_name_closes_its_predecessor() -> None:
    first, second = Item(), Item()
    refresher.add("same", first)
    refresher.add("same", second)
    assert (first.closed, second.closed) == (True, False)
    refresher.remove("same")


def test_a_broken_item_is_told_and_let_go_while_the_others_go_on() -> None:
    broken, well = Item(fails=True), Item()
    refresher.add("broken", broken)
    refresher.add("well", well)
    wait_until(lambda: broken.error and well.updates >= 3, 5, "the others to go on")
    assert broken.updates == 1
    assert "broken" not in refresher.names()
    refresher.remove("well")


def test_after_stop_nothing_is_updated_and_a_new_item_starts_again() -> None:
    item = Item()
    refresher.add("stopped", item)
    refresher.stop()
    assert item.closed
    later = Item()
    refresher.add("later", later)
    wait_until(lambda: later.updates, 5, "an update")
    refresher.stop()


@pytest.mark.parametrize("per_second", [0, -1, 11])
def test_an_impossible_pace_is_refused(per_second: float) -> None:
    with pytest.raises(ConfigurationError, match="times a second"):
        refresher.pace(per_second)


def test_a_slow_pace_redraws_less_often() -> None:
    refresher.pace(1)
    try:
        assert refresher._refresher.seconds == 1
    finally:
        refresher.pace(refresher.REFRESHES_PER_SECOND)
