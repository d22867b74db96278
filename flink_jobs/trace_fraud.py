"""Report how far each attempt at a fraud has come: the twin of `match_fraud`, with state and timers instead of SQL.

    transactions ──> stamped ──> by   ──> attempts: ──> metrics
       merchants ──> payments   user      state and timers
         control ──────┘

MATCH_RECOGNIZE tells of whole matches only. This job follows the same patterns over the same stamped payments and
reports each stage: "advanced" to it, "matched" at the last one, "broken" by a payment that does not fit, or
"timed out". What it reports as matched is what `match_fraud` finds.

    $ flink run -py flink_jobs/trace_fraud.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pyflink.common import Row, Types
from pyflink.datastream import RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.functions import KeyedProcessFunction
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.table import StreamTableEnvironment

from flink_jobs import columns, command_line, parameters, payments, streams
from flink_jobs.connectors import LANES, Kafka, Start, Topic
from flink_jobs.payments import Payment

NAME = "trace_fraud"
PARAMETERS = payments.PARAMETERS
KIND = "fraud stage"
LONGEST_MS = 3_600_000
EARTH_KM = 6_371

STAGE = """
  `kind` STRING,
  `pattern` STRING,
  `userId` STRING,
  `outcome` STRING,
  `stage` INT,
  `stages` INT,
  `eventId` STRING,
  `timestamp` STRING,
  `eventIds` ARRAY<STRING>,
  `sentAt` BIGINT
"""

Attempt = list[Payment]
"""The payments of one user that fit a pattern's first stages."""

Attempts = dict[str, list[Attempt]]
"""The attempts under way by pattern, the longest first."""


class Pattern(NamedTuple):
    """A pattern: its stages, whether a payment is the next stage of an attempt, and its time limit in seconds.

    Stages before `told_from` are not told: nearly every payment is the first of a burst or of two cities.
    """

    name: str
    stages: int
    told_from: int
    fits: Callable[[Attempt, Payment], bool]
    limit: Callable[[Payment], float]
    concerns: Callable[[Payment], bool] = lambda payment: True


class Told(NamedTuple):
    """What became of the longest attempt at a pattern."""

    pattern: Pattern
    outcome: str
    attempt: Attempt


def is_card_testing(attempt: Attempt, payment: Payment) -> bool:
    """Say whether a payment is small, or large after a small one."""
    if not attempt:
        return bool(payment["amount"] < payment["small_amount"])
    return bool(payment["amount"] >= attempt[0]["large_amount"])


def is_too_far(attempt: Attempt, payment: Payment) -> bool:
    """Say whether a payment is the first one, or so far from it that nobody travels so fast."""
    if not attempt:
        return True
    hours = float(payment["timeMs"] - attempt[0]["timeMs"]) / 3_600_000
    return kilometres(attempt[0], payment) > hours * float(attempt[0]["fastest_kmh"])


def is_at_same_merchant(attempt: Attempt, payment: Payment) -> bool:
    """Say whether a payment goes to the merchant of the first one."""
    return not attempt or bool(payment["merchantId"] == attempt[0]["merchantId"])


def is_forced(attempt: Attempt, payment: Payment) -> bool:
    """Say whether a payment failed, or is completed after four that did."""
    return bool(payment["status"] == ("failed" if len(attempt) < 4 else "completed"))


def kilometres(here: Payment, there: Payment) -> float:
    """Return the great-circle distance between two payments' merchants, by the haversine formula."""
    (lat, lon), (to_lat, to_lon) = ((math.radians(each["lat"]), math.radians(each["lon"])) for each in (here, there))
    half = math.sin((to_lat - lat) / 2) ** 2 + math.cos(lat) * math.cos(to_lat) * math.sin((to_lon - lon) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(half))


PATTERNS = (
    Pattern("card testing", 4, 1, is_card_testing, lambda first: float(first["testing_seconds"])),
    Pattern("two cities", 2, 2, is_too_far, lambda first: math.inf, lambda payment: payment["lat"] is not None),
    Pattern("burst", 8, 2, is_at_same_merchant, lambda first: float(first["burst_seconds"])),
    Pattern("forced", 5, 1, is_forced, lambda first: float(first["forced_seconds"])),
)


def deadline_ms(pattern: Pattern, first: Payment) -> float:
    """Return the latest event time that the last payment of an attempt can have; `first` says the limits."""
    return float(first["timeMs"]) + min(1000 * pattern.limit(first), LONGEST_MS - 1)


def expire(pattern: Pattern, attempts: list[Attempt], now_ms: float) -> tuple[list[Attempt], list[Told]]:
    """Return the attempts whose time is not up, and those told that were the longest when their time was."""
    left, told = list(attempts), []
    for attempt in sorted(attempts, key=lambda each: deadline_ms(pattern, each[0])):
        if deadline_ms(pattern, attempt[0]) >= now_ms:
            break
        told += _told(pattern, "timed out", attempt) if left[0] is attempt else []
        left.remove(attempt)
    return left, told


def advance(pattern: Pattern, attempts: list[Attempt], payment: Payment) -> tuple[list[Attempt], list[Told]]:
    """Return the attempts after a payment, and what to tell of the longest one.

    Each attempt goes on with the very next payment or is broken, and a new one may begin with each payment: the last
    four of five failures still count. A match ends all attempts, because no payment is in two matches of a pattern.
    """
    if not pattern.concerns(payment):
        return attempts, []
    alive, told = expire(pattern, attempts, payment["timeMs"])
    longer = [[*attempt, payment] for attempt in (*alive, []) if pattern.fits(attempt, payment)]
    if longer and len(longer[0]) == pattern.stages:
        return [], [*told, *_told(pattern, "matched", longer[0])]
    if longer and len(longer[0]) >= pattern.told_from:
        return longer, [*told, *_told(pattern, "advanced", longer[0])]
    return longer, [*told, *(_told(pattern, "broken", alive[0]) if alive else [])]


def _told(pattern: Pattern, outcome: str, attempt: Attempt) -> list[Told]:
    return [Told(pattern, outcome, attempt)] if len(attempt) >= pattern.told_from else []


def stage_row(told: Told, cause: Payment) -> Row:
    """Return what is told as a row of the topic metrics; `cause` is the payment that did it, if the time did not."""
    pattern, outcome, attempt = told
    if outcome == "timed out":
        # Whether a timer or the next payment shows it: the same is told.
        last, event_id, at_ms = attempt[-1], None, math.floor(deadline_ms(pattern, attempt[0])) + 1
    else:
        last, event_id, at_ms = cause, cause["eventId"], cause["timeMs"]
    ids = [each["eventId"] for each in attempt]
    identity = (KIND, pattern.name, last["userId"], outcome, len(attempt), pattern.stages)
    return Row(*identity, event_id, streams.iso(at_ms), ids, last["sentAt"])


class Trace(KeyedProcessFunction):  # type: ignore[misc]
    """Keeps a user's attempts, and reports what becomes of them."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._attempts = runtime_context.get_state(ValueStateDescriptor("attempts", Types.PICKLED_BYTE_ARRAY()))

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        payment, kept = payments.as_payment(value), self._kept()
        for pattern in PATTERNS:
            kept[pattern.name], told = advance(pattern, kept.get(pattern.name, []), payment)
            if kept[pattern.name] and kept[pattern.name][-1] == [payment]:
                ctx.timer_service().register_event_time_timer(math.floor(deadline_ms(pattern, payment)) + 1)
            for each in told:
                yield stage_row(each, payment)
        self._keep(kept)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        kept = self._kept()
        for pattern in PATTERNS:
            kept[pattern.name], told = expire(pattern, kept.get(pattern.name, []), timestamp)
            for each in told:
                yield stage_row(each, each.attempt[-1])
        self._keep(kept)

    def _kept(self) -> Attempts:
        return self._attempts.value() or {}

    def _keep(self, attempts: Attempts) -> None:
        under_way = {name: found for name, found in attempts.items() if found}
        if under_way:
            self._attempts.update(under_way)
        else:
            self._attempts.clear()


def build(
    env: StreamExecutionEnvironment,
    kafka: Kafka,
    *,
    name: str = NAME,
    source: Topic = payments.TRANSACTIONS,
    merchants: Topic = payments.MERCHANTS,
    stages: Topic = "metrics",
    control: Topic = "control",
    acknowledgements: Topic = "acknowledgements",
    guarantee: str = "exactly-once",
    start: Start = "committed",
    out_of_orderness_seconds: float = 0.5,
    idle_timeout_seconds: float = 20.0,
    begun_with: parameters.Begun = (PARAMETERS, 0),
) -> None:
    """Add the job to `env`; the options are those of `match_fraud`."""
    tables = StreamTableEnvironment.create(env)
    stamped = payments.stamped_payments(
        env,
        tables,
        kafka,
        name=name,
        source=source,
        merchants=merchants,
        control=control,
        acknowledgements=acknowledgements,
        start=start,
        out_of_orderness_seconds=out_of_orderness_seconds,
        idle_timeout_seconds=idle_timeout_seconds,
        begun_with=begun_with,
    )
    user = payments.STAMPED_FIELDS.index("userId")
    traced = stamped.key_by(lambda row: row[user], Types.STRING()).process(Trace(), columns.row_type(STAGE))
    traced.name("attempts").uid("attempts")
    tables.execute_sql(kafka.sink("stages", stages, STAGE, job=name, key="userId", guarantee=guarantee))
    lanes = tables.create_statement_set()
    lanes.add_insert("stages", tables.from_data_stream(traced))
    lanes.attach_as_datastream()


def main() -> None:
    options = command_line.parser(__doc__, name=NAME)
    options.add_argument("--guarantee", choices=LANES, default="exactly-once")
    command_line.run(build, options)


if __name__ == "__main__":
    main()
