"""Correlate two streams: each purchase with the payment of the same user to the shop, within a time limit.

    user-events ───> source ──> valid purchases ──┐                                    ┌──> processed-events (pairs)
    transactions ──> source ──> valid payments ───┴──> by user ──> wait for the other ─┴──> alerts (nothing came)
                                             control ──────────────┘ └────> acknowledgements

What comes first, purchase or payment, waits for the other one, at most `limit_seconds` of event time. One belongs to
one: of several that wait, the oldest is taken. A pair is no alert and goes to processed-events, at the time of the
later of the two; `afterSeconds` is how long after the purchase the payment was, below 0 if it was before. What has
waited in vain is an alert, at its own time plus the limit: a purchase without a payment, or a payment without a
purchase. A payment that comes after that is alone, too, and makes an alert of its own.

A changed limit holds for what arrives after it. Events are taken in the order of their time, purchases before payments
of the same time, repeated ones once; see `event_time`. An alert comes when the watermarks of both topics have passed
the limit; a partition that is silent for `idle_timeout_seconds` holds them no longer.

    $ flink run -py flink_jobs/correlate_payments.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypedDict

from pyflink.common import Row, TypeInformation, Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import alerts, columns, command_line, event_time, parameters, streams
from flink_jobs.connectors import Kafka, Start, Topic
from flink_jobs.event_time import Arrived, Event

NAME = "correlate_payments"
PARAMETERS: parameters.Parameters = {"limit_seconds": 5.0}

PURCHASE, PAYMENT = "user-events", "transactions"
BOUGHT = "`eventType` = 'purchase'"
PAID = "`merchantId` = 'merchant-0000' AND `status` = 'completed'"

PAIR = """
  `userId` STRING,
  `timestamp` STRING,
  `purchaseId` STRING,
  `paymentId` STRING,
  `transactionId` STRING,
  `amount` DOUBLE,
  `currency` STRING,
  `afterSeconds` DOUBLE,
  `sentAt` BIGINT
"""

WRITE = """
INSERT INTO {table}
SELECT
{fields}
FROM found
WHERE `{part}` IS NOT NULL
"""


class Waiting(TypedDict):
    """An event that waits for its counterpart; `kind` is the raw topic that it is of, times are epoch milliseconds."""

    kind: str
    event: Event
    at_ms: int
    ends_ms: int


Pair = tuple[Waiting, Waiting]
"""A purchase and its payment."""


def after(
    waiting: list[Waiting], at_ms: int, arrived: list[Arrived]
) -> tuple[list[Waiting], list[Pair], list[Waiting]]:
    """Return who waits after `at_ms`, when some events happened, the pairs found, and who has waited in vain."""
    pairs: list[Pair] = []
    for (kind, event), limit_ms in sorted(map(_of_kind, arrived), key=lambda each: each[0][0] == PAYMENT):
        one: Waiting = {"kind": kind, "event": event, "at_ms": at_ms, "ends_ms": at_ms + limit_ms}
        other = next((each for each in waiting if each["kind"] != kind), None)
        if other is None:
            waiting = [*waiting, one]
        else:
            waiting = [each for each in waiting if each is not other]
            pairs.append((one, other) if kind == PURCHASE else (other, one))
    in_vain = [each for each in waiting if each["ends_ms"] <= at_ms]
    return [each for each in waiting if each["ends_ms"] > at_ms], pairs, in_vain


def _of_kind(arrived: Arrived) -> tuple[tuple[str, Event], int]:
    event = dict(arrived.event)
    return (event.pop("kind"), event), arrived.limit_ms


def explanation(one: Waiting) -> str:
    """Return in words what is missing."""
    limit = f"{(one['ends_ms'] - one['at_ms']) / 1000:g} s"
    if one["kind"] == PURCHASE:
        return f"purchased, and no payment to the shop within {limit}"
    event = one["event"]
    return f"paid {event['amount']:.2f} {event['currency']} to the shop, and no purchase within {limit}"


def pair_row(purchase: Waiting, payment: Waiting) -> Row:
    """Return a pair as it is written."""
    bought, paid = purchase["event"], payment["event"]
    return Row(
        bought["userId"],
        streams.iso(max(purchase["at_ms"], payment["at_ms"])),
        bought["eventId"],
        paid["eventId"],
        paid["transactionId"],
        paid["amount"],
        paid["currency"],
        (payment["at_ms"] - purchase["at_ms"]) / 1000,
        max(bought["sentAt"], paid["sentAt"]),
    )


def alert_row(one: Waiting) -> Row:
    """Return the alert about an event that waited in vain."""
    name, severity = ("unpaid purchase", "medium") if one["kind"] == PURCHASE else ("payment without purchase", "high")
    event, time = one["event"], streams.iso(one["ends_ms"])
    return alerts.row(name, severity, event["userId"], time, [event["eventId"]], explanation(one), event["sentAt"])


def side(kind: str) -> Callable[[Row], Row]:
    """Return the function that makes events of both topics rows of one type: the user, and the event as JSON."""

    def as_side(row: Row) -> Row:
        event = streams.as_event(kind, row)
        event.pop("location", None)
        return Row(event["userId"], json.dumps({"kind": kind, **event}))

    return as_side


def side_type() -> TypeInformation:
    """Return the type of such a row."""
    return Types.ROW_NAMED(["userId", "event"], [Types.STRING(), Types.STRING()])


def found_type() -> TypeInformation:
    """Return the type of what is found: a pair or an alert, the other is null."""
    return Types.ROW_NAMED(["pair", "alert"], [columns.row_type(PAIR), alerts.row_type()])


class Payments(event_time.InOrder):
    """Keeps what waits of each user."""

    def taken(self, value: Row) -> Event:
        return dict(json.loads(value[1]))

    def moment(
        self, kept: list[Waiting] | None, at_ms: int, arrived: list[Arrived]
    ) -> tuple[list[Waiting] | None, list[Row]]:
        waiting, pairs, in_vain = after(kept or [], at_ms, arrived)
        rows = [Row(pair_row(*pair), None) for pair in pairs] + [Row(None, alert_row(each)) for each in in_vain]
        return waiting or None, rows


def both(tables: StreamTableEnvironment, kafka: Kafka, source: Topic, paid: str, reading: dict[str, Any]) -> DataStream:
    """Return purchases and payments in one stream; `reading` says how `streams.valid_events` reads both topics."""
    purchases, payments = (
        streams.valid_events(tables, kafka, kind, source=topic, where=where, **reading)
        .map(side(kind), side_type())
        .name(f"as JSON: {kind}")
        .uid(f"as-json-{kind}")
        for kind, where, topic in zip((PURCHASE, PAYMENT), (BOUGHT, paid), source.split(";"), strict=True)
    )
    return purchases.union(payments)


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = f"{PURCHASE};{PAYMENT}",
    pairs: Topic = "processed-events",
    missing: Topic = "alerts",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    paid: str = PAID,
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`.

    `source`: user events first, then transactions. `paid`: the SQL condition that makes a transaction a payment.
    """
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(kafka.sink("pairs", pairs, PAIR, job=name, key="userId"))
    tables.execute_sql(kafka.sink("missing", missing, alerts.COLUMNS, job=name, key=alerts.KEY))
    reading = {
        "group": name,
        "start": start,
        "out_of_orderness_seconds": out_of_orderness_seconds,
        "idle_timeout_seconds": idle_timeout_seconds,
    }
    found = parameters.connect(
        both(tables, kafka, source, paid, reading).key_by(lambda row: row[0], Types.STRING()),
        Payments(name, begun_with),
        kafka,
        output_type=found_type(),
        control=control,
        acknowledgements=acknowledgements,
    )
    tables.create_temporary_view("found", found)
    lanes = tables.create_statement_set()
    for table, part, written in (("pairs", "pair", PAIR), ("missing", "alert", alerts.COLUMNS)):
        lanes.add_insert_sql(WRITE.format(table=table, part=part, fields=columns.of_part(part, written)))
    lanes.attach_as_datastream()


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
