from io import StringIO

import pytest
from rich.console import Console

from infra import steps

COLUMNS = 80


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    said = StringIO()
    console = Console(
        file=said, highlight=False, force_terminal=True, width=COLUMNS, soft_wrap=True, legacy_windows=False
    )
    monkeypatch.setattr(steps, "console", console)
    return said


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    said = StringIO()
    monkeypatch.setattr(steps, "console", Console(file=said, highlight=False, width=COLUMNS, soft_wrap=True))
    return said


def test_a_step_shows_how_much_is_done_on_a_terminal(terminal: StringIO) -> None:
    with steps.step("Java artifacts", 200_000_000) as so_far:
        so_far(50_000_000)
    assert "50.0/200.0 MB" in terminal.getvalue()
    assert terminal.getvalue().splitlines()[-1].endswith("200.0 MB in 0 s")


def test_more_bytes_than_expected_are_no_more_than_all(terminal: StringIO) -> None:
    with steps.step("Java artifacts", 1000) as so_far:
        so_far(2000)
    assert "2.0/1.0 kB" not in terminal.getvalue()


def test_a_pipe_gets_plain_lines(pipe: StringIO) -> None:
    with steps.step("Java artifacts", 200_000_000) as so_far:
        so_far(50_000_000)
    with steps.several(["kafka-1", "zookeeper"]) as show:
        show("zookeeper", "healthy", done=True)
        show("kafka-1", "healthy", done=True)
    assert [" ".join(line.split()) for line in pipe.getvalue().splitlines()] == [
        "Java artifacts ...",
        "Java artifacts 200.0 MB in 0 s",
        "zookeeper healthy after 0 s",
        "kafka-1 healthy after 0 s",
    ]


def test_each_of_several_has_a_line_with_its_state(terminal: StringIO) -> None:
    with steps.several(["kafka-1", "zookeeper"]) as show:
        show("zookeeper", "healthy", done=True)
    last = terminal.getvalue()
    assert "kafka-1                starting" in last
    assert "zookeeper              healthy after 0 s" in last


def test_a_step_that_fails_is_not_told_as_done(pipe: StringIO) -> None:
    with pytest.raises(ValueError, match="no"), steps.step("Java artifacts"):
        raise ValueError("no")
    assert pipe.getvalue() == "Java artifacts ...\n"
