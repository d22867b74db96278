from kernel_lib.groups import Position


def test_lag_counts_from_the_commit_or_from_the_beginning_without_one() -> None:
    assert Position(committed=7, low=0, high=10).lag == 3
    assert Position(committed=-1, low=4, high=10).lag == 6


def test_records_that_were_deleted_before_they_were_read_are_no_lag() -> None:
    assert Position(committed=2, low=4, high=10).lag == 6
