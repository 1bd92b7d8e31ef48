import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from containers.common import engine, pytest_collection_modifyitems, pytest_configure  # noqa: E402, F401
from containers.engine import ROOT, need  # noqa: E402


@pytest.fixture(scope="session")
def package(engine):
    """The package as `make dist` builds it, or an existing package that PYROTEE_DEB names."""
    ready = os.environ.get("PYROTEE_DEB")
    if ready:
        return Path(ready).resolve()
    need({"dpkg-deb": "dpkg", "dpkg-shlibdeps": "dpkg-dev"})
    out = ROOT / "target/deploy/package-built"
    engine.run("rm", "-rf", out)
    engine.run(ROOT / "deploy/package/build", "release", out, cwd=ROOT, env=os.environ, timeout=3600)
    (package,) = out.glob("*.deb")
    return package
