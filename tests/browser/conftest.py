"""A JupyterLab of the course, set up as `course lab` does, and a real Chromium."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from infra import lab, lab_page, namespaces
from infra.credentials import credentials
from infra.layout import CHECKOUT, layout
from kernel_lib import settings, topics
from kernel_lib.settings import Settings
from tests.browser.lab_page import Address

NAMESPACE = "test-browser"


@pytest.fixture(scope="module")
def course() -> Iterator[Settings]:
    found = settings.load(namespace=NAMESPACE)
    topics.create_all(settings=found)
    yield found
    namespaces.remove(found.namespace, settings=found)


@pytest.fixture(scope="module")
def address(course: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """Where each notebook is in a Lab over a copy of the notebooks and of the galleries."""
    where = layout()
    secrets, folder = credentials(where.home), tmp_path_factory.mktemp("lab")
    with lab.apart(where, secrets, folder, namespace=NAMESPACE):
        for gallery in (CHECKOUT / "tests" / "browser").glob("*.ipynb"):
            shutil.copy(gallery, folder / "notebooks")
        yield lambda notebook: lab.address(where, secrets, f"notebooks/{notebook}")


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with lab_page.chromium() as opened:
        yield opened
