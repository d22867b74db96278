"""Give users their rights in Kafka. Harmless when done before.

    >>> provision.kafka(layout, credentials)
    >>> provision.add_learner(layout, credentials, "grade-3f2a9c1b", "secret")

The course user may do what lessons do: everything with topics, groups and transactions except Kafka's own topics,
and nothing with users, ACLs or brokers. A learner who is graded may do the same with what carries his or her name
in front. (Elasticsearch reads its users from files.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from infra.credentials import Credentials
from infra.layout import BROKERS, Layout
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.settings import load
from kernel_lib.waiting import wait_until

START_TIMEOUT_SECONDS = 360
"""All services start side by side: 30 s on two quiet cores, and 190 s were seen on two that did much else."""
REQUEST_TIMEOUT_SECONDS = 30
LOGIN_TIMEOUT_SECONDS = 20
SCRAM_ITERATIONS = 4096  # Kafka's own number

FIRST_USER = "never-deleted-tlsis"
"""A user whose password nobody knows, and whose name has the hash 0.

A broker of Kafka 4.3.1 that starts replays users in the order of their hashes, and forgets all of them if the first one
was deleted meanwhile (`ScramDelta.apply`): then it refuses every login. This user is the first, and stays.
"""

OWNED = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)
ASKED_OF_BROKERS = (AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
DENIED_ON_INTERNAL_TOPICS = (AclOperation.WRITE, AclOperation.DELETE, AclOperation.ALTER, AclOperation.ALTER_CONFIGS)


def kafka(where: Layout, secrets: Credentials) -> None:
    """Wait until all brokers are members of the cluster, write the ACLs of the course user, and make the FIRST_USER.

    Raises ServiceUnavailable when that takes more than START_TIMEOUT_SECONDS.
    """
    with _administering(where, secrets) as admin:
        wait_until(lambda: _broker_count(admin) == len(BROKERS), START_TIMEOUT_SECONDS, "three Kafka brokers to join")
        _grant(admin, _course_acls())
        if FIRST_USER not in _users(admin):
            _change_user(admin, _credential(FIRST_USER, token_hex(16)))


def add_learner(where: Layout, secrets: Credentials, name: str, password: str) -> None:
    """Make a user who may do everything with topics, groups and transactions whose name begins with its own.

    Returns when all brokers know the user. Raises ServiceUnavailable.
    """
    login = _login(where, name, password)
    with _administering(where, secrets) as admin:
        _grant(admin, _learner_acls(name))
        _change_user(admin, _credential(name, password))
        for node in BROKERS:
            _wait_known(name, login | {"bootstrap.servers": where.address(f"kafka-{node}")})


def remove_learner(where: Layout, secrets: Credentials, name: str) -> None:
    """Delete a user and its rights; harmless when there is no such user."""
    with _administering(where, secrets) as admin:
        asked = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type]  # of any name
            ResourcePatternType.ANY,
            f"User:{name}",
            None,  # type: ignore[arg-type]  # from any host
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for deleted in admin.delete_acls([asked], request_timeout=REQUEST_TIMEOUT_SECONDS).values():
            deleted.result()
        try:
            _change_user(admin, UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512))
        except KafkaException as error:
            if error.args[0].code() != KafkaError.RESOURCE_NOT_FOUND:
                raise


def users(where: Layout, secrets: Credentials) -> list[str]:
    """Return the names of all users of Kafka."""
    with _administering(where, secrets) as admin:
        return _users(admin)


@contextmanager
def _administering(where: Layout, secrets: Credentials) -> Iterator[AdminClient]:
    try:
        yield AdminClient(_login(where, "admin", secrets.kafka_admin_password))
    except KafkaException as error:
        raise ServiceUnavailable("Kafka", where.brokers(), str(error), "./course logs kafka-1") from error


def _login(where: Layout, user: str, password: str) -> dict[str, Any]:
    settings = load(kafka_bootstrap_servers=where.brokers(), sasl_username=user, sasl_password=password)
    return {**settings.kafka_client(), "log_level": 0}


def _wait_known(name: str, login: dict[str, Any]) -> None:
    wait_until(lambda: _broker_count(AdminClient(login)), LOGIN_TIMEOUT_SECONDS, f"Kafka to know {name}")


def _broker_count(admin: AdminClient) -> int:
    try:
        return len(admin.list_topics(timeout=2).brokers)
    except KafkaException:  # not up yet, or it does not know the user yet
        return 0


def _users(admin: AdminClient) -> list[str]:
    found: Any = admin.describe_user_scram_credentials(request_timeout=REQUEST_TIMEOUT_SECONDS)
    return sorted(found.result())


def _credential(name: str, password: str) -> UserScramCredentialUpsertion:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
    return UserScramCredentialUpsertion(name, info, password.encode())


def _grant(admin: AdminClient, acls: list[AclBinding]) -> None:
    for created in admin.create_acls(acls, request_timeout=REQUEST_TIMEOUT_SECONDS).values():
        created.result()


def _change_user(admin: AdminClient, change: UserScramCredentialUpsertion | UserScramCredentialDeletion) -> None:
    for changed in admin.alter_user_scram_credentials([change], request_timeout=REQUEST_TIMEOUT_SECONDS).values():
        changed.result()


def _course_acls() -> list[AclBinding]:
    owned = [_acl("course", kind, "*", ResourcePatternType.LITERAL, AclOperation.ALL) for kind in OWNED]
    denied = [
        _acl("course", ResourceType.TOPIC, "__", ResourcePatternType.PREFIXED, operation, AclPermissionType.DENY)
        for operation in DENIED_ON_INTERNAL_TOPICS
    ]
    return owned + _broker_acls("course") + denied


def _learner_acls(name: str) -> list[AclBinding]:
    owned = [_acl(name, kind, name, ResourcePatternType.PREFIXED, AclOperation.ALL) for kind in OWNED]
    return owned + _broker_acls(name)


def _broker_acls(user: str) -> list[AclBinding]:
    return [
        _acl(user, ResourceType.BROKER, "kafka-cluster", ResourcePatternType.LITERAL, operation)
        for operation in ASKED_OF_BROKERS
    ]


def _acl(
    user: str,
    kind: ResourceType,
    name: str,
    pattern: ResourcePatternType,
    operation: AclOperation,
    permission: AclPermissionType = AclPermissionType.ALLOW,
) -> AclBinding:
    return AclBinding(kind, name, pattern, f"User:{user}", "*", operation, permission)
