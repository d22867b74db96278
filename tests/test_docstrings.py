"""A public function says which errors of the library it raises by itself."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.layout import CHECKOUT
from kernel_lib import errors
from kernel_lib.errors import CourseError

LIBRARY = sorted((CHECKOUT / "kernel_lib").rglob("*.py"))
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CourseError)}
ELSEWHERE = "raises as"
"""How a docstring refers to that of another function."""


def public(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Yield the functions and methods that are called from outside; one inside of another is not."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def raised(function: ast.FunctionDef) -> set[str]:
    """Return the errors of the library that stand in a function's own `raise`, and that of a wait that it hands on."""
    nodes = list(ast.walk(function))
    calls = [node.exc for node in nodes if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    found = {call.func.id for call in calls if isinstance(call.func, ast.Name)} & ERRORS
    waits = any(isinstance(node, ast.Call) and ast.unparse(node.func) == "wait_until" for node in nodes)
    caught = any(isinstance(node, ast.Name) and node.id in ("WaitTimeout", "CourseError") for node in nodes)
    return found | ({"WaitTimeout"} if waits and not caught else set())


def silent(path: Path) -> list[str]:
    """Return the functions of a module that keep an error to themselves."""
    functions = public(ast.parse(path.read_text(encoding="utf-8")))
    said = {function: ast.get_docstring(function) or "" for function in functions}
    return [
        f"{function.name} raises {error}"
        for function, words in said.items()
        for error in sorted(raised(function))
        if error not in words and ELSEWHERE not in words.lower()
    ]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_docstring_names_the_errors_that_a_function_raises(path: Path) -> None:
    assert silent(path) == []
