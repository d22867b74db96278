from pathlib import Path

import pytest

from kernel_lib.errors import ConfigurationError
from kernel_lib.settings import Settings, load

SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def written_by_up(empty_home: Path) -> None:
    (empty_home / "course.env").write_text(
        "KAFKA_BOOTSTRAP_SERVERS=file:9092\n"
        "FLINK_JOBMANAGER_URL=http://file:8081\n"
        "ELASTICSEARCH_URL=http://file:9200\n"
        'COURSE_SERVICES={"kafka-1":{"address":"file:9092","supervisor":"http://file:9001"}}\n'
    )
    (empty_home / "secrets.env").write_text(f"SASL_PASSWORD={SECRET}\nSUPERVISOR_PASSWORD={SECRET}\n")


def test_what_up_wrote_is_read() -> None:
    settings = load()
    assert settings.kafka_bootstrap_servers == "file:9092"
    assert settings.sasl_password.get_secret_value() == SECRET
    assert settings.course_services["kafka-1"].supervisor == "http://file:9001"


def test_the_environment_wins_over_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "environment:9092")
    assert load().kafka_bootstrap_servers == "environment:9092"


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAMESPACE", "ann")
    assert load(namespace="bob").namespace == "bob"


def test_a_managed_cluster_needs_variables_and_no_file(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_home / "course.env").unlink()
    (empty_home / "secrets.env").unlink()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "cloud:9092")
    monkeypatch.setenv("FLINK_JOBMANAGER_URL", "https://cloud")
    monkeypatch.setenv("ELASTICSEARCH_URL", "https://cloud:9243")
    assert load().course_services == {}


def test_each_missing_variable_is_named_with_the_place_and_the_remedy(empty_home: Path) -> None:
    (empty_home / "course.env").unlink()
    with pytest.raises(ConfigurationError) as caught:
        load()
    for word in (
        "KAFKA_BOOTSTRAP_SERVERS",
        "FLINK_JOBMANAGER_URL",
        "ELASTICSEARCH_URL",
        str(empty_home),
        "./course up",
    ):
        assert word in str(caught.value)


def test_a_variable_with_a_wrong_value_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SASL_MECHANISM", SECRET)
    with pytest.raises(ConfigurationError, match="SASL_MECHANISM") as caught:
        load()
    assert SECRET not in str(caught.value)


def test_a_variable_that_should_be_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_SERVICES", "kafka-1")
    with pytest.raises(ConfigurationError, match="course_services"):
        load()


def test_secrets_are_masked_in_every_text() -> None:
    settings = load()
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert SECRET not in text


@pytest.mark.parametrize(
    ("ssl_enabled", "mechanism", "protocol"),
    [
        (False, "", "PLAINTEXT"),
        (True, "", "SSL"),
        (False, "PLAIN", "SASL_PLAINTEXT"),
        (False, "SCRAM-SHA-512", "SASL_PLAINTEXT"),
        (True, "PLAIN", "SASL_SSL"),
        (True, "SCRAM-SHA-256", "SASL_SSL"),
    ],
)
def test_ssl_and_login_combine_to_kafkas_protocol(ssl_enabled: bool, mechanism: str, protocol: str) -> None:
    client = load(ssl_enabled=ssl_enabled, sasl_mechanism=mechanism).kafka_client()
    assert client["security.protocol"] == protocol


def test_plain_and_scram_clients_differ_in_the_mechanism_only() -> None:
    plain, scram = (
        load(sasl_mechanism=name, sasl_username="ann").kafka_client() for name in ("PLAIN", "SCRAM-SHA-512")
    )
    assert scram == plain | {"sasl.mechanism": "SCRAM-SHA-512"}
    assert scram["sasl.password"] == SECRET


def test_a_cluster_without_login_is_told_no_password() -> None:
    assert "sasl.password" not in load().kafka_client()


def test_the_ca_file_is_used_with_ssl_only(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    assert load(ssl_enabled=True, ssl_ca_file=ca_file).kafka_client()["ssl.ca.location"] == str(ca_file)
    assert "ssl.ca.location" not in load(ssl_ca_file=ca_file).kafka_client()


def test_what_a_job_is_told_makes_the_same_settings_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = load(ssl_enabled=True, ssl_ca_file=tmp_path, sasl_mechanism="PLAIN", sasl_username="ann", namespace="ann")
    for name, value in told.environment().items():
        monkeypatch.setenv(name, value)
    assert load() == told


def test_the_namespace_comes_before_every_name() -> None:
    settings = load(namespace="ann")
    assert settings.named("alerts") == "ann.alerts"
    assert settings.index("alerts") == "course-ann.alerts"
    assert load().named("alerts") == "alerts"


@pytest.mark.parametrize("namespace", ["Ann", "a b", "a.b", "ä"])
def test_a_namespace_that_some_service_would_refuse_is_refused_here(namespace: str) -> None:
    with pytest.raises(ConfigurationError, match="NAMESPACE"):
        load(namespace=namespace)


def test_settings_cannot_be_changed_behind_the_back_of_their_users() -> None:
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.namespace = "ann"


def test_every_secret_field_is_masked_by_its_type() -> None:
    for name, field in Settings.model_fields.items():
        if "password" in name:
            assert "SecretStr" in str(field.annotation), name
