"""Shared by each conftest.py: tests that take minutes run only with PYROTEE_NIGHTLY=1, and all tests use one container engine."""

import os

import pytest

from .engine import Engine

NIGHTLY = bool(os.environ.get("PYROTEE_NIGHTLY"))


def pytest_configure(config):
    config.addinivalue_line("markers", "nightly: takes minutes; run with PYROTEE_NIGHTLY=1")


def pytest_collection_modifyitems(config, items):
    late = [item for item in items if item.get_closest_marker("nightly") and not NIGHTLY]
    if late:
        config.hook.pytest_deselected(items=late)
        items[:] = [item for item in items if item not in late]
        config.pluginmanager.get_plugin("terminalreporter").write_line(
            f"{len(late)} tests are for the night: PYROTEE_NIGHTLY=1"
        )


@pytest.fixture(scope="session")
def engine():
    engine = Engine()
    yield engine
    engine.close()
