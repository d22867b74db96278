from typing import Any

from flink_jobs import columns
from flink_jobs.correlate_payments import (
    PAIR,
    PAYMENT,
    PURCHASE,
    Waiting,
    after,
    alert_row,
    explanation,
    found_type,
    pair_row,
)
from flink_jobs.event_time import Arrived

LIMIT_MS = 1_000


def event(kind: str, number: int) -> Arrived:
    fields: dict[str, Any] = {"kind": kind, "eventId": f"r-{number}", "userId": "u", "sentAt": number}
    paid = {"transactionId": "tx-1", "amount": 9.5, "currency": "EUR"} if kind == PAYMENT else {}
    return Arrived(fields | paid, LIMIT_MS)


def through(*moments: tuple[int, list[Arrived]]) -> tuple[list[tuple[str, str]], list[tuple[str, int]]]:
    """Return the ids of pairs, and of what waited in vain with the end of its time, in the course of some moments."""
    waiting: list[Waiting] = []
    pairs, in_vain = [], []
    for at_ms, arrived in moments:
        waiting, found, missing = after(waiting, at_ms, arrived)
        pairs += [(one["event"]["eventId"], other["event"]["eventId"]) for one, other in found]
        in_vain += [(each["event"]["eventId"], each["ends_ms"]) for each in missing]
    return pairs, in_vain


def test_a_purchase_and_a_payment_up_to_the_limit_later_are_a_pair() -> None:
    assert through((0, [event(PURCHASE, 1)]), (1_000, [event(PAYMENT, 2)])) == ([("r-1", "r-2")], [])


def test_a_payment_may_come_first() -> None:
    assert through((0, [event(PAYMENT, 2)]), (1_000, [event(PURCHASE, 1)])) == ([("r-1", "r-2")], [])


def test_what_waits_for_longer_than_the_limit_is_missing_its_counterpart() -> None:
    found = through((0, [event(PURCHASE, 1)]), (1_000, []), (1_001, [event(PAYMENT, 2)]), (2_001, []))
    assert found == ([], [("r-1", 1_000), ("r-2", 2_001)])


def test_one_belongs_to_one_and_the_oldest_first() -> None:
    waiting = (0, [event(PURCHASE, 1)]), (10, [event(PURCHASE, 2)])
    found = through(*waiting, (20, [event(PAYMENT, 3)]), (1_010, []))
    assert found == ([("r-1", "r-3")], [("r-2", 1_010)])


def test_purchases_come_before_payments_of_the_same_time() -> None:
    both = [event(PAYMENT, 2), event(PURCHASE, 1)]
    assert through((0, both)) == through((0, both[::-1])) == ([("r-1", "r-2")], [])


def test_a_pair_has_the_time_of_the_later_one_and_what_lies_between() -> None:
    _, [pair], _ = after(after([], 0, [event(PAYMENT, 2)])[0], 400, [event(PURCHASE, 7)])
    row = ["u", "1970-01-01T00:00:00.400Z", "r-7", "r-2", "tx-1", 9.5, "EUR", -0.4, 7]
    assert list(pair_row(*pair)) == row
    assert len(row) == len(columns.names(PAIR))


def test_an_alert_says_what_is_missing() -> None:
    [purchase], *_ = after([], 0, [event(PURCHASE, 1)])
    [payment], *_ = after([], 0, [event(PAYMENT, 2)])
    assert explanation(purchase) == "purchased, and no payment to the shop within 1 s"
    assert explanation(payment) == "paid 9.50 EUR to the shop, and no purchase within 1 s"
    assert list(alert_row(payment))[:4] == ["payment without purchase", "high", "u", "1970-01-01T00:00:01.000Z"]


def test_the_type_of_what_is_found_has_the_columns_that_are_written() -> None:
    assert found_type().get_field_names() == ["pair", "alert"]
    assert found_type().get_field_types()[0].get_field_names() == columns.names(PAIR)
