"""What every test may count on: a cache and a temporary folder of its own, no network, the real data where it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, not whether it is right.
settings.register_profile("busy machines", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machines")

# As the command does: torch's threads else spin while they wait, on cores that the other tests use too.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def folders_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or leaves anything in the user's cache; what is made is shared by the tests of one session.

    What programs and packages leave in the temporary folder, those that are killed above all, goes with the session. Its path is short, for sockets
    lie in it (Ray's), and the path of a socket has 107 letters at most.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLALA_BENCHMARK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        folder = tempfile.mkdtemp(prefix="clala-tests-")
        Path(folder).chmod(0o711)  # tests that give up root's rights go on in folders of their own within
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real radiographs and reports beside the checkout; the test is skipped where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("real radiographs and reports are not in ../shared/data (they may not be shipped)")
    return REAL_DATA
