"""What README.md and CONTRIBUTING.md say is there."""

import importlib
import re

import pytest

from infra import cli, notebooks, proof
from infra.layout import CHECKOUT

TEXT = (CHECKOUT / "README.md").read_text()
CHECKLISTS = (CHECKOUT / "CONTRIBUTING.md").read_text()
LINKS = re.findall(r"\]\(([^)#:]+)\)", TEXT)
VERBS = re.findall(r"\./course ([a-z]+)", TEXT)
OTHER_VERBS = re.search(r"other verbs \(`([a-z ]+)`\)", TEXT)


@pytest.mark.parametrize("path", sorted(set(LINKS)))
def test_every_link_leads_to_a_file(path: str) -> None:
    assert (CHECKOUT / path).is_file()


@pytest.mark.parametrize("verb", sorted({*VERBS, *re.findall(r"\./course ([a-z]+)", CHECKLISTS)}))
def test_every_command_exists(verb: str) -> None:
    assert verb in cli.main.commands


def test_the_readme_names_every_command() -> None:
    assert OTHER_VERBS
    assert {*VERBS, *OTHER_VERBS[1].split()} == set(cli.main.commands)


def test_every_stage_that_the_checklists_name_exists() -> None:
    named = re.findall(r"\./course test ([a-z]+)", CHECKLISTS)
    assert named
    assert set(named) <= set(proof.STAGES)


def test_every_function_of_the_library_that_the_checklists_name_exists() -> None:
    named = re.findall(r"`(lessons|jobs|plots|exercises)\.([a-z_]+)`", CHECKLISTS)
    assert len(named) >= 3
    modules = {name: importlib.import_module(f"kernel_lib.{name}") for name, _ in named}
    assert not [f"{module}.{name}" for module, name in named if not hasattr(modules[module], name)]


def test_the_table_has_every_lesson() -> None:
    assert {f"notebooks/{lesson.name}" for lesson in notebooks.lessons()} <= set(LINKS)
    assert len(VERBS) >= 2


def test_every_file_that_the_checklists_name_exists() -> None:
    places = re.findall(r"`((?:flink_jobs|kernel_lib|infra|tests|notebooks)/[^`]*|[A-Z]+\.md)`", CHECKLISTS)
    assert len(places) > 20
    examples = ("verb_noun", "noun", "NN_name")
    assert not [p for p in places if not (CHECKOUT / p).exists() and not any(each in p for each in examples)]
