import pytest

from flink_jobs.count_users import Counter, KeyGroup, changed, counted, key_group, keys_of_groups


def test_a_counter_expires_a_ttl_after_the_last_event() -> None:
    counter = counted(None, 1, 1_000, 50)
    assert counter == Counter(1, 1_000, 1_050)
    assert counted(counter, 2, 1_040, 60) == Counter(3, 1_040, 1_100)


def test_a_shorter_ttl_holds_from_the_next_event_on() -> None:
    assert counted(Counter(1, 1_000, 9_000), 1, 2_000, 500) == Counter(2, 2_000, 2_500)


def test_a_late_event_counts_and_prolongs_nothing() -> None:
    assert counted(Counter(1, 1_000, 1_050), 1, 900, 50) == Counter(2, 1_000, 1_050)


def test_a_key_group_holds_the_users_that_were_created_and_have_not_expired() -> None:
    group = KeyGroup()
    for change in ("created", "created", "expired"):
        group = changed(group, change)
    assert (group.users, group.created, group.expired) == (1, 2, 1)


@pytest.mark.parametrize(
    ("key", "group"), [("", 89), ("user-00001", 7), ("user-00002", 34), ("ü", 79), ("\U0001f600", 59)]
)
def test_a_key_group_is_flink_s_own(key: str, group: int) -> None:
    assert key_group(key) == group


def test_every_key_group_has_a_key_in_it() -> None:
    assert [key_group(key) for key in keys_of_groups()] == list(range(120))
