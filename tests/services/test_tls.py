"""A broker with TLS, as a managed cluster has it: the same code, other settings."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from infra import cli, prepare
from infra.layout import HOST, Layout
from kernel_lib import kafka_client, topics
from kernel_lib.errors import AuthenticationFailed, ServiceUnavailable
from kernel_lib.settings import Settings, load
from kernel_lib.waiting import wait_until
from tests.ports import free_ports

PASSWORD = "correct-horse"

CONFIGURATION = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=CLIENT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=CLIENT://{host}:{port}
listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={folder}/data
ssl.keystore.type=PKCS12
ssl.keystore.location={folder}/broker.p12
ssl.keystore.password={password}
ssl.key.password={password}
ssl.truststore.type=PEM
ssl.truststore.location={folder}/broker.pem
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="course" password="{password}" user_course="{password}";
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""  # noqa: E501  a property is one line


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of a broker that speaks TLS only; its certificate is its own authority."""
    where, folder = cli.layout(), tmp_path_factory.mktemp("broker")
    port, controller = free_ports(2)
    file = folder / "server.properties"
    file.write_text(CONFIGURATION.format(host=HOST, port=port, controller=controller, folder=folder, password=PASSWORD))
    make_certificate(where, folder, "broker")
    options = ["-Xmx256m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={where.conf}/kafka/log4j2.properties"]
    kafka = [f"{where.java_home}/bin/java", *options, "-cp", f"{where.home}/kafka/lib/*"]
    user = f"SCRAM-SHA-512=[name=course,password={PASSWORD}]"
    storage = [*kafka, "kafka.tools.StorageTool", "format", "--cluster-id", prepare.kafka_uuid(), "--add-scram", user]
    subprocess.run([*storage, "--config", str(file)], check=True, capture_output=True)
    settings = load(
        kafka_bootstrap_servers=f"{HOST}:{port}",
        ssl_enabled=True,
        ssl_ca_file=folder / "broker.pem",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="course",
        sasl_password=PASSWORD,
    )
    with (
        (folder / "broker.log").open("w") as log,
        subprocess.Popen([*kafka, "kafka.Kafka", file], stdout=log) as process,
    ):
        try:
            wait_until(lambda: answers(settings), 60, "the broker with TLS to answer", remedy=f"read {log.name}")
            yield settings
        finally:
            process.kill()


def make_certificate(where: Layout, folder: Path, name: str) -> Path:
    """Make a key in NAME.p12 and its self-signed certificate in NAME.pem."""
    keytool = [f"{where.java_home}/bin/keytool", "-alias", "broker", "-storepass", PASSWORD]
    keytool += ["-keystore", f"{folder}/{name}.p12"]
    subject = ["-dname", f"CN={HOST}", "-ext", f"san=ip:{HOST}"]
    subprocess.run([*keytool, "-genkeypair", "-keyalg", "RSA", *subject], check=True, capture_output=True)
    certificate = folder / f"{name}.pem"
    subprocess.run([*keytool, "-exportcert", "-rfc", "-file", certificate], check=True, capture_output=True)
    return certificate


def answers(settings: Settings) -> bool:
    try:
        return topics.list_names(settings=settings) == []
    except ServiceUnavailable:
        return False


def changed(settings: Settings, **changes: object) -> Settings:
    return load(**(settings.model_dump() | changes))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_records_pass_through_tls_with_either_login(broker: Settings, mechanism: str) -> None:
    settings = changed(broker, sasl_mechanism=mechanism, namespace=mechanism.lower())
    admin = AdminClient(kafka_client.config(settings, kafka_client.Heard()))
    admin.create_topics([NewTopic(settings.named("letters"), 1, 1)])[settings.named("letters")].result(10)
    topics.write("letters", b"sealed", settings=settings)
    assert [record.value for record in topics.read("letters", settings=settings)] == [b"sealed"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_refused_through_tls_too(broker: Settings, mechanism: str) -> None:
    with pytest.raises(AuthenticationFailed, match="Kafka"):
        topics.list_names(settings=changed(broker, sasl_mechanism=mechanism, sasl_password="wrong"))


def test_a_broker_whose_certificate_somebody_else_signed_is_not_trusted(broker: Settings, tmp_path: Path) -> None:
    stranger = make_certificate(cli.layout(), tmp_path, "stranger")
    with pytest.raises(ServiceUnavailable) as caught:
        topics.list_names(settings=changed(broker, ssl_ca_file=stranger))
    assert "certificate" in caught.value.cause


def test_a_client_without_tls_is_not_served(broker: Settings) -> None:
    with pytest.raises(ServiceUnavailable, match="Kafka"):
        topics.list_names(settings=changed(broker, ssl_enabled=False))
