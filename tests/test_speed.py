import pytest

from infra import speed


def test_a_machine_that_needs_twice_the_time_has_half_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    once, work = speed.index(), speed._piece_of_work

    def twice() -> int:
        return work() + work()

    monkeypatch.setattr(speed, "_piece_of_work", twice)
    assert once / speed.index() == pytest.approx(2, rel=0.2)
