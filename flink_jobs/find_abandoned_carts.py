"""Find carts that are filled and then not purchased within a time limit: "A, then not B".

    user-events ──> source ──> valid? ──> by user ──> carts, with timers ──> alerts
                                  control ──────────────┘ └────> acknowledgements

The first add_to_cart of a user opens a cart; what the user adds later belongs to the same cart and does not prolong
it. A purchase of the user, in whatever session, at most `limit_seconds` after the opening empties it. When that time
has passed without one, the cart is abandoned: an alert with the time of the opening plus the limit. The next
add_to_cart opens another cart.

That nothing happened is known when the watermark has passed the end of the limit, so an alert needs no further
event of that user. A changed limit holds for carts whose first event arrives after it. Events are taken in the order
of their time, repeated ones once; see `event_time`.

    $ flink run -py flink_jobs/find_abandoned_carts.py
"""

from __future__ import annotations

from typing import TypedDict

from pyflink.common import Row, Types
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

from flink_jobs import alerts, command_line, event_time, parameters, streams
from flink_jobs.connectors import Kafka, Start, Topic
from flink_jobs.event_time import Arrived, Event

NAME = "find_abandoned_carts"
EVENTS = "user-events"
PARAMETERS: parameters.Parameters = {"limit_seconds": 30.0}

OF_INTEREST = "`eventType` IN ('add_to_cart', 'purchase')"


class Cart(TypedDict):
    """An open cart of a user; times in epoch milliseconds."""

    user: str
    opened_ms: int
    limit_ms: int
    event_ids: list[str]
    products: list[str]
    sent_at: int


def after(cart: Cart | None, at_ms: int, arrived: list[Arrived]) -> tuple[Cart | None, list[Cart]]:
    """Return a user's cart after `at_ms`, when some events happened, and the carts abandoned at that time."""
    for event, limit_ms in arrived:
        if event["eventType"] == "purchase":
            cart = None
        elif cart is None:
            cart = opened(event, at_ms, limit_ms)
        else:
            cart["event_ids"].append(event["eventId"])
            cart["products"].append(event["page"])
            cart["sent_at"] = max(cart["sent_at"], event["sentAt"])
    if cart and cart["opened_ms"] + cart["limit_ms"] <= at_ms:
        return None, [cart]
    return cart, []


def opened(event: Event, at_ms: int, limit_ms: int) -> Cart:
    """Return the cart that an add_to_cart opens."""
    return {
        "user": event["userId"],
        "opened_ms": at_ms,
        "limit_ms": limit_ms,
        "event_ids": [event["eventId"]],
        "products": [event["page"]],
        "sent_at": event["sentAt"],
    }


def explanation(cart: Cart) -> str:
    """Return in words what became of a cart."""
    products = ", ".join(dict.fromkeys(cart["products"]))
    return f"put into the cart: {products}; no purchase within {cart['limit_ms'] / 1000:g} s"


class Carts(event_time.InOrder):
    """Keeps the cart of each user."""

    def taken(self, value: Row) -> Event:
        event = streams.as_event(EVENTS, value)
        del event["location"]
        return event

    def moment(self, kept: Cart | None, at_ms: int, arrived: list[Arrived]) -> tuple[Cart | None, list[Row]]:
        cart, abandoned = after(kept, at_ms, arrived)
        return cart, [self.alert(each) for each in abandoned]

    def alert(self, cart: Cart) -> Row:
        """Return the alert about an abandoned cart."""
        time = streams.iso(cart["opened_ms"] + cart["limit_ms"])
        words = explanation(cart)
        return alerts.row("abandoned cart", "low", cart["user"], time, cart["event_ids"], words, cart["sent_at"])


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
    found = parameters.connect(
        valid.key_by(streams.field(EVENTS, "userId"), Types.STRING()),
        Carts(name, begun_with),
        kafka,
        output_type=alerts.row_type(),
        control=control,
        acknowledgements=acknowledgements,
    )
    lanes = tables.create_statement_set()
    lanes.add_insert("alerts", tables.from_data_stream(found))
    lanes.attach_as_datastream()


def main() -> None:
    command_line.run(build, command_line.parser(__doc__, name=NAME))


if __name__ == "__main__":
    main()
