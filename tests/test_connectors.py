import os
from pathlib import Path

import pytest

from flink_jobs.connectors import LANES, Kafka, Until, configuration, seconds

COLUMNS = "  `a` STRING"


@pytest.fixture
def kafka() -> Kafka:
    return Kafka(
        "broker:9092", sasl_mechanism="SCRAM-SHA-512", sasl_username="ada", sasl_password='it\'s "x"', namespace="ns"
    )


def test_the_password_is_in_no_repr(kafka: Kafka) -> None:
    assert "it's" not in repr(kafka)


def test_a_name_is_given_the_namespace_once(kafka: Kafka) -> None:
    assert kafka.named("metrics") == "ns.metrics"
    assert Kafka("broker:9092").named("metrics") == "metrics"


def test_quotes_in_a_password_survive_sql_and_jaas(kafka: Kafka) -> None:
    assert """username="ada" password="it''s \\"x\\"";'""" in kafka.source("t", "a", COLUMNS, group="g")


def test_plain_scram_and_tls_are_one_path() -> None:
    plain = Kafka("b", ssl_enabled=True, ssl_ca="PEM", sasl_mechanism="PLAIN", sasl_username="u", sasl_password="p")
    assert plain.client()["security.protocol"] == "SASL_SSL"
    assert plain.client()["ssl.truststore.certificates"] == "PEM"
    assert "plain.PlainLoginModule" in plain.client()["sasl.jaas.config"]
    assert Kafka("b").client() == {"bootstrap.servers": "b", "security.protocol": "PLAINTEXT"}
    assert Kafka("b", ssl_enabled=True).client()["security.protocol"] == "SSL"


def test_a_source_begins_where_it_is_told(kafka: Kafka) -> None:
    assert "'earliest-offset'" in kafka.source("t", "a", COLUMNS, group="g", start="earliest")
    assert "'group-offsets'" in kafka.source("t", "a", COLUMNS, group="g", start="committed")
    assert "'partition:0,offset:7;partition:1,offset:0'" in kafka.source(
        "t", "a", COLUMNS, group="g", start={1: 0, 0: 7}
    )


def test_of_the_starts_of_several_topics_a_source_takes_its_own(kafka: Kafka) -> None:
    start = {"a": {0: 7}, "b": {0: 9}}
    assert "'partition:0,offset:9'" in kafka.source("t", "b", COLUMNS, group="g", start=start)


def test_versions_are_read_by_key_and_valid_from_their_timestamp(kafka: Kafka) -> None:
    made = kafka.versions("t", "users", COLUMNS, group="g", key="userId", idle_timeout_seconds=8)
    assert "'topic' = 'ns.users'" in made
    assert "PRIMARY KEY (`userId`) NOT ENFORCED" in made
    assert "METADATA FROM 'timestamp' VIRTUAL" in made
    assert "'scan.watermark.idle-timeout' = '8000 ms'" in made


def test_a_sink_is_exactly_once_with_ids_that_are_the_same_in_every_run(kafka: Kafka) -> None:
    sink = kafka.sink("t", "metrics", COLUMNS, job="count_events", key="a")
    assert "'sink.delivery-guarantee' = 'exactly-once'" in sink
    assert "'sink.transactional-id-prefix' = 'ns.count_events.metrics'" in sink
    assert "'properties.transaction.timeout.ms' = '600000'" in sink


def test_a_source_may_read_several_topics(kafka: Kafka) -> None:
    assert "'topic' = 'ns.user-events;ns.transactions'" in kafka.source(
        "t", "user-events;transactions", COLUMNS, group="g"
    )


def test_the_fast_lane_waits_less_than_the_exact_one() -> None:
    linger_ms = {guarantee: int(lane["linger.ms"]) for guarantee, lane in LANES.items()}
    assert linger_ms["at-least-once"] < linger_ms["exactly-once"] < linger_ms["none"]


def test_only_the_lane_without_a_guarantee_does_not_wait_for_acknowledgements(kafka: Kafka) -> None:
    for guarantee in LANES:
        sink = kafka.sink("t", "metrics", COLUMNS, job="relay", key="a", guarantee=guarantee)
        assert f"'sink.delivery-guarantee' = '{guarantee}'" in sink
        assert ("'properties.acks' = '0'" in sink) == (guarantee == "none")


@pytest.mark.parametrize(
    ("value", "interval"),
    [(1, "0 00:00:01.000"), (0.25, "0 00:00:00.250"), (90061.5, "1 01:01:01.500"), (120, "0 00:02:00.000")],
)
def test_seconds_become_an_sql_interval(value: float, interval: str) -> None:
    assert seconds(value) == f"INTERVAL '{interval}' DAY TO SECOND"


def test_the_environment_comes_before_the_course_s_files(tmp_path: Path) -> None:
    (tmp_path / "course.env").write_text("# written by up\nKAFKA_BOOTSTRAP_SERVERS=file:1\nSASL_USERNAME='ada'\n")
    (tmp_path / "secrets.env").write_text("SASL_PASSWORD=a=b\n")
    kafka = Kafka.from_environment({"COURSE_HOME": str(tmp_path), "KAFKA_BOOTSTRAP_SERVERS": "environment:1"})
    assert (kafka.bootstrap_servers, kafka.sasl_username, kafka.sasl_password) == ("environment:1", "ada", "a=b")


def test_the_authority_s_certificate_travels_as_text(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CERTIFICATE")
    environment = {"COURSE_HOME": str(tmp_path), "KAFKA_BOOTSTRAP_SERVERS": "b", "SSL_ENABLED": "true"}
    assert Kafka.from_environment(environment | {"SSL_CA_FILE": os.fspath(tmp_path / "ca.pem")}).ssl_ca == "CERTIFICATE"


def test_every_job_is_exactly_once_rescalable_and_gives_up_soon() -> None:
    found = configuration(parallelism=2, checkpoint_interval_ms=500)
    assert found["execution.checkpointing.interval"] == "500 ms"
    assert found["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert found["pipeline.max-parallelism"] == "120"
    assert found["table.exec.uid.generation"] == "ALWAYS"
    assert found["restart-strategy.fixed-delay.attempts"] == "3"
    assert found["pipeline.operator-chaining.enabled"] == "false"


def test_a_partition_is_idle_after_its_time_out_or_never(kafka: Kafka) -> None:
    assert "'scan.watermark.idle-timeout' = '2500 ms'" in kafka.source(
        "t", "a", COLUMNS, group="g", idle_timeout_seconds=2.5
    )
    assert "idle-timeout" not in kafka.source("t", "a", COLUMNS, group="g")
    with pytest.raises(ValueError, match="idle_timeout_seconds is 0, not above 0; None is for never"):
        kafka.source("t", "a", COLUMNS, group="g", idle_timeout_seconds=0)


def test_a_source_can_send_a_watermark_after_each_event(kafka: Kafka) -> None:
    asked = "'scan.watermark.emit.strategy' = 'on-event'"
    assert asked in kafka.source("t", "a", COLUMNS, group="g", watermark_each_event=True)
    assert asked not in kafka.source("t", "a", COLUMNS, group="g")


@pytest.mark.parametrize(
    ("until", "options"),
    [
        (None, []),
        ("latest", ["'scan.bounded.mode' = 'latest-offset'"]),
        (
            {1: 5, 0: 7},
            [
                "'scan.bounded.mode' = 'specific-offsets'",
                "'scan.bounded.specific-offsets' = 'partition:0,offset:7;partition:1,offset:5'",
            ],
        ),
    ],
)
def test_a_source_can_have_an_end(kafka: Kafka, until: Until, options: list[str]) -> None:
    lines = kafka.source("t", "a", COLUMNS, group="g", until=until).splitlines()
    assert [line.strip().rstrip(",") for line in lines if "scan.bounded" in line] == options


def test_an_updating_sink_has_its_key_as_primary_key(kafka: Kafka) -> None:
    statement = kafka.sink("t", "a", COLUMNS, job="j", key="id", updating=True)
    assert "'connector' = 'upsert-kafka'" in statement
    assert "PRIMARY KEY (`id`) NOT ENFORCED" in statement
    assert "key.fields" not in statement
