import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loopback.processes import Family  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: fetches Alloy's parser with Go; PYROTEE_NIGHTLY=1 does it")


def pytest_collection_modifyitems(config, items):
    """Leaves out the nightly tests by day; the summary of pytest shows that."""
    nightly = [item for item in items if item.get_closest_marker("nightly")]
    if nightly and not os.environ.get("PYROTEE_NIGHTLY"):
        config.hook.pytest_deselected(items=nightly)
        items[:] = [item for item in items if item not in nightly]


@pytest.fixture
def family(tmp_path):
    family = Family(tmp_path)
    yield family
    family.end()
