import subprocess
import sys

import pytest

from kernel_lib import errors
from kernel_lib.errors import AuthenticationFailed, CourseError, ServiceUnavailable

DOWN = ServiceUnavailable("Kafka", "broker:9092", "connection refused", "./course up")


def all_errors(kind: type[CourseError] = CourseError) -> list[type[CourseError]]:
    subclasses = (sub for sub in kind.__subclasses__() if sub.__module__ == errors.__name__)
    return [kind, *(error for sub in subclasses for error in all_errors(sub))]


def test_a_service_that_is_down_is_told_with_service_address_cause_and_remedy() -> None:
    assert str(DOWN) == "Kafka at broker:9092 does not answer.\nCause: connection refused\nTry: ./course up"


def test_a_wrong_password_is_told_as_such_and_can_be_caught_as_a_service_that_is_not_available() -> None:
    error: ServiceUnavailable = AuthenticationFailed("Kafka", "broker:9092", "SASL failed")
    assert "refused the user name or the password" in str(error)


def test_an_error_without_cause_and_remedy_is_one_sentence() -> None:
    assert str(CourseError("It failed.")) == "It failed."


def test_ipython_shows_an_error_as_sentences_without_a_traceback() -> None:
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance(colors='nocolor')\n"
        "shell.run_cell('from kernel_lib.errors import *\\n"
        'def deep(): raise ServiceUnavailable("Kafka", "broker:9092", "refused", "./course up")\\n'
        "deep()')\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "ServiceUnavailable: Kafka at broker:9092 does not answer.\nCause: refused\nTry: ./course up" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_stands_in_the_tree_of_the_module(kind: type[CourseError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__
