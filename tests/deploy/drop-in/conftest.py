import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loopback.processes import Family  # noqa: E402
from service import Service  # noqa: E402


@pytest.fixture
def family(tmp_path):
    family = Family(tmp_path)
    yield family
    family.end()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()
