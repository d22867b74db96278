from collections import Counter

import pytest

from kernel_lib import reference
from kernel_lib.errors import ConfigurationError, NotFound
from kernel_lib.generators import Transactions, UserEvents
from kernel_lib.knob_log import KnobLog, Knobs
from kernel_lib.records import Location, Merchant, User

ANCHOR_MS = 1_790_000_000_000
USER = User("user-00001", "Berlin", "DE", "basic")
MERCHANT = Merchant("merchant-0001", "bakery", "Berlin", Location(52.52, 13.4))


def test_a_payment_s_usual_merchant_stands_in_the_user_s_home_city() -> None:
    """Fails when the homes are those of another seed than the payments'."""
    stream = Transactions(seed=5)
    fields = stream.fields(stream.batch(0, 300, KnobLog([Knobs(0, ANCHOR_MS, 200, keys=50)])))
    users, merchants = reference.users_of(5, 50), reference.merchants()
    pairs = [
        (users[user].city, merchants[merchant].city)
        for user, merchant in zip(fields["userId"], fields["merchantId"], strict=True)
    ]
    assert {home for home, city in pairs if city} > {"London"}
    assert all(home == city for home, city in pairs if city)


def test_another_seed_gives_other_homes_and_the_same_one_the_same() -> None:
    assert reference.users_of(1, 100) == reference.users_of(1, 100)
    assert reference.users_of(1, 100) != reference.users_of(2, 100)
    assert reference.users_of(1, 200).items() > reference.users_of(1, 100).items()


def test_the_tiers_have_their_shares() -> None:
    counts = Counter(user.tier for user in reference.users_of(1).values())
    assert {tier: round(count / 10_000, 1) for tier, count in counts.items()} == reference.TIER_SHARES


def test_every_user_and_merchant_of_the_streams_is_known() -> None:
    events = UserEvents(seed=1)
    seen = events.fields(events.batch(0, 500, KnobLog([Knobs(0, ANCHOR_MS, 200, keys=40)])))["userId"]
    assert set(seen) <= set(reference.users_of(1, 40))
    assert list(reference.merchants()) == [merchant.id for merchant in Transactions().merchants]
    assert reference.merchants()["merchant-0000"] == Merchant("merchant-0000", "online shop", "", None)


def test_a_record_changes_in_the_fields_that_are_given() -> None:
    assert reference.changed_fields("users", USER, {"tier": "gold"}) == User("user-00001", "Berlin", "DE", "gold")
    moved = reference.changed_fields("merchants", MERCHANT, {"city": "Hamburg", "location": {"lat": 53.5, "lon": 10}})
    assert moved == Merchant("merchant-0001", "bakery", "Hamburg", Location(53.5, 10.0))
    nowhere = Merchant("merchant-0001", "bakery", "Berlin", None)
    assert reference.changed_fields("merchants", MERCHANT, {"location": None}) == nowhere


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"teir": "gold"}, "no field 'teir'"),
        ({"userId": "user-00002"}, "no field 'userId' that can be changed"),
        ({"tier": "platinum"}, "tiers: basic, silver, gold"),
        ({"city": 7}, r"Expected `str`, got `int` - at `\$.city`"),
        ({}, "without a field"),
    ],
)
def test_what_a_record_cannot_be_is_said(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        reference.changed_fields("users", USER, fields)


def test_only_two_topics_have_reference_data() -> None:
    with pytest.raises(NotFound, match="users, merchants"):
        reference.get("user-events", "user-00001")


def test_more_users_than_there_are_cannot_be_published() -> None:
    with pytest.raises(ConfigurationError, match="at most 100,000"):
        reference.publish(users=100_001)
