import subprocess

import msgspec

from kernel_lib.child_process import Child


class Word(msgspec.Struct):
    word: str


def test_a_child_is_told_lines_and_answers_and_ends_with_its_input() -> None:
    child = Child("json.tool", "--compact", stderr=subprocess.STDOUT)
    assert child.alive
    assert child.exit_code is None
    assert child.tell(Word("go"))
    assert child._process.stdin
    child._process.stdin.close()  # as the end of this process would
    assert child.output.read() == b'{"word":"go"}\n'
    child.close()
    assert child.exit_code == 0


def test_a_child_that_is_gone_hears_nothing() -> None:
    child = Child("json.tool", stderr=subprocess.STDOUT)
    child.kill()
    assert not child.tell(Word("go"))
    child.close()
    assert not child.tell(Word("go"))
    assert child.exit_code == -9


def test_a_child_that_does_not_end_is_killed() -> None:
    child = Child("timeit", "-n1", "import signal; signal.pause()", stderr=subprocess.STDOUT)
    child.end_within(0.1)
    child.close()
    assert child.exit_code == -9
