"""Prove the course: `./course test` and its stages, each a command that stands for itself.

    >>> proof.run(["lint", "unit"])
    0

The stages that need services get a stack of their own, so that they also pass beside a running course.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import psutil

from infra import browser, own_stack, speed
from infra.layout import CHECKOUT
from kernel_lib.errors import ConfigurationError
from kernel_lib.waiting import PATIENCE

Command = list[str]
# Two processes, each with whole files: most tests wait for services most of the time.
SIDE_BY_SIDE = ["-n", "2", "--dist", "loadfile"]


def run(words: Sequence[str]) -> int:
    """Run the stages named in `words` (all without a name); what follows `--` goes to pytest. Return 0 if all pass."""
    names, extra = _split(words)
    fix = "--fix" in names
    chosen = [name for name in names if name != "--fix"] or list(STAGES)
    unknown = [name for name in chosen if name not in STAGES]
    if unknown:
        raise ConfigurationError(
            f"There is no test stage {', '.join(unknown)}.",
            remedy=f"./course test [{' | '.join(STAGES)}] [-- PYTEST ...]",
        )
    _take_time()
    quick = [name for name in chosen if name not in NEED_SERVICES]
    slow = [name for name in chosen if name in NEED_SERVICES]
    failed = [name for name in quick if not _passes(name, extra, dict(os.environ), fix=fix)]
    if slow:
        with own_stack.started("test", ", ".join(slow)):
            failed += [name for name in slow if not _passes(name, extra, dict(os.environ), fix=fix)]
    _print_outcome(chosen, failed)
    return 1 if failed else 0


def _take_time() -> None:
    """Give waits and tests as much more time as this machine is slower than the one that the limits are made for."""
    index = speed.index()
    factor = os.environ.setdefault(PATIENCE, f"{max(1.0, 1 / index):.1f}")
    print(f"Speed of this machine: {index:.2f}; limits of time are multiplied by {factor} ({PATIENCE}).", flush=True)


def _print_outcome(chosen: list[str], failed: list[str]) -> None:
    passed = [name for name in chosen if name not in failed and not _not_run(name)]
    outcomes = {"Passed": passed, "Failed": failed, "NOT RUN": [_not_run(name) for name in chosen if _not_run(name)]}
    print(
        "\n" + "\n".join(f"{outcome}: {', '.join(names)}" for outcome, names in outcomes.items() if names), flush=True
    )


def _not_run(name: str) -> str:
    """Say why a stage cannot run here; in CI that is a failure instead, or it would be a check that cannot fail."""
    return f"browser. {browser.missing()}" if name == "browser" and browser.missing() and not _in_ci() else ""


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the stages and what goes to pytest; the command line may have swallowed the -- between them."""
    stages = list(takewhile(lambda word: word == "--fix" or not word.startswith("-"), words))
    rest = list(words[len(stages) :])
    return stages, rest[1:] if rest[:1] == ["--"] else rest


def _passes(name: str, extra: list[str], environment: dict[str, str], *, fix: bool) -> bool:
    print(f"\n=== {name} ===", flush=True)
    commands = _fixing() if fix and name == "lint" else STAGES[name](extra)
    succeeded = [_succeeds(command, environment) for command in commands]
    return all(succeeded)


@contextmanager
def _measured() -> Iterator[None]:
    """Print how long something took, and how much of the whole machine was at work meanwhile."""
    before, begun = psutil.cpu_times(), time.monotonic()
    yield
    after, seconds = psutil.cpu_times(), time.monotonic() - begun
    idle = after.idle + after.iowait - before.idle - before.iowait
    share = 1 - idle / (seconds * (os.cpu_count() or 1))
    print(f"took {seconds:.0f} s, {max(0.0, share):.0%} of the machine at work", flush=True)


def _succeeds(command: Command, environment: dict[str, str]) -> bool:
    print("$", " ".join(command), flush=True)
    program = Path(sys.executable).parent / command[0]
    with _measured():
        code = subprocess.run([program, *command[1:]], env=environment, cwd=CHECKOUT, check=False).returncode
    if code < 0:  # it had no last words
        print(f"{command[0]} was ended by {signal.Signals(-code).name}", flush=True)
    return code == 0


def _lint(extra: list[str]) -> list[Command]:
    return [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["lint-imports"],
        ["python", "-m", "infra.notebooks"],
    ]


def _fixing() -> list[Command]:
    return [["ruff", "check", "--fix"], ["ruff", "format"], ["python", "-m", "infra.notebooks", "--fix"]]


def _unit(extra: list[str]) -> list[Command]:
    folders = ("services", "notebooks", "browser")
    return [["pytest", *(f"--ignore=tests/{folder}" for folder in folders), *(extra or SIDE_BY_SIDE)]]


def _service_tests(extra: list[str]) -> list[Command]:
    tests = ["pytest", "tests/services"]
    if extra:  # whoever chooses tests wants to see them one after another
        return [[*tests, *extra]]
    return [[*tests, "-m", "not alone", *SIDE_BY_SIDE], [*tests, "-m", "alone"]]


def _notebook_tests(extra: list[str]) -> list[Command]:
    # nbval finds what the runs before it left, and presses no closing button: the pipeline goes on.
    checked = ["pytest", "--nbval-lax", "notebooks"]
    return [["pytest", "tests/notebooks", *extra], checked, ["python", "-m", "infra.cli", "pipeline", "--stop"]]


def _browser_tests(extra: list[str]) -> list[Command]:
    if browser.missing():
        return [["python", "-m", "infra.browser"]] if _in_ci() else []
    return [["pytest", "tests/browser", *extra]]


STAGES: dict[str, Callable[[list[str]], list[Command]]] = {
    "lint": _lint,
    "unit": _unit,
    "services": _service_tests,
    "notebooks": _notebook_tests,
    "browser": _browser_tests,
}
NEED_SERVICES = ("services", "notebooks", "browser")
