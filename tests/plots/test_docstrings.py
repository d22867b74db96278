"""What CONTRIBUTING.md asks of each view: its docstring, and a test that makes its fault."""

import ast
import re
from pathlib import Path

import pytest

from infra.layout import CHECKOUT

WANTED = {
    "the question": r"^Question: ",
    "the fault": r"Faults? that\schanges? it:\s",
    "the words before": r"^    before  \"",
    "the words after": r"^    then    \"",
}
BASES = {"View", "Topology"}


def views() -> dict[str, Path]:
    """Return the file of each class that is a view and not only the base of others."""
    found = {}
    for path in sorted((CHECKOUT / "kernel_lib" / "plots").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and BASES & {
                base.id for base in node.bases if isinstance(base, ast.Name)
            }:
                found[node.name] = path
    return {name: path for name, path in found.items() if name not in BASES}


VIEWS = views()


@pytest.mark.parametrize("path", sorted(set(VIEWS.values())), ids=lambda path: path.stem)
def test_a_view_says_its_question_its_fault_and_the_words_before_and_after(path: Path) -> None:
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    missing = [what for what, pattern in WANTED.items() if not re.search(pattern, words, re.MULTILINE)]
    assert not missing, f"the docstring of {path.name} lacks {' and '.join(missing)}"


@pytest.mark.parametrize("view", VIEWS)
def test_a_service_test_makes_the_fault_of_a_view(view: str) -> None:
    tests = [path.read_text(encoding="utf-8") for path in (CHECKOUT / "tests" / "services").glob("test_views*.py")]
    assert any(re.search(rf"= (plots\.)?{view}\(|, (plots\.)?{view}\(", text) for text in tests)
