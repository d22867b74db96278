import os
from pathlib import Path

import pytest

from infra import learners
from infra.credentials import write_env
from infra.layout import Layout
from infra.learners import Learner
from kernel_lib.errors import ConfigurationError
from kernel_lib.settings import load


@pytest.fixture
def ann(tmp_path: Path) -> Learner:
    learner = Learner("grade-3f2a9c1b", tmp_path / "ann", "secret")
    learner.work.mkdir(parents=True)
    return learner


def test_a_learner_s_processes_get_no_setting_of_this_one(ann: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SASL_USERNAME", "course")
    monkeypatch.setenv("NAMESPACE", "mine")
    environment = ann.environment()
    assert environment["COURSE_HOME"] == str(ann.home)
    assert environment["PATH"] == os.environ["PATH"]
    assert not {"SASL_USERNAME", "NAMESPACE"} & set(environment)


def test_a_learner_s_home_has_the_course_s_addresses_and_an_own_login(
    ann: Learner, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = {"kafka_bootstrap_servers": "k:1", "flink_jobmanager_url": "http://f", "elasticsearch_url": "http://e"}
    write_env(empty_home / "course.env", addresses | {"sasl_username": "course", "elasticsearch_user": "course"})
    write_env(empty_home / "secrets.env", {"sasl_password": "x", "supervisor_password": "y"}, mode=0o600)
    learners.write_settings(empty_home, ann)
    monkeypatch.setenv("COURSE_HOME", str(ann.home))
    found = load()
    assert (found.kafka_bootstrap_servers, found.namespace) == ("k:1", ann.name)
    assert (found.sasl_username, found.elasticsearch_user) == (ann.name, ann.name)
    assert {found.sasl_password.get_secret_value(), found.elasticsearch_password.get_secret_value()} == {"secret"}
    assert found.supervisor_password.get_secret_value() == "y"
    assert "secret" not in (ann.home / "course.env").read_text()
    assert (ann.home / "secrets.env").stat().st_mode & 0o077 == 0


def test_a_learner_s_text_has_no_password(ann: Learner) -> None:
    assert "secret" not in repr(ann)


def test_a_course_of_somebody_else_has_no_learners(empty_home: Path) -> None:
    with pytest.raises(ConfigurationError, match="no passwords of administrators"):
        learners.remove_leftovers(Layout(empty_home))
