from flink_jobs.hold_state import load


def test_a_load_is_as_large_as_asked_for_and_says_whose_it_is() -> None:
    assert len(load("user-1", 1, 1000)) == 1000
    assert load("user-1", 1, 1000) == load("user-1", 1, 1000)
    assert load("user-1", 1, 1000) != load("user-1", 2, 1000) != load("user-2", 2, 1000)


def test_no_load_is_smaller_than_nothing() -> None:
    assert load("user-1", 1, -5) == b""
