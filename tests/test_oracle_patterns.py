"""The oracle of frauds: what a run planted, and what matches by the rules."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kernel_lib import oracle, oracle_patterns, runs
from kernel_lib.oracle_patterns import Limits, Match
from tests.test_oracle_replay import write_run

BERLIN, TOKYO, SHOP = "merchant-0001", "merchant-0330", "merchant-0000"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


def payment(time_ms: int, **fields: Any) -> dict[str, Any]:
    usual = {"userId": "u", "amount": 20.0, "merchantId": BERLIN, "status": "completed"}
    return {"timeMs": time_ms, **usual, **fields}


def matched(payments: list[dict[str, Any]], limits: Limits = oracle_patterns.USUAL) -> set[tuple[str, str]]:
    """Return the alerts with the numbers of their events."""
    numbered = [{"number": n, "transactionId": f"t-{n}", **each} for n, each in enumerate(payments)]
    found = oracle_patterns.matches("r", pd.DataFrame(numbered), limits)
    return {(each.alert, " ".join(name.removeprefix("r-") for name in each.event_ids)) for each in found}


def test_card_testing_is_a_small_payment_then_three_large_ones_in_time() -> None:
    amounts = [(0, 1.99), (10, 500.0), (20, 800.0), (10_000, 500.0)]
    payments = [payment(at, amount=amount, merchantId=f"merchant-000{n}") for n, (at, amount) in enumerate(amounts)]
    assert matched(payments) == {("card testing", "0 1 2 3")}
    assert not matched([*payments[:3], {**payments[3], "timeMs": 10_001}])
    assert not matched(payments, Limits(large_amount=501))
    assert not matched(payments, Limits(small_amount=1.9))


def test_two_cities_are_judged_by_the_speed_and_the_online_shop_is_nowhere() -> None:
    payments = [payment(0), payment(1, merchantId=SHOP), payment(1_800_000, merchantId=TOKYO)]
    assert matched(payments) == {("two cities", "0 2")}
    assert not matched(payments, Limits(fastest_kmh=20_000))
    assert not matched([payments[0], {**payments[2], "timeMs": 3_600_000}])


def test_a_burst_is_eight_payments_at_one_merchant_and_the_ninth_begins_anew() -> None:
    payments = [payment(at) for at in range(0, 9_000, 500)]
    assert matched(payments) == {("burst", "0 1 2 3 4 5 6 7"), ("burst", "8 9 10 11 12 13 14 15")}
    assert not matched(payments, Limits(burst_seconds=3.4))
    assert not matched([*payments[:7], payment(3_400, merchantId=SHOP), payments[7]])


def test_the_last_four_of_more_failures_are_forced() -> None:
    failed = [payment(at, status="failed", merchantId=f"merchant-{at:04}") for at in range(5)]
    assert matched([*failed, payment(9, merchantId=SHOP)]) == {("forced", "1 2 3 4 5")}
    assert not matched([*failed[:3], payment(9)])


def test_users_are_kept_apart_and_a_duplicate_does_not_count() -> None:
    payments = [payment(at, userId=f"u-{at % 2}") for at in range(8)]
    assert not matched(payments)
    again = [payment(at, transactionId="t") for at in range(7)]
    assert not matched([*again, payment(8)])


def test_payments_are_judged_in_order_of_event_time_then_of_event_id() -> None:
    large = [payment(5, amount=900.0, merchantId=f"merchant-{n:04}") for n in range(3)]
    assert matched([large[0], payment(4, amount=1.0, merchantId="merchant-0005"), *large[1:]]) == {
        ("card testing", "1 0 2 3")
    }


def test_without_noise_every_complete_fraud_matches_and_nothing_else() -> None:
    run, *_ = write_run("transactions", 6_000, events_per_second=800, fraud_share=0.05)
    found = oracle_patterns.matches(run, oracle.replay(run))
    score = oracle_patterns.score(found, run)
    assert (score.precision, score.recall) == (1, 1)
    assert score.complete > 50


def test_a_fraud_that_the_end_of_the_run_cut_off_is_not_complete() -> None:
    run, _, states = write_run("transactions", 6_000, events_per_second=800, fraud_share=0.05)
    whole = oracle_patterns.planted(run)
    assert whole["complete"].all()
    states[max(whole["numbers"].iloc[-1]) :] = runs.REFUSED
    assert oracle_patterns.planted(run)["complete"].tolist() == [True] * (len(whole) - 1) + [False]


def test_a_score_counts_wrong_alerts_and_frauds_that_were_missed() -> None:
    run, *_ = write_run("transactions", 6_000, events_per_second=800, fraud_share=0.05)
    found = sorted(oracle_patterns.matches(run, oracle.replay(run)))
    wrong = Match("burst", "user-00001", ("r-1", "r-2"))
    score = oracle_patterns.score([*found[3:], wrong], run)
    assert (score.complete - score.found, score.alerts - score.right) == (3, 1)
    assert score.recall == 1 - 3 / len(found)
    assert score.text.startswith(f"{len(found) - 3} of {len(found)} complete frauds found; ")
