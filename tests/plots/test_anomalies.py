import json
import math

from kernel_lib.kafka_client import Record
from kernel_lib.plots import anomalies
from kernel_lib.plots.anomalies import Judged, Warned


def reading(
    second: int, value: float, flagged: str = "", low: float | None = 17.0, high: float | None = 19.0
) -> Judged:
    return Judged("sensor-0003", "°C", f"1970-01-01T00:00:{second:02}.000Z", value, 18.0, low, high, flagged)


def record(fields: dict[str, object]) -> Record:
    return Record("metrics", 0, 7, None, json.dumps(fields).encode(), 5, "append")


def test_readings_are_told_from_other_records_of_the_topic() -> None:
    fields: dict[str, object] = {name: getattr(reading(1, 18.4), name) for name in Judged.__struct_fields__}
    others: list[dict[str, object]] = [{"eventType": "view", "count": 3}, {}]
    assert anomalies.judged(map(record, [fields, *others])) == [reading(1, 18.4)]


def test_alerts_on_sensors_are_told_from_those_on_users() -> None:
    alert: dict[str, object] = {
        "alert": "spike", "severity": "low", "key": "sensor-0003", "timestamp": "1970-01-01T00:00:09.500Z",
        "eventIds": ["r-1"], "explanation": "", "sentAt": 1,
    }  # fmt: skip
    found = anomalies.warned([record(alert), record(alert | {"alert": "burst"}), record({"alert": "spike"})])
    assert found == [Warned(9.5, "sensor-0003", "spike")]


def test_a_row_is_a_reading_in_order_of_time_and_an_unknown_band_is_no_number() -> None:
    columns = anomalies.reading_columns([reading(2, 31.9, "spike"), reading(1, 18.4, low=None, high=None)])
    assert columns["value"].tolist() == [18.4, 31.9]
    assert columns["flagged"] == ["usual", "spike"]
    assert [math.isnan(value) for value in columns["low"]] == [True, False]
    assert [math.isnan(value) for value in columns["flag"]] == [True, False]


def test_the_sentence_says_the_reading_its_band_and_all_alerts() -> None:
    assert anomalies.anomalies_sentence([reading(1, 18.4)], []) == (
        "sensor-0003: 18.4 °C, usual is 17 to 19. No alert on any sensor in the last 60 s."
    )
    readings = [reading(1, 31.9, "spike"), reading(2, 18.2)]
    alerts = [Warned(1.0, "sensor-0003", "spike"), Warned(2.0, "sensor-0009", "missing")]
    assert anomalies.anomalies_sentence(readings, alerts) == (
        "sensor-0003: 18.2 °C, usual is 17 to 19; flagged: spike at 00:00:01 UTC. "
        "2 alerts on 2 sensors in the last 60 s: missing 1, spike 1."
    )
    unknown = [reading(1, 18.4, low=None, high=None)]
    assert "too few readings to say what is usual" in anomalies.anomalies_sentence(unknown, alerts[:1])
