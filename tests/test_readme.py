"""What the README says is there."""

import re

import pytest

from infra import cli, notebooks
from infra.layout import CHECKOUT

TEXT = (CHECKOUT / "README.md").read_text()
LINKS = re.findall(r"\]\(([^)#:]+)\)", TEXT)
VERBS = re.findall(r"\./course ([a-z]+)", TEXT)


@pytest.mark.parametrize("path", sorted(set(LINKS)))
def test_every_link_leads_to_a_file(path: str) -> None:
    assert (CHECKOUT / path).is_file()


@pytest.mark.parametrize("verb", sorted(set(VERBS)))
def test_every_command_exists(verb: str) -> None:
    assert verb in cli.main.commands


def test_the_table_has_every_lesson() -> None:
    assert {f"notebooks/{lesson.name}" for lesson in notebooks.lessons()} <= set(LINKS)
    assert len(VERBS) >= 2


def test_every_file_that_the_checklists_name_exists() -> None:
    contributing = (CHECKOUT / "CONTRIBUTING.md").read_text()
    places = re.findall(r"`((?:flink_jobs|kernel_lib|infra|tests|notebooks)/[^`]*|[A-Z]+\.md)`", contributing)
    assert len(places) > 20
    examples = ("verb_noun", "noun", "NN_name")
    assert not [p for p in places if not (CHECKOUT / p).exists() and not any(each in p for each in examples)]
