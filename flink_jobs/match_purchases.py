"""Find purchase sequences: look at a product, put it into the cart, go to the checkout, purchase, within a time limit.

    user-events ──> source ──> valid? ──> by user ──> steps with the limit in force ──> MATCH_RECOGNIZE ──> alerts
                                  control ──────────────┘ └────> acknowledgements

A sequence belongs to one user, whatever the session. Its four events follow each other in event time, with other
events between them (relaxed contiguity): a look at a product, then the first time that it is put into the cart, before
the user looks at a product again; then the first view of the checkout, then the first purchase, at most
`limit_seconds` after the look. When several sequences end with one purchase, the one that began first counts. The
next one begins after it (SKIP PAST LAST ROW), so no event is in two. Events of the same time come in the topic's order.

MATCH_RECOGNIZE takes no parameters, so the limit that is in force when an event arrives is a column of that event. A
sequence is given up at the first step for which it has taken too long, and always before an hour has passed. An
event that is sent again, with another eventId, makes no other sequence: it only repeats a step that is there.

Flink writes a match only when none that began earlier can still be completed. If a look lived on beside later ones,
a purchase would be reported only when that look is an hour old; so the next look ends it.

    $ flink run -py flink_jobs/match_purchases.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyflink.common import Row, TypeInformation, Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedBroadcastProcessFunction
from pyflink.table import Schema, StreamTableEnvironment

from flink_jobs import alerts, command_line, parameters, streams
from flink_jobs.connectors import Kafka, Start, Topic

NAME = "match_purchases"
EVENTS = "user-events"
PARAMETERS: parameters.Parameters = {"limit_seconds": 60.0}

OF_INTEREST = "`eventType` IN ('add_to_cart', 'purchase') OR `page` = '/checkout' OR `page` LIKE '/%/%'"
PRODUCT = re.compile(r"/[^/]+/[^/]+")

MATCH = """
INSERT INTO alerts
SELECT
  'purchase sequence',
  'low',
  `userId`,
  DATE_FORMAT(`purchased`, 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''),
  ARRAY[`lookId`, `cartId`, `checkoutId`, `purchaseId`],
  CONCAT(
    'looked at ', `page`, ', put it into the cart, went to the checkout and purchased, all within ',
    CAST(CAST(`tookMs` / 1000.0 AS DECIMAL(10, 3)) AS STRING), ' s'
  ),
  `sentAt`
FROM steps
MATCH_RECOGNIZE (
  PARTITION BY `userId`
  ORDER BY `rowtime`
  MEASURES
    look.`eventId` AS `lookId`,
    cart.`eventId` AS `cartId`,
    checkout.`eventId` AS `checkoutId`,
    purchase.`eventId` AS `purchaseId`,
    look.`page` AS `page`,
    purchase.`timeMs` - look.`timeMs` AS `tookMs`,
    TO_TIMESTAMP_LTZ(purchase.`timeMs`, 3) AS `purchased`,
    purchase.`sentAt` AS `sentAt`
  ONE ROW PER MATCH
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (look till_cart*? cart till_checkout*? checkout till_purchase*? purchase) WITHIN INTERVAL '1' HOUR
  DEFINE
    look AS look.`step` = 'look',
    till_cart AS till_cart.`step` <> 'look'
      AND NOT (till_cart.`step` = 'cart' AND till_cart.`page` = look.`page`)
      AND till_cart.`timeMs` - look.`timeMs` <= till_cart.`limitMs`,
    cart AS cart.`step` = 'cart' AND cart.`page` = look.`page`,
    till_checkout AS till_checkout.`step` <> 'checkout'
      AND till_checkout.`timeMs` - look.`timeMs` <= till_checkout.`limitMs`,
    checkout AS checkout.`step` = 'checkout',
    till_purchase AS till_purchase.`step` <> 'purchase'
      AND till_purchase.`timeMs` - look.`timeMs` <= till_purchase.`limitMs`,
    purchase AS purchase.`step` = 'purchase' AND purchase.`timeMs` - look.`timeMs` <= purchase.`limitMs`
)
"""


def step(event_type: str, page: str) -> str:
    """Return which step of a purchase an event is: "look", "cart", "checkout", "purchase", or "" if it is none."""
    if event_type == "page_view" and page == "/checkout":
        return "checkout"
    if event_type == "page_view" and PRODUCT.fullmatch(page):
        return "look"
    return {"add_to_cart": "cart", "purchase": "purchase"}.get(event_type, "")


def steps_type() -> TypeInformation:
    """Return the type of a step's row; made anew, because a used one cannot be sent to the cluster."""
    types = {"userId": Types.STRING(), "eventId": Types.STRING(), "step": Types.STRING(), "page": Types.STRING()}
    types |= {"timeMs": Types.LONG(), "limitMs": Types.LONG(), "sentAt": Types.LONG()}
    return Types.ROW_NAMED(list(types), list(types.values()))


class Steps(parameters.LiveParameters):
    """Passes the steps of purchases, each with the time limit that is in force."""

    def process_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Row]:
        event = streams.as_event(EVENTS, value)
        name = step(event["eventType"], event["page"])
        if name:
            limit_ms = round(1000 * float(self.in_force(ctx)["limit_seconds"]))
            where = (event["userId"], event["eventId"], name, event["page"])
            yield Row(*where, ctx.timestamp(), limit_ms, event["sentAt"])


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = EVENTS,
    sink: Topic = "alerts",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; `begun_with` is in force until `control` says otherwise to the job of this `name`."""
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(kafka.sink("alerts", sink, alerts.COLUMNS, job=name, key=alerts.KEY))
    valid = streams.valid_events(
        tables,
        kafka,
        EVENTS,
        source=source,
        where=OF_INTEREST,
        group=name,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
        idle_timeout_seconds=idle_timeout_seconds,
    )
    steps = parameters.connect(
        valid.key_by(streams.field(EVENTS, "userId"), Types.STRING()),
        Steps(name, begun_with),
        kafka,
        output_type=steps_type(),
        control=control,
        acknowledgements=acknowledgements,
    )
    time = Schema.new_builder().column_by_metadata("rowtime", "TIMESTAMP_LTZ(3)")
    tables.create_temporary_view("steps", steps, time.watermark("rowtime", "SOURCE_WATERMARK()").build())
    lanes = tables.create_statement_set()
    lanes.add_insert_sql(MATCH)
    lanes.attach_as_datastream()


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
