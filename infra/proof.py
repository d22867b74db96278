"""Prove the course: `./course test` and its stages, each a command that stands for itself.

    >>> proof.run(["lint", "unit"])
    0

The stages that need services get a stack of their own, on free ports and in a home of its own, so that
they also pass beside a running course.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra import browser, preflight, prepare, stack
from infra.layout import CHECKOUT, Layout
from kernel_lib import topics
from kernel_lib.errors import ConfigurationError

TEST_HOME = CHECKOUT / ".course" / "test"
OFFSETS = range(10_000, 20_000, 100)

Command = list[str]


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
    with _services([name for name in chosen if name in NEED_SERVICES]) as environment:
        failed = [name for name in chosen if not _passes(name, extra, environment, fix=fix)]
    print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'All passed: ' + ', '.join(chosen)}", flush=True)
    return 1 if failed else 0


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return list(words), []
    at = list(words).index("--")
    return list(words[:at]), list(words[at + 1 :])


def _passes(name: str, extra: list[str], environment: dict[str, str], *, fix: bool) -> bool:
    print(f"\n=== {name} ===", flush=True)
    commands = _fixing() if fix and name == "lint" else STAGES[name](extra)
    succeeded = [_succeeds(command, environment) for command in commands]
    return all(succeeded)


def _succeeds(command: Command, environment: dict[str, str]) -> bool:
    print("$", " ".join(command), flush=True)
    program = Path(sys.executable).parent / command[0]
    return subprocess.run([program, *command[1:]], env=environment, cwd=CHECKOUT, check=False).returncode == 0


@contextmanager
def _services(stages: list[str]) -> Iterator[dict[str, str]]:
    """Yield the environment of the tests; for stages that need services, with a stack of its own running."""
    if not stages:
        yield dict(os.environ)
        return
    where = _free_layout()
    stack.stop(where)
    stack.wipe(where)
    os.environ["COURSE_HOME"] = str(where.home)
    print(f"Starting services for {', '.join(stages)} at port offset {where.port_offset} ...", flush=True)
    try:
        prepare.prepare(where)
        stack.start(where, report=lambda name: None)
        topics.create_all()
        yield dict(os.environ)
    finally:
        stack.stop(where)


def _free_layout() -> Layout:
    layouts = (Layout(TEST_HOME, port_offset=offset) for offset in OFFSETS)
    return next(where for where in layouts if not list(preflight.check_ports(where)))


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
    return [["pytest", *(f"--ignore=tests/{folder}" for folder in folders), *extra]]


def _service_tests(extra: list[str]) -> list[Command]:
    return [["pytest", "tests/services", *extra]]


def _notebook_tests(extra: list[str]) -> list[Command]:
    return [["pytest", "tests/notebooks", *extra]]


def _browser_tests(extra: list[str]) -> list[Command]:
    missing = browser.missing()
    if missing:
        print(f"NOT RUN: the browser test. {missing}", flush=True)
        # On a learner's machine that is a gap to know of; in CI it would be a check that cannot fail.
        return [["python", "-m", "infra.browser"]] if os.environ.get("CI") == "true" else []
    return [["pytest", "tests/browser", *extra]]


STAGES: dict[str, Callable[[list[str]], list[Command]]] = {
    "lint": _lint,
    "unit": _unit,
    "services": _service_tests,
    "notebooks": _notebook_tests,
    "browser": _browser_tests,
}
NEED_SERVICES = ("services", "notebooks", "browser")
