import time
from dataclasses import dataclass, replace

from kernel_lib.kafka_client import Record
from kernel_lib.plots import error_rate, refresher
from kernel_lib.plots.error_rate import error_columns, error_sentence, per_second
from kernel_lib.producer import ProducerStats

LETTER = b'{"reason": "eventType is missing", "topic": "user-events", "partition": 0, "offset": 7, "value": "{}"}'


@dataclass
class Shop:
    stats: ProducerStats


@dataclass
class Tail:
    fresh: list[Record]
    problem: str = ""
    last_record_at: float | None = None

    def poll(self) -> list[Record]:
        found, self.fresh = self.fresh, []
        return found


def record(value: bytes, at: float) -> Record:
    return Record("dead-letters", 0, 0, None, value, int(at * 1000), "append")


def shop() -> Shop:
    return Shop(ProducerStats(1_000, 1_000, 0, 0, 0, 0, 100.0, 0, "", {}))


def view(sends: Shop, tail: Tail) -> error_rate.ErrorRate:
    made = error_rate.ErrorRate(sends, tail)  # type: ignore[arg-type]
    refresher.remove("error rate")
    return made


def test_seconds_without_errors_have_no_bar_and_old_ones_are_gone() -> None:
    assert error_columns({100: 3, 400: 2}, {398: 1}, 401.0) == {
        "at": [398_000, 400_000],
        "letters": [0, 2],
        "refused": [1, 0],
    }


def test_a_rate_is_of_the_last_ten_whole_seconds() -> None:
    """Fails when the second that has only begun counts as a whole one."""
    assert per_second({89: 100, 90: 10, 99: 10, 100: 500}, 100.9) == 2.0


def test_the_sentence_has_rates_their_share_and_the_newest_reason() -> None:
    assert error_sentence(100.0, 0, 0, "") == "0.0 errors/s, 0.0% of 100 events/s sent."
    assert error_sentence(100.0, 20.1, 0.5, "eventType is missing (user-events)") == (
        "20.6 errors/s, 20.6% of 100 events/s sent: 20.1 dead letters/s, 0.5 sends refused/s. "
        "The last dead letter: eventType is missing (user-events)."
    )
    assert error_sentence(0.0, 1, 0, "") == "1.0 errors/s: 1.0 dead letters/s, 0.0 sends refused/s."


def test_letters_and_refused_sends_are_counted_in_their_seconds() -> None:
    sends, tail = shop(), Tail([record(LETTER, time.time() - 5)])
    shown = view(sends, tail)
    sends.stats = replace(sends.stats, sent=1_050, refused=4, in_doubt=1)
    said = shown.draw()
    assert "0.1 dead letters/s" in said
    assert said.endswith("The last dead letter: eventType is missing (user-events).")
    assert (sum(shown.source.data["letters"]), sum(shown.source.data["refused"])) == (1, 5)
    assert sum(shown.source.data["refused"]) == 5


def test_a_letter_that_is_none_is_said_to_be_so() -> None:
    said = view(shop(), Tail([record(b"[1]", time.time() - 5)])).draw()
    assert said.endswith("The last dead letter: no dead letter of the course.")


def test_what_keeps_the_topic_away_is_said() -> None:
    assert view(shop(), Tail([], problem="Kafka is away")).draw() == "No data yet because Kafka is away."


def test_old_errors_are_forgotten() -> None:
    """Fails when the picture keeps what it does not show."""
    shown = view(shop(), Tail([record(LETTER, second) for second in range(10_000)]))
    shown.draw()
    assert not shown._letters
