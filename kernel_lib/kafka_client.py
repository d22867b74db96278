"""Own how a Kafka client connects, and turn what librdkafka says into errors of this library.

librdkafka reports a dead broker or a wrong password on the side, to a callback, while the call itself
only times out. `Heard` keeps what it said, and `translated` puts both together:

    >>> heard = kafka_client.Heard()
    >>> consumer = Consumer(kafka_client.config(settings, heard, **{"group.id": "tape"}))
    >>> with kafka_client.translated(settings, heard, topic="user-events"):
    ...     kafka_client.reach(consumer, settings, heard, topic="user-events")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient, BrokerMetadata, ClusterMetadata  # type: ignore[attr-defined]

from kernel_lib.errors import (
    AuthenticationFailed,
    CourseError,
    MalformedRecord,
    NotFound,
    PermissionRefused,
    ServiceUnavailable,
    WaitTimeout,
)
from kernel_lib.settings import Settings
from kernel_lib.waiting import wait_until

REACH_SECONDS = 8.0
ANSWER_SECONDS = 9.0
_KEPT_SECONDS, _NEW_SECONDS = 1.5, 7.0
_UNKNOWN_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_REFUSED_RIGHT = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_REFUSED_LOGIN = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic; `timestamp_type` is "create", "append" or "none"."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    timestamp_type: str

    @classmethod
    def from_message(cls, message: Message) -> Record:
        """Copy what a consumer received."""
        kind, timestamp_ms = message.timestamp()
        names = {TIMESTAMP_CREATE_TIME: "create", TIMESTAMP_LOG_APPEND_TIME: "append"}
        place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
        return cls(*place, _bytes(message.key()), _bytes(message.value()), timestamp_ms, names.get(kind, "none"))

    def json(self) -> Any:
        """Decode the value; raises MalformedRecord, naming topic, partition and offset, if it is not JSON."""
        try:
            return msgspec.json.decode(self.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedRecord(
                f"Record {self.offset} of {self.topic}, partition {self.partition}, is not JSON: {self.value!r:.80}",
                cause=str(error),
                remedy="skip it, or find who wrote it: its key is " + repr(self.key),
            ) from error


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


class Client(Protocol):
    """What producers, consumers and admin clients have in common here."""

    def list_topics(self, topic: str = ..., timeout: float = ...) -> ClusterMetadata: ...

    def poll(self, timeout: float = ...) -> Any: ...


class Heard:
    """Keeps what librdkafka reported on the side; give one to each client as its `error_cb`."""

    def __init__(self) -> None:
        self.refused_login = ""
        self.unreachable = ""
        self.all_down = False

    def __call__(self, error: KafkaError) -> None:
        if error.code() in _REFUSED_LOGIN:
            self.refused_login = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.all_down = True
        else:
            self.unreachable = error.str()

    def forget(self) -> None:
        """Start again, before a new attempt."""
        self.refused_login, self.unreachable, self.all_down = "", "", False

    def check(self, settings: Settings) -> None:
        """Raise AuthenticationFailed or ServiceUnavailable if librdkafka reported that no broker can be used."""
        if self.refused_login:
            raise _refused_login(settings, self.refused_login)
        if self.all_down:
            raise _unreachable(settings, self.unreachable or "no broker accepts connections")

    def check_once(self, settings: Settings) -> None:
        """Raise as `check` does, and forget it: for a caller who goes on polling."""
        try:
            self.check(settings)
        finally:
            self.forget()


def config(settings: Settings, heard: Heard, **extra: Any) -> dict[str, Any]:
    """Return a librdkafka configuration; it contains the password, so never print it."""
    return tuned(settings.kafka_client(), heard) | extra


def tuned(connection: Mapping[str, Any], heard: Callable[[KafkaError], None]) -> dict[str, Any]:
    """Return the connection part of a configuration with the course's time-outs."""
    return {
        **connection,
        "error_cb": heard,
        # A paused broker keeps its connections open: give a request up after 10 s, not 60, and look for the
        # new leader. A restarted one is found again within a second, not after the default of 10.
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.max.ms": 1_000,
        # A topic that was deleted is missed after 5 s, not 30.
        "topic.metadata.propagation.max.ms": 5_000,
        # What librdkafka would write to stderr comes to `heard` as well.
        "log_level": 0,
    }


def reach(
    client: Client, settings: Settings, heard: Heard, *, topic: str = "", timeout_seconds: float = REACH_SECONDS
) -> ClusterMetadata:
    """Ask for metadata until a broker answers; of one topic (short name) or, without it, of all.

    Call it before a consumer has an assignment: it polls the client.

    Raises ServiceUnavailable or AuthenticationFailed as soon as librdkafka knows, at the latest after
    `timeout_seconds`, and NotFound for an unknown topic.
    """
    heard.forget()

    def answer() -> ClusterMetadata | None:
        metadata = _ask(client, settings.named(topic) if topic else "")
        if metadata is None:
            client.poll(0)  # serves error_cb
            heard.check(settings)
        return metadata

    try:
        metadata = wait_until(answer, timeout_seconds, "Kafka to answer", interval_seconds=0.05)
    except WaitTimeout as error:
        raise _unreachable(settings, heard.unreachable or f"no answer in {timeout_seconds:g} s") from error
    assert metadata is not None
    if topic and metadata.topics[settings.named(topic)].error:
        found = reach(client, settings, heard)
        raise unknown_topic(settings, topic, found)
    return metadata


def _ask(client: Client, topic: str) -> ClusterMetadata | None:
    try:
        return client.list_topics(topic, timeout=1.0) if topic else client.list_topics(timeout=1.0)
    except KafkaException as error:
        if error.args[0].code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
            return None
        raise


@contextmanager
def translated(settings: Settings, heard: Heard | None = None, *, topic: str = "") -> Iterator[None]:
    """Raise errors of this library for what confluent-kafka raises inside; `topic` is the short name in use."""
    try:
        yield
    except KafkaException as error:
        if heard is not None:
            heard.check(settings)
        raise error_for(error.args[0], settings, topic=topic) from error


@contextmanager
def asking(settings: Settings, topic: str = "") -> Iterator[tuple[AdminClient, ClusterMetadata]]:
    """Yield an admin client and fresh metadata, of one topic (short name) or of all; translates errors inside.

    Raises as `reach` does.
    """
    connection = tuple(sorted(settings.kafka_client().items()))
    try:
        admin, heard = _admin(connection)
        metadata = reach(admin, settings, heard, topic=topic, timeout_seconds=_KEPT_SECONDS)
    except AuthenticationFailed:
        raise
    except ServiceUnavailable:
        # A paused broker keeps its connections: a kept client may wait 10 s on it while the others would answer.
        _admin.cache_clear()
        admin, heard = _admin(connection)
        metadata = reach(admin, settings, heard, topic=topic, timeout_seconds=_NEW_SECONDS)
    with translated(settings, heard, topic=topic):
        yield admin, metadata


def forget_clients() -> None:
    """Keep no admin client any longer; the next question makes a new one.

    librdkafka 2.16 crashes the process when a client that knew a topic meets a new one of the same name.
    """
    _admin.cache_clear()


@lru_cache(maxsize=8)
def _admin(connection: tuple[tuple[str, Any], ...]) -> tuple[AdminClient, Heard]:
    # Kept: logging in takes 50 ms, and pictures ask for lag and leaders several times a second.
    heard = Heard()
    return AdminClient(tuned(dict(connection), heard)), heard


def wait_everywhere(
    settings: Settings, metadata: ClusterMetadata, check: Callable[[ClusterMetadata], bool], what: str
) -> None:
    """Wait until `check` is true of what each broker knows; `what` completes "Waited 9 s for ...".

    Raises WaitTimeout.
    """

    def wait_for(broker: BrokerMetadata) -> None:
        connection = settings.kafka_client() | {"bootstrap.servers": f"{broker.host}:{broker.port}"}
        wait_until(lambda: check(_view(connection)), ANSWER_SECONDS, what)

    # Each broker learns of a change in its own time, and the next question may go to any of them.
    with ThreadPoolExecutor(len(metadata.brokers)) as side_by_side:
        list(side_by_side.map(wait_for, metadata.brokers.values()))


def _view(connection: dict[str, Any]) -> ClusterMetadata:
    # A new client asks the only broker that it knows.
    return AdminClient(tuned(connection, Heard())).list_topics(timeout=ANSWER_SECONDS)


def error_for(error: KafkaError, settings: Settings, *, topic: str = "") -> CourseError:
    """Return the error of this library for a KafkaError."""
    code = error.code()
    if code in _REFUSED_LOGIN:
        return _refused_login(settings, error.str())
    if code in _REFUSED_RIGHT:
        user = settings.sasl_username or "this user"
        return PermissionRefused(
            f"Kafka does not let {user} do this{f' with topic {settings.named(topic)}' if topic else ''}.",
            cause=error.str(),
            remedy="log in as a user who has this right (SASL_USERNAME, SASL_PASSWORD)",
        )
    if code in _UNKNOWN_TOPIC:
        return unknown_topic(settings, topic)
    if code in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE):
        return _unreachable(settings, error.str())
    subject = f" for topic {settings.named(topic)}" if topic else ""
    return CourseError(f"Kafka refused a request{subject}.", cause=f"{error.name()}: {error.str()}")


def unknown_topic(settings: Settings, topic: str, metadata: ClusterMetadata | None = None) -> NotFound:
    """Return the NotFound that names the topic and those that look like it."""
    names = visible_topics(settings, metadata) if metadata else []
    near = get_close_matches(topic, names, n=3, cutoff=0.5) or names[:10]
    cause = f"existing topics: {', '.join(near)}" if near else "it was never created, or it was deleted"
    return NotFound(f"There is no topic {settings.named(topic)!r}.", cause=cause, remedy="./course topics")


def visible_topics(settings: Settings, metadata: ClusterMetadata) -> list[str]:
    """Return the short names of the topics that belong to the namespace, without Kafka's internal ones."""
    prefix = settings.named("")
    names = (name for name in metadata.topics if not name.startswith("__"))
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def _unreachable(settings: Settings, cause: str) -> ServiceUnavailable:
    return ServiceUnavailable("Kafka", settings.kafka_bootstrap_servers, cause, "./course status")


def _refused_login(settings: Settings, cause: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        "Kafka",
        settings.kafka_bootstrap_servers,
        f"user {settings.sasl_username!r}: {cause}",
        "check SASL_USERNAME and SASL_PASSWORD in the environment, or run ./course up again",
    )
