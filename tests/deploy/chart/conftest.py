"""Fixtures of the tests. Helm's own library renders the chart, without a cluster and without the network."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import CHART, FIXTURES, Chart  # noqa: E402

NIGHTLY = os.environ.get("PYROTEE_NIGHTLY") == "1"
# This test compiles Helm, which takes minutes.
collect_ignore = [] if NIGHTLY else ["test_helm_itself.py"]


def pytest_report_header():
    return "with Helm itself" if NIGHTLY else "without Helm itself: PYROTEE_NIGHTLY=1 compiles it and compares"


@pytest.fixture(scope="session")
def chart_dir(tmp_path_factory):
    """A copy of the chart with small rules and dashboards, so that golden renders do not change with every alert."""
    copy = tmp_path_factory.mktemp("charts") / "pyrotee"
    shutil.copytree(CHART, copy)
    for folder in ("dashboards", "rules"):
        shutil.rmtree(copy / folder, ignore_errors=True)
        shutil.copytree(FIXTURES / folder, copy / folder)
    return copy


@pytest.fixture(scope="session")
def chart(chart_dir):
    return Chart(chart_dir)


@pytest.fixture(scope="session")
def application_dir(tmp_path_factory, chart_dir):
    """The chart of an application that has pyrotee's chart as a dependency."""
    copy = tmp_path_factory.mktemp("application") / "shop"
    shutil.copytree(FIXTURES.parent / "application", copy)
    shutil.copytree(chart_dir, copy / "charts" / "pyrotee")
    return copy


@pytest.fixture(scope="session")
def application(application_dir):
    return Chart(application_dir)
