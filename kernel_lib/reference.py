"""Publish what is known about users and merchants to the compacted topics `users` and `merchants`, and change it.

    >>> reference.publish(seed=1)
    '10,000 users and 481 merchants are in the topics users and merchants; 10,481 records were written'
    >>> reference.change("merchants", "merchant-0007", category="books").city
    'Berlin'
    >>> reference.get("users", "user-00007").tier
    'basic'

The users and merchants are those of the generators with the same seed. Every record is a version of its key: it is
valid from the record's timestamp on until the next version's. The newest is the one written last, which is what
compaction keeps of a key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
import numpy as np
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as KafkaProducer

from kernel_lib import kafka_client, topics
from kernel_lib.errors import ConfigurationError, MalformedRecord, NotFound
from kernel_lib.generators import Transactions
from kernel_lib.generators.cities import CITIES
from kernel_lib.generators.people import USERS, People
from kernel_lib.generators.scramble import Dice
from kernel_lib.kafka_client import ANSWER_SECONDS, Record
from kernel_lib.knob_log import MOST_KEYS
from kernel_lib.records import Location, Merchant, User
from kernel_lib.settings import Settings, load

KINDS: dict[str, type[User] | type[Merchant]] = {"users": User, "merchants": Merchant}
KEYS = {"users": "userId", "merchants": "merchantId"}
TIER_SHARES = {"basic": 0.7, "silver": 0.2, "gold": 0.1}
BEGINNING_MS = 1
"""From when a key's first version is valid, so that it holds for every event; librdkafka takes 0 for "now"."""

_MOST_RECORDS = 10_000_000
Reference = User | Merchant
"""A record of one of the topics."""


def publish(
    seed: int = 1, users: int = USERS, *, valid_from_ms: int | None = None, settings: Settings | None = None
) -> str:
    """Make the topics hold the users and merchants of a seed, and return in words what was written.

    A record that is there already is not written again. What is new is valid from the beginning of time, what
    differs from now on; or both from `valid_from_ms` (epoch) on.
    Raises ConfigurationError for more users than generators have, NotFound without the topics, ServiceUnavailable.
    """
    if not 0 <= users <= MOST_KEYS:
        raise ConfigurationError(f"There are no {users:,} users.", cause=f"generators have at most {MOST_KEYS:,}")
    settings = settings or load()
    written = _bring("users", users_of(seed, users), valid_from_ms, settings)
    written += _bring("merchants", merchants(), valid_from_ms, settings)
    return (
        f"{users:,} users and {len(merchants()):,} merchants are in the topics users and merchants; "
        f"{written:,} records were written"
    )


def change(
    topic: str, key: str, *, valid_from_ms: int | None = None, settings: Settings | None = None, **fields: object
) -> Reference:
    """Write a new version of one record with these fields changed, and return it; it is valid from now on.

    Raises NotFound for an unknown topic or key, ConfigurationError for an unknown field or a wrong value.
    """
    settings = settings or load()
    changed = changed_fields(topic, get(topic, key, settings=settings), fields)
    _write(topic, {key: changed}, {key: _now_ms() if valid_from_ms is None else valid_from_ms}, settings)
    return changed


def current(topic: str, *, settings: Settings | None = None) -> dict[str, Reference]:
    """Return the newest version of every record, by key; raises NotFound, MalformedRecord."""
    kind = _kind(topic)
    records = topics.read(topic, limit=_MOST_RECORDS, settings=settings)
    in_order = sorted(records, key=lambda record: (record.partition, record.offset))
    newest = {(record.key or b"").decode(): record for record in in_order}
    return {key: _parsed(record, kind) for key, record in newest.items() if record.value}


def get(topic: str, key: str, *, settings: Settings | None = None) -> Reference:
    """Return the newest version of one record; raises NotFound for an unknown topic or key."""
    found = current(topic, settings=settings)
    if key not in found:
        keys = sorted(found)
        cause = f"its keys go from {keys[0]} to {keys[-1]}" if keys else f"topic {topic} is empty"
        raise NotFound(f"There is no {key!r} in {topic}.", cause=cause, remedy="reference.publish()")
    return found[key]


def users_of(seed: int, users: int = USERS) -> dict[str, User]:
    """Return the users of a seed by id: the home that the generators give them, and a tier."""
    dice = Dice(seed)
    people = People(dice)
    tiers, bounds = list(TIER_SHARES), np.cumsum(list(TIER_SHARES.values()))[:-1]
    numbers = np.arange(users)
    tier_of = np.searchsorted(bounds, dice.share("tier", numbers), side="right").tolist()
    found = {}
    for number, home in enumerate(map(CITIES.__getitem__, people.home[:users].tolist())):
        found[people.ids[number]] = User(people.ids[number], home.name, home.country, tiers[tier_of[number]])
    return found


def merchants() -> dict[str, Merchant]:
    """Return the merchants by id; they are the same for every seed."""
    return {
        each.id: Merchant(each.id, each.category, each.city, Location(each.lat, each.lon) if each.city else None)
        for each in Transactions().merchants
    }


def changed_fields(topic: str, record: Reference, fields: Mapping[str, object]) -> Reference:
    """Return `record` with some fields changed; raises ConfigurationError for an unknown field or a wrong value."""
    known = [name for name in record.__struct_fields__ if name != KEYS[topic]]
    unknown = [name for name in fields if name not in known]
    remedy = f"reference.get({topic!r}, {getattr(record, KEYS[topic])!r})"
    if unknown or not fields:
        what = f"no field {unknown[0]!r} that can be changed" if unknown else "nothing to change without a field"
        raise ConfigurationError(f"A record of {topic} has {what}.", cause=f"fields: {', '.join(known)}", remedy=remedy)
    try:
        changed = msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(record, **fields)), type(record))
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"A record of {topic} cannot be so.", cause=str(error), remedy=remedy) from error
    if isinstance(changed, User) and changed.tier not in TIER_SHARES:
        cause = f"tiers: {', '.join(TIER_SHARES)}"
        raise ConfigurationError(f"There is no tier {changed.tier!r}.", cause=cause, remedy=remedy)
    return changed


def _kind(topic: str) -> type[User] | type[Merchant]:
    if topic not in KINDS:
        raise NotFound(f"Topic {topic!r} has no reference data.", cause=f"these have: {', '.join(KINDS)}")
    return KINDS[topic]


def _parsed(record: Record, kind: type[User] | type[Merchant]) -> Reference:
    try:
        return msgspec.json.decode(record.value or b"", type=kind)
    except msgspec.DecodeError as error:
        raise MalformedRecord(
            f"Record {record.offset} of {record.topic}, partition {record.partition}, is no {kind.__name__}.",
            cause=str(error),
            remedy="write a new version of its key",
        ) from error


def _bring(topic: str, wanted: Mapping[str, Reference], valid_from_ms: int | None, settings: Settings) -> int:
    """Write what differs from the newest versions; return how many records that were."""
    there, now = current(topic, settings=settings), _now_ms()
    new = {key: record for key, record in wanted.items() if there.get(key) != record}
    usual = {key: now if key in there else BEGINNING_MS for key in new}
    _write(topic, new, usual if valid_from_ms is None else dict.fromkeys(new, valid_from_ms), settings)
    return len(new)


def _write(topic: str, records: Mapping[str, Reference], valid_from_ms: Mapping[str, int], settings: Settings) -> None:
    """Write records and return when all in-sync replicas have them."""
    heard = kafka_client.Heard()
    outcomes: list[KafkaError | None] = []
    # Java's partitioner, as for the events: a version must come after the one before in the same partition.
    sends = {"partitioner": "murmur2_random", "enable.idempotence": True, "queue.buffering.max.messages": 2 * MOST_KEYS}
    with kafka_client.translated(settings, heard, topic=topic):
        producer = KafkaProducer(kafka_client.config(settings, heard, **sends, **{"delivery.timeout.ms": 8_000}))
        kafka_client.reach(producer, settings, heard, topic=topic)
        for key, record in records.items():
            producer.produce(
                settings.named(topic),
                msgspec.json.encode(record),
                key,
                timestamp=max(BEGINNING_MS, valid_from_ms[key]),
                on_delivery=lambda error, _: outcomes.append(error),
            )
        producer.flush(ANSWER_SECONDS)
        errors = [error for error in outcomes if error]
        if errors or len(outcomes) < len(records):
            raise KafkaException(errors[0] if errors else KafkaError(KafkaError._TIMED_OUT))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
