from pathlib import Path

import pytest

from infra import logs
from infra.logs import Line
from kernel_lib.errors import NotFound

KAFKA = "2026-01-31T12:00:0{}.000 INFO  KafkaServer - started"
SUPERVISOR = "2026-01-31 12:00:0{},000 INFO spawned: 'kafka-1'"
JUPYTERLAB = "[I 2026-01-31 12:00:0{}.000 ServerApp] Serving"


def write(folder: Path, name: str, *lines: str) -> None:
    with (folder / name).open("a") as file:
        file.writelines(line + "\n" for line in lines)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_logs_of_all_services_are_merged_in_the_order_of_time(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log", KAFKA.format(2), KAFKA.format(5))
    write(tmp_path, "supervisord.log", SUPERVISOR.format(1), SUPERVISOR.format(4))
    write(tmp_path, "jupyterlab.log", JUPYTERLAB.format(3))
    assert [line.time[-6:] for line in logs.lines(tmp_path, [], last=10)] == [f"0{n}.000" for n in range(1, 6)]


def test_a_stack_trace_stays_below_its_line(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log", KAFKA.format(1), "java.io.IOException", "\tat Disk.read", KAFKA.format(3))
    write(tmp_path, "kafka-2.log", KAFKA.format(2))
    merged = texts(logs.lines(tmp_path, [], last=10))
    assert merged[:4] == [KAFKA.format(1), "java.io.IOException", "\tat Disk.read", KAFKA.format(2)]


def test_rotated_files_come_before_the_current_one(tmp_path: Path) -> None:
    for number, name in enumerate(("kafka-1.log.2", "kafka-1.log.1", "kafka-1.log")):
        write(tmp_path, name, KAFKA.format(number))
    assert texts(logs.lines(tmp_path, [], last=10)) == [KAFKA.format(number) for number in range(3)]


def test_only_the_newest_lines_are_shown(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log", KAFKA.format(1), KAFKA.format(3))
    write(tmp_path, "kafka-2.log", KAFKA.format(2), KAFKA.format(4))
    assert texts(logs.lines(tmp_path, [], last=2)) == [KAFKA.format(3), KAFKA.format(4)]


def test_only_the_services_named_are_shown(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log", KAFKA.format(1))
    write(tmp_path, "kafka-2.log", KAFKA.format(2))
    assert [line.service for line in logs.lines(tmp_path, ["kafka-2"], last=10)] == ["kafka-2"]


def test_an_unknown_service_is_refused_with_the_names_of_the_known(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log")
    with pytest.raises(NotFound, match="'kafka-9' has no log") as caught:
        logs.lines(tmp_path, ["kafka-9"], last=10)
    assert "kafka-1" in caught.value.cause


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "kafka-1.log").write_bytes(b"\xff\xfe\n")
    assert len(logs.lines(tmp_path, [], last=10)) == 1


def test_following_yields_what_is_written_from_then_on(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log", KAFKA.format(1))
    following = logs.follow(tmp_path, [])
    write(tmp_path, "kafka-1.log", KAFKA.format(2))
    assert next(following) == Line("2026-01-31T12:00:02.000", "kafka-1", KAFKA.format(2))


def test_following_loses_no_line_when_a_log_is_rotated(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log")
    following = logs.follow(tmp_path, [])
    write(tmp_path, "kafka-1.log", KAFKA.format(1))
    (tmp_path / "kafka-1.log").rename(tmp_path / "kafka-1.log.1")
    write(tmp_path, "kafka-1.log", KAFKA.format(2))
    assert texts([next(following), next(following)]) == [KAFKA.format(1), KAFKA.format(2)]


def test_following_survives_the_moment_between_rename_and_a_new_file(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log")
    following = logs.follow(tmp_path, [])
    write(tmp_path, "kafka-1.log", KAFKA.format(1))
    (tmp_path / "kafka-1.log").rename(tmp_path / "kafka-1.log.1")
    assert next(following).text == KAFKA.format(1)
    write(tmp_path, "kafka-1.log", KAFKA.format(2))
    assert next(following).text == KAFKA.format(2)


def test_following_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log")
    write(tmp_path, "kafka-2.log")
    following = logs.follow(tmp_path, [])
    half = len(KAFKA) // 2
    with (tmp_path / "kafka-1.log").open("a") as file:
        file.write(KAFKA[:half])
        file.flush()
        write(tmp_path, "kafka-2.log", SUPERVISOR.format(1))
        assert next(following).service == "kafka-2"
        file.write(KAFKA[half:] + "\n")
    assert next(following).text == KAFKA


def test_following_keeps_a_stack_trace_below_its_line(tmp_path: Path) -> None:
    write(tmp_path, "kafka-1.log")
    write(tmp_path, "kafka-2.log")
    following = logs.follow(tmp_path, [])
    write(tmp_path, "kafka-1.log", KAFKA.format(2))
    assert next(following).text == KAFKA.format(2)
    write(tmp_path, "kafka-1.log", "java.io.IOException")
    write(tmp_path, "kafka-2.log", KAFKA.format(1))
    assert texts([next(following), next(following)]) == [KAFKA.format(1), "java.io.IOException"]
