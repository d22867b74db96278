from pathlib import Path

import pytest

from kernel_lib import course_home


def test_a_relative_home_becomes_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_HOME", "here")
    assert course_home.path() == Path.cwd() / "here"


def test_without_the_variable_it_lies_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSE_HOME", raising=False)
    assert course_home.path() == Path(__file__).resolve().parent.parent / ".course"
