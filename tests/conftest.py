"""What all tests share: where things are, a quiet machine, and which tests run last."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Before torch is imported anywhere. Tests measure no speed, and a test that asks a model hub is a wrong test.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]):
    # Playwright keeps an event loop running in this thread, which asyncio.run() in a later test would refuse.
    browser = ROOT / "tests" / "browser"
    for item in items:
        if browser in item.path.parents:
            item.add_marker("browser")
    items.sort(key=lambda item: browser in item.path.parents)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def node() -> str:
    """A node >= 20: the one on PATH, or the one inside Playwright's package."""
    if found := shutil.which("node"):
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if int(re.match(r"v(\d+)", version)[1]) >= 20:
            return found
    import playwright

    (bundled,) = (Path(playwright.__file__).parent / "driver").glob("node*")
    return str(bundled)
