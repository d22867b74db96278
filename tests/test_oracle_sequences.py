from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kernel_lib import oracle, oracle_sequences
from tests.test_oracle_replay import write_run

LOOK, CART = ("page_view", "/books/1"), ("add_to_cart", "/books/1")
CHECKOUT, PURCHASE = ("page_view", "/checkout"), ("purchase", "/checkout")
OTHER, HOME = ("page_view", "/music/9"), ("page_view", "/")
WHOLE = (LOOK, CART, CHECKOUT, PURCHASE)


def shop(*steps: tuple[str, str], user: str = "a", every_ms: int = 1_000) -> pd.DataFrame:
    """Return events of one user, numbered from 0, that lie some time apart."""
    rows = [
        {"number": n, "userId": user, "timeMs": n * every_ms, "eventType": kind, "page": page, "repeats": n}
        for n, (kind, page) in enumerate(steps)
    ]
    return pd.DataFrame(rows)


def sequences(events: pd.DataFrame, seconds: float = 60) -> list[list[int]]:
    found = oracle_sequences.purchases(events, timedelta(seconds=seconds))
    return [list(row) for row in found[["look", "cart", "checkout", "purchase"]].itertuples(index=False)]


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        (WHOLE, [[0, 1, 2, 3]]),
        ((LOOK, HOME, CART, OTHER, CHECKOUT, OTHER, PURCHASE), [[0, 2, 4, 6]]),
        ((LOOK, OTHER, CART, CHECKOUT, PURCHASE), []),
        ((OTHER, CART, CHECKOUT, PURCHASE), []),
        ((LOOK, CHECKOUT, CART, PURCHASE), []),
        ((LOOK, LOOK, CART, CART, CHECKOUT, CHECKOUT, PURCHASE, PURCHASE), [[1, 2, 4, 6]]),
        ((*WHOLE, *WHOLE), [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ((LOOK, CART, LOOK, CHECKOUT, PURCHASE, CART, CHECKOUT, PURCHASE), [[0, 1, 3, 4]]),
        ((LOOK, CART, LOOK, CART, CHECKOUT, PURCHASE), [[0, 1, 4, 5]]),
    ],
)
def test_a_purchase_sequence_has_its_four_steps_in_order(steps: Iterable[tuple[str, str]], found: list[Any]) -> None:
    assert sequences(shop(*steps)) == found


def test_the_limit_is_from_the_look_to_the_purchase_and_includes_it() -> None:
    assert sequences(shop(*WHOLE), seconds=3) == [[0, 1, 2, 3]]
    assert sequences(shop(*WHOLE), seconds=2.999) == []
    assert sequences(shop(LOOK, *WHOLE), seconds=3) == [[1, 2, 3, 4]]


def test_steps_of_two_users_are_no_sequence() -> None:
    events = pd.concat([shop(LOOK, CART), shop(LOOK, CART, CHECKOUT, PURCHASE, user="b").iloc[2:]], ignore_index=True)
    assert sequences(events) == []


def test_the_planted_purchase_sequences_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    run, *_ = write_run("user-events", 6_000)
    planted = oracle.truths(run)
    whole = planted[planted["steps"].map(len) == 4]
    found = oracle_sequences.purchases(oracle.replay(run), timedelta(seconds=60))
    assert len(whole) >= 11
    assert {numbers[-1] for numbers in whole["numbers"]} <= set(found["purchase"])


def carts(events: pd.DataFrame, seconds: float) -> list[tuple[int, tuple[int, ...]]]:
    found = oracle_sequences.abandoned_carts(events, timedelta(seconds=seconds))
    return list(found[["timeMs", "numbers"]].itertuples(index=False, name=None))


def test_a_cart_lasts_from_its_first_event_on_and_is_emptied_by_a_purchase_in_time() -> None:
    assert carts(shop(CART, HOME, PURCHASE), 2) == []
    assert carts(shop(CART, HOME, PURCHASE), 1.999) == [(1_999, (0,))]
    assert carts(shop(CART, CART, CART, CART), 2) == [(2_000, (0, 1, 2)), (5_000, (3,))]
    assert carts(shop(PURCHASE, CART, PURCHASE, CART), 10) == [(13_000, (3,))]


def test_a_repeated_event_is_in_the_cart_once() -> None:
    events = shop(CART, CART, every_ms=0)
    events["repeats"] = 0
    assert carts(events, 1) == [(1_000, (0,))]


def test_carts_of_two_users_are_apart() -> None:
    events = pd.concat([shop(CART), shop(HOME, PURCHASE, user="b")], ignore_index=True)
    assert carts(events, 5) == [(5_000, (0,))]


def bank(*payments: tuple[int, str, str], user: str = "a") -> pd.DataFrame:
    rows = [
        {"number": n, "userId": user, "timeMs": at_ms, "status": status, "merchantId": merchant, "repeats": n}
        for n, (at_ms, status, merchant) in enumerate(payments)
    ]
    return pd.DataFrame(rows)


PAID = ("completed", oracle_sequences.SHOP)


@pytest.mark.parametrize(
    ("payment", "paired"),
    [
        ((0, *PAID), True),
        ((2_000, *PAID), True),
        ((3_000, *PAID), True),
        ((3_001, *PAID), False),
        ((500, "failed", oracle_sequences.SHOP), False),
        ((500, "completed", "merchant-0001"), False),
    ],
)
def test_a_purchase_and_a_payment_to_the_shop_within_the_limit_are_a_pair(
    payment: tuple[int, str, str], paired: bool
) -> None:
    pairs, alone = oracle_sequences.correlated(shop(HOME, PURCHASE), bank(payment), timedelta(seconds=2))
    assert len(pairs) == paired
    assert (1, 3_000) in zip(alone["number"], alone["timeMs"], strict=True) or paired


def test_each_belongs_to_one_and_the_oldest_first() -> None:
    pairs, alone = oracle_sequences.correlated(
        shop(PURCHASE, PURCHASE), bank((500, *PAID), (4_000, *PAID)), timedelta(seconds=2)
    )
    assert pairs[["purchase", "payment"]].to_numpy().tolist() == [[0, 0]]
    assert list(alone[["kind", "number", "timeMs"]].itertuples(index=False, name=None)) == [
        ("purchase", 1, 3_000),
        ("payment", 1, 6_000),
    ]


def test_every_planned_purchase_is_paired_with_its_payment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    runs = [write_run(topic, 6_000)[0] for topic in ("user-events", "transactions")]
    events, transactions = map(oracle.replay, runs)
    pairs, alone = oracle_sequences.correlated(events, transactions, timedelta(seconds=5))
    assert len(pairs) >= 11
    assert set(alone["kind"]) == {"purchase"}
