import dataclasses

import pytest
from pyflink.common import Row

from flink_jobs import match_fraud, payments
from kernel_lib import oracle_patterns


@pytest.mark.parametrize(
    ("merchant", "said"),
    [
        (
            '{"merchantId":"m-1","category":"books","city":"Berlin","location":{"lat":52.5,"lon":13.4}}',
            ("m-1", ("Berlin", 52.5, 13.4)),
        ),
        ('{"merchantId":"m-0","category":"online shop","city":"","location":null}', ("m-0", ("", None, None))),
        ('{"merchantId":"m-1","city":"Berlin"}', None),
        ('{"merchantId":"m-1","city":"Berlin","location":3}', None),
        ("[]", None),
        ("not JSON", None),
        (None, None),
    ],
)
def test_a_merchant_s_place_is_read_from_its_record(merchant: str | None, said: object) -> None:
    assert payments.place_of(merchant) == said


def test_a_stamped_payment_has_its_fields_by_name() -> None:
    payment = payments.as_payment(Row(*range(len(payments.STAMPED_FIELDS))))
    assert list(payment) == list(payments.STAMPED_FIELDS)
    assert payment["userId"] == payments.STAMPED_FIELDS.index("userId")


def test_the_job_begins_with_the_limits_that_the_oracle_takes_for_usual() -> None:
    assert dataclasses.asdict(oracle_patterns.USUAL) == match_fraud.PARAMETERS


def test_a_repeated_variable_s_rows_are_taken_one_by_one() -> None:
    assert [row.format("amount") for row in match_fraud.repeated("BIG", 2)] == [
        "FIRST(BIG.`amount`, 0)",
        "FIRST(BIG.`amount`, 1)",
    ]


def test_each_pattern_has_as_many_rows_as_the_fraud_has_steps() -> None:
    assert {pattern.alert: len(pattern.rows) for pattern in match_fraud.PATTERNS} == oracle_patterns.STEPS


def test_time_and_last_send_of_an_alert_are_those_of_its_last_row() -> None:
    query = match_fraud.FORCED.query()
    assert "DONE.`timestamp` AS `timestamp`" in query
    assert "DONE.`sentAt` AS `sentAt`" in query
    assert "ARRAY[FIRST(FAILED.`eventId`, 0), FIRST(FAILED.`eventId`, 1)" in query
