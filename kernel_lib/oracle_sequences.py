"""Say which sequences of events there are: the right answers for the jobs that look for them.

>>> events = oracle.replay(shop)
>>> oracle_sequences.purchases(events, timedelta(seconds=60))["purchase"].tolist()
[812, 1304]

Events are those of `oracle.replay`, and columns named after an event hold its number. All are put in the order of
their time, and those of the same time in the order of sending. It shares no code with the jobs.
"""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Positions = NDArray[np.int64]
# To whom the customers of the online shop pay.
SHOP = "merchant-0000"
NOWHERE: Positions = np.array([], np.int64)


def purchases(events: pd.DataFrame, limit: timedelta) -> pd.DataFrame:
    """Return the purchase sequences, one row each: `userId`, `look`, `cart`, `checkout`, `purchase`, `timeMs`.

    After a look at a product the same user puts it into the cart before the next look at any product; then come the
    first view of the checkout and the first purchase after that, at most `limit` after the look. Of those that
    end with the same purchase the earliest look counts, and the next sequence begins after that purchase.
    """
    columns = ["userId", "look", "cart", "checkout", "purchase", "timeMs"]
    buyers = events.loc[events["eventType"] == "purchase", "userId"]
    of_buyers = _ordered(events[events["userId"].isin(buyers)])
    found = [row for _, own in of_buyers.groupby("userId") for row in _purchases_of(own, limit)]
    rows = pd.DataFrame(found, columns=columns)
    return rows.sort_values(["timeMs", "purchase"], ignore_index=True)


def abandoned_carts(events: pd.DataFrame, limit: timedelta) -> pd.DataFrame:
    """Return the carts that were not purchased, one row each: `userId`, `timeMs` (opening plus limit), `numbers`.

    A user's first add_to_cart opens a cart, and the others up to its time are in it too; a purchase up to that time
    empties it. Repeated events count once. `numbers` are those of what was added.
    """
    kinds = events["eventType"].isin(["add_to_cart", "purchase"])
    own_events = _ordered(_once(events[kinds])).groupby("userId")
    rows = [row for _, own in own_events for row in _carts_of(own, limit // timedelta(milliseconds=1))]
    return pd.DataFrame(rows, columns=["userId", "timeMs", "numbers"]).sort_values(
        ["timeMs", "userId"], ignore_index=True
    )


def correlated(
    events: pd.DataFrame, transactions: pd.DataFrame, limit: timedelta, *, merchant: str = SHOP
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the purchases with their payments, and what of both is alone.

    The first: `userId`, `purchase`, `payment`, `timeMs` (of the later one). The second: `userId`, `kind` ("purchase" or
    "payment"), `number`, `timeMs` (its own plus the limit). Two belong together when at most `limit` lies between
    them, each to one, the oldest first. Repeated events count once; a payment is a completed transaction with
    `merchant`, or with any if that is "".
    """
    bought = events[events["eventType"] == "purchase"].assign(kind="purchase", rank=0)
    completed = transactions[transactions["status"] == "completed"].assign(kind="payment", rank=1)
    paid = completed[completed["merchantId"] == merchant] if merchant else completed
    both = pd.concat([_once(bought), _once(paid)]).sort_values(["timeMs", "rank", "number"])
    limit_ms = limit // timedelta(milliseconds=1)
    pairs: list[tuple[str, int, int, int]] = []
    alone: list[tuple[str, str, int, int]] = []
    for user, own in both.groupby("userId"):
        queue: deque[tuple[str, int, int]] = deque()
        for kind, number, time_ms in own[["kind", "number", "timeMs"]].itertuples(index=False, name=None):
            while queue and queue[0][2] + limit_ms < time_ms:
                alone.append((str(user), *_ended(queue.popleft(), limit_ms)))
            if queue and queue[0][0] != kind:
                numbers = {kind: number, queue[0][0]: queue.popleft()[1]}
                pairs.append((str(user), numbers["purchase"], numbers["payment"], time_ms))
            else:
                queue.append((kind, number, time_ms))
        alone += [(str(user), *_ended(each, limit_ms)) for each in queue]
    return (
        pd.DataFrame(pairs, columns=["userId", "purchase", "payment", "timeMs"]),
        pd.DataFrame(alone, columns=["userId", "kind", "number", "timeMs"]),
    )


def _ended(waiting: tuple[str, int, int], limit_ms: int) -> tuple[str, int, int]:
    kind, number, time_ms = waiting
    return kind, number, time_ms + limit_ms


def _carts_of(own: pd.DataFrame, limit_ms: int) -> list[tuple[str, int, tuple[int, ...]]]:
    time_ms, bought = own["timeMs"].to_numpy(), (own["eventType"] == "purchase").to_numpy()
    numbers, user = own["number"].to_numpy(), str(own["userId"].iloc[0])
    adds, purchases = np.flatnonzero(~bought), np.flatnonzero(bought)
    found = []
    opening = _next(adds, -1)
    while opening is not None:
        ends_ms = int(time_ms[opening]) + limit_ms
        last = int(np.searchsorted(time_ms, ends_ms, side="right")) - 1
        purchase = _next(purchases, opening)
        if purchase is None or purchase > last:
            inside = adds[(adds >= opening) & (adds <= last)]
            found.append((user, ends_ms, tuple(numbers[inside].tolist())))
            opening = _next(adds, last)
        else:
            opening = _next(adds, purchase)
    return found


def _purchases_of(own: pd.DataFrame, limit: timedelta) -> list[tuple[object, ...]]:
    kind, page, time_ms = own["eventType"].to_numpy(), own["page"].to_numpy(), own["timeMs"].to_numpy()
    numbers, user = own["number"].to_numpy(), own["userId"].iloc[0]
    viewed, added = kind == "page_view", kind == "add_to_cart"
    checkouts, bought = np.flatnonzero(viewed & (page == "/checkout")), np.flatnonzero(kind == "purchase")
    carts = {product: np.flatnonzero(added & (page == product)) for product in set(page[added])}
    looks = np.flatnonzero(viewed & own["page"].str.count("/").eq(2).to_numpy())
    candidates = []
    for look, next_look in pairwise([*looks.tolist(), len(own)]):
        cart = _next(carts.get(page[look], NOWHERE), look)
        checkout = _next(checkouts, cart if cart is not None and cart < next_look else None)
        purchase = _next(bought, checkout)
        if purchase is not None and time_ms[purchase] - time_ms[look] <= limit // timedelta(milliseconds=1):
            candidates.append((purchase, look, cart, checkout))
    found: list[tuple[object, ...]] = []
    over = -1
    for purchase, look, cart, checkout in sorted(candidates):
        if look > over:
            over = purchase
            steps = numbers[[look, cart, checkout, purchase]].tolist()
            found.append((user, *steps, int(time_ms[purchase])))
    return found


def _next(positions: Positions, after: int | None) -> int | None:
    """Return the first of some positions, in ascending order, that comes after another one."""
    if after is None:
        return None
    at = int(np.searchsorted(positions, after, side="right"))
    return int(positions[at]) if at < len(positions) else None


def _once(events: pd.DataFrame) -> pd.DataFrame:
    """Return events without those that say again what another one said, which may itself have been malformed."""
    return events.drop_duplicates("repeats")


def _ordered(events: pd.DataFrame) -> pd.DataFrame:
    return events.sort_values(["timeMs", "number"], ignore_index=True)
