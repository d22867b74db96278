import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from infra import cli
from infra.layout import CHECKOUT

VERBS = sorted(cli.main.commands)


def course(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, on the course in `home`."""
    environment = {**os.environ, "COURSE_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", *words],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_verbs_are_the_ones_that_the_readme_names() -> None:
    assert {"lab", "up", "down", "status", "check", "topics", "produce", "logs", "test"} <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_verb_explains_itself(verb: str, option: str) -> None:
    result = CliRunner().invoke(cli.main, [verb, option])
    assert result.exit_code == 0
    assert f" {verb} " in result.output
    command = cli.main.commands[verb]
    assert command.help
    assert not [p.name for p in command.params if isinstance(p, click.Option) and not p.help]


def test_the_course_without_a_verb_lists_the_verbs(empty_home: Path) -> None:
    done = course(home=empty_home)
    assert all(verb in done.stdout + done.stderr for verb in VERBS)


@pytest.mark.parametrize(
    "words",
    [["fly"], ["up", "--fast"], ["produce"], ["produce", "user-events", "--rate", "0"], ["up", "--port-offset", "-1"]],
)
def test_wrong_usage_exits_with_2_and_says_what_is_wrong(words: list[str], empty_home: Path) -> None:
    done = course(*words, home=empty_home)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_of_the_course_is_printed_as_sentences_on_stderr_and_exits_with_1(empty_home: Path) -> None:
    done = course("status", home=empty_home)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "The settings of the course are not complete." in done.stderr
    assert "Try: ./course up" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_of_a_course_that_is_down_names_supervisor_its_address_and_the_next_command(
    empty_home: Path, unused_port: int
) -> None:
    services = {"kafka-1": {"address": "127.0.0.1:9092", "supervisor": f"http://127.0.0.1:{unused_port}"}}
    (empty_home / "course.env").write_text(
        "KAFKA_BOOTSTRAP_SERVERS=x:1\nFLINK_JOBMANAGER_URL=http://x\nELASTICSEARCH_URL=http://x\n"
        f"COURSE_SERVICES={json.dumps(services)}\n"
    )
    done = course("status", "--json", home=empty_home)
    assert done.returncode == 1
    assert f"supervisor at http://127.0.0.1:{unused_port} does not answer." in done.stderr
    assert "Try: ./course up" in done.stderr


def test_down_is_harmless_where_nothing_was_ever_started(empty_home: Path) -> None:
    assert course("down", "--wipe", home=empty_home / "home").returncode == 0


def test_an_unknown_test_stage_is_named(empty_home: Path) -> None:
    done = course("test", "everything", home=empty_home)
    assert done.returncode == 1
    assert "everything" in done.stderr


def test_logs_of_a_course_that_never_ran_are_refused_by_name(empty_home: Path) -> None:
    done = course("logs", "kafka-1", home=empty_home)
    assert done.returncode == 1
    assert "'kafka-1' has no log." in done.stderr


def test_a_reader_that_goes_away_is_no_error(empty_home: Path) -> None:
    logs = empty_home / "logs"
    logs.mkdir()
    (logs / "kafka-1.log").write_text("2026-01-31T12:00:00.000 INFO\n" * 20_000)
    done = subprocess.run(
        f"{sys.executable} -m infra.cli logs -n 20000 | head -1",
        shell=True,
        cwd=CHECKOUT,
        env={**os.environ, "COURSE_HOME": str(empty_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_the_offset_of_the_last_start_is_kept(empty_home: Path) -> None:
    assert cli.layout().port_offset == 0
    (empty_home / "course.env").write_text("COURSE_PORT_OFFSET=700\n")
    assert cli.layout().port_offset == 700
    assert cli.layout(30).port_offset == 30
