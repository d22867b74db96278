"""What `./course test` does with its words, and with a machine that cannot run a stage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra import cli, proof
from infra.layout import CHECKOUT
from kernel_lib.errors import ConfigurationError


@pytest.fixture
def no_chromium(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)


def test_an_unknown_stage_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        proof.run(["everything"])
    assert "lint | unit | services | notebooks | browser" in caught.value.remedy


@pytest.mark.usefixtures("no_chromium")
def test_a_machine_without_chromium_is_told_which_check_did_not_run_and_how_to_get_it() -> None:
    said = proof._not_run("browser")
    assert said.startswith("browser. There is no Chromium")
    assert "apt-get install chromium" in said
    assert proof.STAGES["browser"]([]) == []


@pytest.mark.usefixtures("no_chromium")
def test_in_ci_a_missing_chromium_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert not proof._not_run("browser")
    (command,) = proof.STAGES["browser"]([])
    done = subprocess.run([sys.executable, *command[1:]], cwd=CHECKOUT, env=dict(os.environ), capture_output=True)
    assert done.returncode == 1
    assert b"apt-get install chromium" in done.stderr


def test_words_after_two_dashes_go_to_pytest() -> None:
    assert proof._split(["unit", "--", "-k", "ledger"]) == (["unit"], ["-k", "ledger"])
    assert proof._split(["unit", "-k", "ledger"]) == (["unit"], ["-k", "ledger"])
    assert proof._split(["lint", "--fix"]) == (["lint", "--fix"], [])
    assert proof._split([]) == ([], [])


def test_the_command_line_passes_words_on_to_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(proof, "run", asked.append)
    CliRunner().invoke(cli.main, ["test", "unit", "--", "-k", "ledger"])
    assert [proof._split(words) for words in asked] == [(["unit"], ["-k", "ledger"])]
    assert proof.STAGES["unit"](["-k", "ledger"])[0][-2:] == ["-k", "ledger"]


def test_service_tests_run_side_by_side_but_those_that_must_be_alone() -> None:
    beside, alone = proof.STAGES["services"]([])
    tests = ["pytest", "tests/services", "-m"]
    assert (beside[:4], alone) == ([*tests, "not alone"], [*tests, "alone"])
    assert proof.STAGES["services"](["-k", "ledger"]) == [["pytest", "tests/services", "-k", "ledger"]]


def test_a_command_that_was_killed_is_told_by_the_signal(capsys: pytest.CaptureFixture[str]) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert not proof._succeeds(["python", "-c", killed], dict(os.environ))
    assert "python was ended by SIGKILL" in capsys.readouterr().out
    assert proof._succeeds(["python", "-c", ""], dict(os.environ))
