"""Who may reach the services, what a course user may do there, and where passwords must not turn up."""

import dataclasses
import ipaddress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from infra import cli, elasticsearch_home
from infra.credentials import credentials
from infra.layout import PORTS, Layout
from infra.processes import belongs_to_course
from kernel_lib import jobs, kafka_client, topics
from kernel_lib.errors import AuthenticationFailed, NotFound, ServiceUnavailable
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until

pytestmark = pytest.mark.alone


@pytest.fixture
def course() -> Layout:
    return cli.layout()


@pytest.fixture
def secrets(course: Layout) -> list[str]:
    found = dataclasses.astuple(credentials(course.home))
    assert len(found) == 8
    return list(found)


@pytest.fixture
def admin(settings: Settings) -> AdminClient:
    """An administrator's client, with the rights of the course user."""
    return AdminClient(kafka_client.config(settings, kafka_client.Heard()))


# Where passwords must not turn up


def test_no_log_contains_a_secret(course: Layout, secrets: list[str]) -> None:
    logs = [
        *course.logs.iterdir(),
        *elasticsearch_home.locate(course).logs.rglob("*"),
        *course.flink_home.glob("log/*"),
    ]
    files = [path for path in logs if path.is_file()]
    assert len(files) > 8
    assert not [path for path in files if contains(path, secrets)]


def contains(path: Path, secrets: list[str]) -> bool:
    text = path.read_bytes()
    return any(secret.encode() in text for secret in secrets)


def test_no_command_line_contains_a_secret(secrets: list[str]) -> None:
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert any("kafka.Kafka" in line for line in lines)
    assert not [line for line in lines if any(secret in " ".join(line) for secret in secrets)]


def test_no_text_of_the_settings_contains_a_secret(secrets: list[str]) -> None:
    found = load()
    assert found.sasl_password.get_secret_value() in secrets
    assert not [secret for secret in secrets if secret in f"{found!r} {found} {found.model_dump()}"]


def test_files_with_secrets_belong_to_their_owner_alone(course: Layout, secrets: list[str]) -> None:
    files = [path for folder in (course.home, course.conf) for path in folder.glob("**/*.*") if is_ours(path, course)]
    with_secrets = [path for path in files if contains(path, secrets)]
    assert {path.name for path in with_secrets} >= {"passwords.env", "secrets.env", "supervisord.conf"}
    assert not [path for path in with_secrets if path.stat().st_mode & 0o077]


def is_ours(path: Path, course: Layout) -> bool:
    big = (course.home / "artifacts", course.data, course.home / "kafka", course.flink_home, course.home / "test")
    return path.is_file() and not any(path.is_relative_to(folder) for folder in big)


# Who may reach the services


def test_every_process_of_the_course_listens_on_loopback_only(course: Layout) -> None:
    listening = listeners(course)
    ports = {port for _, port in listening}
    assert ports >= {course.port(name) for name in PORTS if name not in ("supervisor", "jupyterlab")}
    assert not [(ip, port) for ip, port in listening if not is_loopback(ip)]


def test_python_workers_in_their_own_processes_are_reached_on_loopback_only(settings: Settings, course: Layout) -> None:
    topics.create_all()
    quiet = {port for _, port in listeners(course)}
    jobs.submit(
        lambda event: event, source="user-events", sink="processed-events", python_mode="process"
    ).wait_running()
    listening = wait_until(
        lambda: [(ip, port) for ip, port in listeners(course) if port not in quiet], 30, "Flink to wait for its workers"
    )
    assert not [(ip, port) for ip, port in listening if not is_loopback(ip)]


def listeners(course: Layout) -> list[tuple[str, int]]:
    """Return where the processes of the course listen, and whoever else listens at one of its ports."""
    ours = [process.pid for process in psutil.process_iter() if belongs_to_course(process.pid, course.home)]
    ports = [course.port(name) for name in PORTS]
    return [
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
        if connection.pid in ours or connection.laddr.port in ports
    ]


def is_loopback(ip: str) -> bool:
    address = ipaddress.ip_address(ip)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def test_kafka_refuses_a_wrong_password(settings: Settings) -> None:
    with pytest.raises(AuthenticationFailed, match="Kafka"):
        topics.list_names(settings=load(sasl_password="wrong"))


def test_kafka_refuses_an_unknown_user(settings: Settings) -> None:
    with pytest.raises(AuthenticationFailed, match="Kafka"):
        topics.list_names(settings=load(sasl_username="nobody"))


def test_kafka_does_not_serve_who_has_no_login(settings: Settings) -> None:
    with pytest.raises(ServiceUnavailable, match="Kafka"):
        topics.list_names(settings=load(sasl_mechanism=""))


@pytest.mark.parametrize("login", [None, ("course", "wrong"), ("nobody", "wrong")])
def test_elasticsearch_refuses_who_has_no_or_a_wrong_login(settings: Settings, login: tuple[str, str] | None) -> None:
    assert httpx.get(f"{settings.elasticsearch_url}/_cluster/health", auth=login).status_code == 401


@pytest.mark.parametrize("login", [None, ("course", "wrong"), ("nobody", "wrong")])
def test_supervisor_refuses_who_has_no_or_a_wrong_login(course: Layout, login: tuple[str, str] | None) -> None:
    for path in ("/RPC2", "/", "/logtail/kafka-1"):
        assert httpx.get(course.supervisor_url() + path, auth=login).status_code == 401


# What the course user may do


@pytest.fixture
def topic(settings: Settings) -> str:
    topics.create("letters", partitions=1)
    return settings.named("letters")


@pytest.fixture
def topic_of_kafka(settings: Settings) -> str:
    """A topic of Kafka's own, which the first transaction makes."""
    transactional = kafka_client.config(settings, kafka_client.Heard()) | {"transactional.id": settings.named("first")}
    Producer(transactional).init_transactions(20)
    return "__transaction_state"


def refused(futures: dict[Any, Any]) -> int:
    """Return the code of the error with which Kafka refuses a request."""
    with pytest.raises(KafkaException) as caught:
        [future.result(10) for future in futures.values()]
    return int(caught.value.args[0].code())


def test_the_course_user_may_not_make_users_in_kafka(admin: AdminClient) -> None:
    upsertion = UserScramCredentialUpsertion("eve", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), b"x")
    assert refused(admin.alter_user_scram_credentials([upsertion])) == KafkaError.CLUSTER_AUTHORIZATION_FAILED


def test_the_course_user_may_not_give_rights_in_kafka(admin: AdminClient) -> None:
    right = (ResourceType.TOPIC, "*", ResourcePatternType.LITERAL, "User:course", "*")
    binding = AclBinding(*right, AclOperation.ALL, AclPermissionType.ALLOW)
    assert refused(admin.create_acls([binding])) == KafkaError.CLUSTER_AUTHORIZATION_FAILED


def test_the_course_user_may_not_change_a_broker(admin: AdminClient) -> None:
    entry = ConfigEntry("log.retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    broker = ConfigResource(ConfigResource.Type.BROKER, "1", incremental_configs=[entry])
    assert refused(admin.incremental_alter_configs([broker])) == KafkaError.CLUSTER_AUTHORIZATION_FAILED


def test_the_course_user_may_not_delete_from_kafkas_own_topics(admin: AdminClient, topic_of_kafka: str) -> None:
    nothing = TopicPartition(topic_of_kafka, 0, 0)
    assert refused(admin.delete_records([nothing])) == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_the_course_user_may_write_to_its_topics_but_not_to_kafkas_own(
    settings: Settings, topic: str, topic_of_kafka: str
) -> None:
    assert written(settings, topic) is None
    error = written(settings, topic_of_kafka)
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def written(settings: Settings, topic: str) -> KafkaError | None:
    """Write a record; return the error with which Kafka refuses it."""
    reports: list[KafkaError | None] = []

    def report(error: KafkaError | None, message: Message) -> None:
        reports.append(error)

    producer = Producer(kafka_client.config(settings, kafka_client.Heard(), **{"message.timeout.ms": 8000}))
    producer.produce(topic, b"x", partition=0, on_delivery=report)
    producer.flush(10)
    (error,) = reports
    return error


def test_a_topic_that_nobody_created_is_not_created_by_writing_to_it(settings: Settings) -> None:
    error = written(settings, settings.named("nowhere"))
    assert error is not None
    assert error.code() in (KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._MSG_TIMED_OUT)
    with pytest.raises(NotFound):
        topics.write("nowhere", b"x")
    assert not topics.exists("nowhere")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/outside", None),
        ("GET", "/outside/_search", None),
        ("DELETE", "/outside", None),
        ("GET", "/_security/user", None),
        ("PUT", "/_security/user/eve", {"password": "correct-horse", "roles": ["superuser"]}),
        ("PUT", "/_cluster/settings", {"persistent": {"action.auto_create_index": "true"}}),
        ("POST", "/_nodes/reload_secure_settings", None),
    ],
)
def test_the_course_user_may_do_nothing_in_elasticsearch_outside_its_prefix(
    settings: Settings, method: str, path: str, body: dict[str, object] | None
) -> None:
    login = (settings.elasticsearch_user, settings.elasticsearch_password.get_secret_value())
    answer = httpx.request(method, settings.elasticsearch_url + path, auth=login, json=body)
    assert answer.status_code == 403, answer.text
