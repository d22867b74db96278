"""Rules of the architecture that a test can read off the files."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

from infra.layout import CHECKOUT, HOST, PORTS

PACKAGES = ("kernel_lib", "flink_jobs", "infra")
SOURCES = sorted(path for package in PACKAGES for path in (CHECKOUT / package).rglob("*.py"))
TESTS = sorted((CHECKOUT / "tests").rglob("*.py"))
LONGEST_MODULE = 350
LONGEST_FUNCTION = 45

# The home of addresses, and Jupyter's configuration of ports that no service has.
HOMES_OF_ADDRESSES = {"infra/layout.py"}
HOMES_OF_CLIENTS = {
    "elasticsearch": {"kernel_lib/indices.py", "kernel_lib/indexer.py"},
    "elastic_transport": {"kernel_lib/indices.py", "kernel_lib/indexer.py"},
    "bokeh": {"kernel_lib/plots"},
    "supervisor": {"infra/reaper.py", "infra/supervisor_rpc.py"},
    "jgo": {"infra/artifacts.py"},
    "jinja2": {"infra/render.py"},
    "click": {"infra/cli.py", "infra/instructor.py"},
    "pydantic_settings": {"kernel_lib/settings.py"},
}


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Yield the top-level package of every import of a module, wherever it stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def called(node: ast.AST) -> str:
    function = node.func if isinstance(node, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def is_function(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef)


def length(function: ast.FunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    documentation = ast.get_docstring(function) or ""
    return (function.end_lineno or 0) - function.lineno + 1 - len(documentation.splitlines())


def docstrings(module: ast.Module) -> set[ast.AST]:
    """Return every string that stands alone: it documents, and nothing reads it."""
    return {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}


def constants(path: Path) -> Iterator[object]:
    module = tree(path)
    documentation = docstrings(module)
    return (n.value for n in ast.walk(module) if isinstance(n, ast.Constant) and n not in documentation)


def test_addresses_stand_in_one_place() -> None:
    found = {name(path) for path in SOURCES for value in constants(path) if isinstance(value, str) and HOST in value}
    assert found == HOMES_OF_ADDRESSES


def test_ports_stand_in_one_place() -> None:
    ports = set(PORTS.values())
    found = {name(path) for path in SOURCES for value in constants(path) if value in ports}
    assert found == HOMES_OF_ADDRESSES


def test_templates_take_addresses_and_ports_from_the_layout() -> None:
    forbidden = re.compile("|".join([re.escape(HOST), "localhost", *(rf"\b{port}\b" for port in PORTS.values())]))
    templates = [p for p in (CHECKOUT / "infra").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc", ".lock")]
    assert templates
    assert not [name(path) for path in templates if forbidden.search(path.read_text(encoding="utf-8"))]


def test_only_waiting_sleeps() -> None:
    sleepers = {name(path) for path in [*SOURCES, *TESTS] for node in ast.walk(tree(path)) if called(node) == "sleep"}
    assert sleepers == {"kernel_lib/waiting.py"}


def test_no_error_is_caught_wholesale() -> None:
    wide = {
        f"{name(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or "Exception" in ast.unparse(node.type).split())
    }
    assert not wide


@pytest.mark.parametrize("package", ["kernel_lib", "flink_jobs"])
def test_importing_a_package_imports_nothing_else(package: str) -> None:
    assert not list(imports(CHECKOUT / package / "__init__.py"))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST_MODULE


def test_a_function_fits_on_a_screen() -> None:
    functions = [(name(path), node) for path in SOURCES for node in ast.walk(tree(path)) if is_function(node)]
    assert not [(path, node.name) for path, node in functions if length(node) > LONGEST_FUNCTION]


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "__init__.py"], ids=name)
def test_every_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@pytest.mark.parametrize("library", HOMES_OF_CLIENTS)
def test_a_library_stays_in_its_home(library: str) -> None:
    users = {name(path) for path in SOURCES if library in imports(path)}
    homes = HOMES_OF_CLIENTS[library]
    assert not [user for user in users if not any(user.startswith(home) for home in homes)]


def test_locks_name_versions_and_hashes_but_no_host_to_fetch_from() -> None:
    locks = ["requirements.lock", "infra/build.lock", "infra/artifacts.lock", "infra/artifacts.toml"]
    assert not [lock for lock in locks if "://" in (CHECKOUT / lock).read_text()]


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    private = re.compile(r"""(?<![\w.}])/(?:root|home|Users)/(?!ann\b)\w""")
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    files = [CHECKOUT / line for line in listed.splitlines()]
    texts = [path for path in files if path.suffix in (".py", ".md", ".toml", ".yml", ".ipynb", ".conf", ".cfg", "")]
    assert not [name(path) for path in texts if path.is_file() and private.search(path.read_text(encoding="utf-8"))]
