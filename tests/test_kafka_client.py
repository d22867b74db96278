import pytest
from confluent_kafka import KafkaError, KafkaException
from pydantic import SecretStr

from kernel_lib import kafka_client
from kernel_lib.errors import (
    AuthenticationFailed,
    CourseError,
    MalformedRecord,
    NotFound,
    PermissionRefused,
    ServiceUnavailable,
)
from kernel_lib.kafka_client import Heard, Record
from kernel_lib.settings import Settings

SETTINGS = Settings(
    kafka_bootstrap_servers="kafka.example:9092",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="ada",
    sasl_password=SecretStr("secret"),
    flink_jobmanager_url="",
    elasticsearch_url="",
    namespace="n",
)


def record(value: bytes | None) -> Record:
    return Record("n.t", 2, 7, b"k", value, 0, "create")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._ALL_BROKERS_DOWN, ServiceUnavailable),
        (KafkaError._TRANSPORT, ServiceUnavailable),
        (KafkaError._TIMED_OUT, ServiceUnavailable),
        (KafkaError.SASL_AUTHENTICATION_FAILED, AuthenticationFailed),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, PermissionRefused),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, NotFound),
        (KafkaError.INVALID_CONFIG, CourseError),
    ],
)
def test_each_kind_of_failure_has_its_error(code: int, kind: type[CourseError]) -> None:
    assert type(kafka_client.error_for(KafkaError(code), SETTINGS, topic="t")) is kind


def test_an_error_raised_inside_is_translated_and_chained() -> None:
    with (
        pytest.raises(PermissionRefused, match=r"ada do this with topic n\.t") as caught,
        kafka_client.translated(SETTINGS, topic="t"),
    ):
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert isinstance(caught.value.__cause__, KafkaException)


def test_a_refused_login_heard_on_the_side_explains_a_time_out() -> None:
    heard = Heard()
    heard(KafkaError(KafkaError._AUTHENTICATION, "invalid credentials"))
    with (
        pytest.raises(AuthenticationFailed, match="'ada': invalid credentials"),
        kafka_client.translated(SETTINGS, heard),
    ):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def test_one_broker_down_is_no_reason_to_give_up() -> None:
    heard = Heard()
    heard(KafkaError(KafkaError._TRANSPORT, "connection refused"))
    heard.check(SETTINGS)


def test_all_brokers_down_is_reported_with_the_last_reason() -> None:
    heard = Heard()
    heard(KafkaError(KafkaError._TRANSPORT, "connection refused"))
    heard(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    with pytest.raises(ServiceUnavailable, match=r"kafka\.example:9092 does not answer.\nCause: connection refused"):
        heard.check(SETTINGS)


def test_no_error_repeats_the_password() -> None:
    codes = (KafkaError._AUTHENTICATION, KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert not any("secret" in str(kafka_client.error_for(KafkaError(code), SETTINGS)) for code in codes)


def test_a_record_is_decoded_from_json() -> None:
    assert record(b'{"a": 1}').json() == {"a": 1}


@pytest.mark.parametrize("value", [b"", None, b"\xff", b'{"a":'])
def test_a_record_that_is_not_json_is_named_by_its_place(value: bytes | None) -> None:
    with pytest.raises(MalformedRecord, match=r"Record 7 of n\.t, partition 2"):
        record(value).json()
