from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_lib.generators import Transactions, UserEvents, shopping
from kernel_lib.generators.people import distance_km
from kernel_lib.generators.streams import Batch
from kernel_lib.generators.transactions import BLOCK
from kernel_lib.knob_log import KnobLog, Knobs

ANCHOR_MS = 1_790_000_000_000
MERCHANTS = {merchant.id: merchant for merchant in Transactions().merchants}


def made(count: int, seed: int = 3, **knobs: float) -> tuple[Transactions, Batch]:
    stream = Transactions(seed)
    return stream, stream.batch(0, count, KnobLog([Knobs(0, ANCHOR_MS, 200, **knobs)]))  # type: ignore[arg-type]


def rows(stream: Transactions, batch: Batch) -> list[dict[str, object]]:
    fields = stream.fields(batch)
    return [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]


def frauds(stream: Transactions, batch: Batch) -> dict[tuple[str, int], list[dict[str, object]]]:
    found: dict[tuple[str, int], list[dict[str, object]]] = defaultdict(list)
    for row, kind, episode in zip(rows(stream, batch), batch.truth.tolist(), batch.episode.tolist(), strict=True):
        if stream.truths[kind] not in ("", "purchase sequence"):
            found[stream.truths[kind], episode].append(row)
    return found


def kilometres(one: object, other: object) -> float:
    places = [getattr(MERCHANTS[str(id)], name) for id in (one, other) for name in ("lat", "lon")]
    return float(distance_km(*(np.array([value]) for value in places))[0])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1_000_000), share=st.floats(0.01, 0.07))
def test_every_planted_fraud_is_really_in_the_stream(seed: int, share: float) -> None:
    stream, batch = made(64 * BLOCK, seed, fraud_share=share)  # whole blocks: none is cut short
    for (kind, _), events in frauds(stream, batch).items():
        amounts, cities = [float(str(e["amount"])) for e in events], [str(e["merchantId"]) for e in events]
        assert len({e["userId"] for e in events}) == 1
        match kind:
            case "card testing":
                assert amounts[0] < 2
                assert min(amounts[1:]) >= 500
                assert len(events) == 4
            case "two cities":
                assert kilometres(*cities) > 3_000
            case "burst":
                assert (len(events), len(set(cities))) == (8, 1)
            case "forced":
                assert [e["status"] for e in events] == ["failed"] * 4 + ["completed"]


def test_every_kind_of_fraud_is_planted_with_the_share_that_was_asked_for() -> None:
    stream, batch = made(100_000, fraud_share=0.03)
    found = Counter(kind for kind, _ in frauds(stream, batch))
    assert set(found) == set(stream.truths[1:-1])
    assert abs(np.mean((batch.truth > 0) & (batch.truth < 5)) - 0.03) < 0.004


def test_without_a_planted_fraud_nothing_looks_like_one() -> None:
    stream, batch = made(60_000)
    by_user: dict[object, list[dict[str, object]]] = defaultdict(list)
    for row in rows(stream, batch):
        if row["merchantId"] != "merchant-0000":
            by_user[row["userId"]].append(row)
    for payments in by_user.values():
        assert all(3 <= float(str(row["amount"])) <= 400 for row in payments)
        assert len({MERCHANTS[str(row["merchantId"])].city for row in payments}) == 1
        assert not any(
            one["merchantId"] == other["merchantId"] or one["status"] == other["status"] == "failed"
            for one, other in pairwise(payments)
        )


def test_most_payments_succeed_and_some_fail_or_wait() -> None:
    stream, batch = made(20_000)
    shares = np.bincount(batch.type) / len(batch.type)
    assert shares[0] > 0.9
    assert 0.03 < shares[stream.event_types.index("failed")] < 0.05
    assert 0.01 < shares[stream.event_types.index("pending")] < 0.02


def test_a_currency_is_that_of_the_user_s_home() -> None:
    stream, batch = made(3_000)
    currencies: dict[object, set[object]] = defaultdict(set)
    for row in rows(stream, batch):
        currencies[row["userId"]].add(row["currency"])
    assert all(len(found) == 1 for found in currencies.values())
    assert {"EUR", "USD", "GBP", "INR"} <= {str(name) for found in currencies.values() for name in found}


@pytest.mark.parametrize("rate", [20, 500])
def test_a_planned_purchase_runs_through_both_topics(rate: float) -> None:
    log = KnobLog([Knobs(0, ANCHOR_MS, rate)])
    steps: dict[int, list[tuple[int, int, str]]] = defaultdict(list)
    for stream in (UserEvents(5), Transactions(5)):
        batch = stream.batch(0, int(rate * 60), log)
        planned = batch.truth == len(stream.truths) - 1
        columns = (batch.episode, batch.step, batch.time_ms, batch.key)
        for episode, step, time_ms, key in zip(*(c[planned].tolist() for c in columns), strict=True):
            steps[episode].append((step, time_ms, stream.key_names[key]))
    whole = [found for found in steps.values() if len(found) == len(shopping.STEPS)]
    assert len(whole) >= 11
    for found in whole:
        assert [step for step, _, _ in found] == list(range(len(shopping.STEPS)))
        assert [time_ms for _, time_ms, _ in found] == sorted(time_ms for _, time_ms, _ in found)
        assert len({user for _, _, user in found}) == 1


def test_a_duplicate_has_the_transaction_id_of_its_original() -> None:
    stream, batch = made(2_000, duplicate_share=0.1)
    ids = stream.fields(batch)["transactionId"]
    again = np.flatnonzero(batch.source != batch.index).tolist()
    assert again
    assert all(ids[at] == ids[int(batch.source[at])] for at in again)
    assert len(set(ids)) == len(ids) - len(again)
