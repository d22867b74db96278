"""Give the course's user its rights in Kafka. Harmless when done before.

    >>> provision.kafka(layout, credentials)

The course user may do what lessons do: everything with topics, groups and transactions except Kafka's
own topics, and nothing with users, ACLs or brokers. (Elasticsearch reads its users from files.)
"""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from infra.credentials import Credentials
from infra.layout import BROKERS, Layout
from kernel_lib.errors import ServiceUnavailable
from kernel_lib.settings import load
from kernel_lib.waiting import wait_until

START_TIMEOUT_SECONDS = 180
REQUEST_TIMEOUT_SECONDS = 30

ALLOWED = (
    (ResourceType.TOPIC, "*", AclOperation.ALL),
    (ResourceType.GROUP, "*", AclOperation.ALL),
    (ResourceType.TRANSACTIONAL_ID, "*", AclOperation.ALL),
    (ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE),
    (ResourceType.BROKER, "kafka-cluster", AclOperation.DESCRIBE_CONFIGS),
)
DENIED_ON_INTERNAL_TOPICS = (AclOperation.WRITE, AclOperation.DELETE, AclOperation.ALTER, AclOperation.ALTER_CONFIGS)


def kafka(where: Layout, secrets: Credentials) -> None:
    """Wait until all brokers are members of the cluster, and write the ACLs of the course user.

    Raises ServiceUnavailable when that takes more than 180 s.
    """
    settings = load(
        kafka_bootstrap_servers=where.brokers(),
        sasl_username="admin",
        sasl_password=secrets.kafka_admin_password,
    )
    admin = AdminClient({**settings.kafka_client(), "log_level": 0})
    wait_until(lambda: _broker_count(admin) == len(BROKERS), START_TIMEOUT_SECONDS, "three Kafka brokers to join")
    try:
        for created in admin.create_acls(_course_acls(), request_timeout=REQUEST_TIMEOUT_SECONDS).values():
            created.result()
    except KafkaException as error:
        raise ServiceUnavailable("Kafka", where.brokers(), str(error), "./course logs kafka-1") from error


def _broker_count(admin: AdminClient) -> int:
    try:
        return len(admin.list_topics(timeout=2).brokers)
    except KafkaException:  # not up yet
        return 0


def _course_acls() -> list[AclBinding]:
    allowed = [
        _acl(kind, name, ResourcePatternType.LITERAL, operation, AclPermissionType.ALLOW)
        for kind, name, operation in ALLOWED
    ]
    denied = [
        _acl(ResourceType.TOPIC, "__", ResourcePatternType.PREFIXED, operation, AclPermissionType.DENY)
        for operation in DENIED_ON_INTERNAL_TOPICS
    ]
    return allowed + denied


def _acl(
    kind: ResourceType,
    name: str,
    pattern: ResourcePatternType,
    operation: AclOperation,
    permission: AclPermissionType,
) -> AclBinding:
    return AclBinding(kind, name, pattern, "User:course", "*", operation, permission)
