import re
from pathlib import Path

import pytest

from kernel_lib import progress
from kernel_lib.errors import ConfigurationError
from kernel_lib.settings import Settings

[NAMESPACE] = [rule.pattern for rule in Settings.model_fields["namespace"].metadata if hasattr(rule, "pattern")]


@pytest.fixture
def ann(empty_home: Path) -> Settings:
    return learner("ann")


def learner(namespace: str) -> Settings:
    return Settings.model_construct(namespace=namespace)


def test_what_is_done_is_kept_with_the_first_time_at_which_it_was_right(ann: Settings) -> None:
    progress.note("05_first_job", "carts", settings=ann)
    first = progress.done("05_first_job", settings=ann)
    progress.note("05_first_job", "carts", settings=ann)
    assert list(first) == ["carts"]
    assert progress.done("05_first_job", settings=learner("ann")) == first


def test_learners_have_their_own(ann: Settings) -> None:
    progress.note("05_first_job", "carts", settings=ann)
    assert progress.done("05_first_job", settings=learner("bob")) == {}
    assert progress.done("05_first_job", settings=learner("")) == {}


def test_who_works_without_a_namespace_shares_no_file_with_one_who_has_one(ann: Settings, empty_home: Path) -> None:
    progress.note("05_first_job", "carts", settings=learner(""))
    [file] = (empty_home / "progress").iterdir()
    assert not re.fullmatch(NAMESPACE, file.stem)
    assert list(progress.done("05_first_job", settings=learner(""))) == ["carts"]


def test_an_exercise_that_the_lesson_no_longer_has_does_not_count(ann: Settings) -> None:
    progress.note("05_first_job", "sums", settings=ann)
    assert progress.done("05_first_job", settings=ann) == {}


def test_the_overview_shows_every_lesson_as_text_and_as_a_table(ann: Settings) -> None:
    progress.note("05_first_job", "carts", settings=ann)
    [at] = progress.done("05_first_job", settings=ann).values()
    shown = progress.overview(settings=ann)
    assert f"✔ 5 · The first job  carts    {at}" in repr(shown)
    assert "  0 · The cockpit    trouble  not yet" in repr(shown)
    assert f"✔ {at}" in shown._repr_html_()


def test_a_file_that_holds_something_else_is_named(ann: Settings, empty_home: Path) -> None:
    progress.note("05_first_job", "carts", settings=ann)
    [file] = empty_home.rglob("ann.json")
    file.write_text("[1]")
    with pytest.raises(ConfigurationError, match=r"(?s)cannot be read.*ann\.json.*delete"):
        progress.done("05_first_job", settings=ann)
