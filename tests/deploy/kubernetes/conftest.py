import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loopback.processes import Family  # noqa: E402


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    family = Family(tmp_path_factory.mktemp("processes"))
    yield family
    family.end()
