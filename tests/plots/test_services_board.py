import threading

from kernel_lib.errors import ServiceControlFailed
from kernel_lib.plots import refresher
from kernel_lib.plots.services_board import ServicesBoard, board_sentence, possible_acts, row_html
from kernel_lib.services import ServiceStatus
from kernel_lib.waiting import wait_until


def status(name: str, state: str, reason: str = "", remedy: str = "") -> ServiceStatus:
    return ServiceStatus(name, state, "127.0.0.1:9092", reason, remedy, 0, 0)


WELL = status("kafka-1", "healthy")
DOWN = status("kafka-2", "stopped", "was stopped or killed", "./course up")
SPARE = status("flink-taskmanager-3", "stopped", "not started", "./course up")


def test_the_sentence_names_trouble_reason_and_remedy() -> None:
    assert board_sentence([WELL, DOWN]) == (
        "1 of 2 services are healthy. kafka-2 is stopped: was stopped or killed (try: ./course up)."
    )


def test_a_service_that_waits_for_its_lesson_is_no_trouble() -> None:
    assert board_sentence([WELL, SPARE]) == (
        "1 of 1 services are healthy. flink-taskmanager-3 is not started: a later lesson needs it."
    )


def test_what_is_down_can_be_started_and_what_runs_stopped_or_killed() -> None:
    assert possible_acts("stopped") == ("start",)
    assert possible_acts("healthy") == possible_acts("paused") == ("stop", "kill")


def test_the_words_of_a_service_are_escaped() -> None:
    assert "<b>boom</b>" not in row_html(status("x", "failed", "<b>boom</b>"))


def test_the_board_follows_the_services_and_a_failed_button_says_why() -> None:
    pressed = threading.Event()

    def kill(name: str) -> None:
        pressed.set()
        raise ServiceControlFailed(f"crash of {name} failed.", cause="no such process")

    board = ServicesBoard(lambda: [WELL, DOWN], acts={"kill": kill}, name="a board of a test")
    wait_until(lambda: "services are healthy" in board.text, 5, "the board to be drawn")
    assert board.source.data["state"] == ["healthy", "stopped"]
    row = board._rows["kafka-1"]
    row.buttons["kill"].click()
    assert pressed.wait(5)
    wait_until(lambda: "no such process" in row._words.value, 5, "the button's outcome")
    refresher.remove("a board of a test")


def test_a_board_without_supervisor_says_so() -> None:
    def read() -> list[ServiceStatus]:
        raise ServiceControlFailed("supervisor does not answer.")

    board = ServicesBoard(read, name="a silent board")
    wait_until(lambda: "supervisor does not answer." in board.text, 5, "the reason")
    assert board.quiet_because
    refresher.remove("a silent board")
