"""One Ray cluster for all tests that need one: this machine, with two cores."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Connected while the tests run; skipped where Ray is not installed."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'striata[ray]'")
    with pytest.MonkeyPatch.context() as patch:  # what the cluster's processes start with
        # Ray's workers are nice by 15, which beside a suite that is nice itself means next to nothing.
        for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_worker_niceness"):
            patch.setenv(name, "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
        before = signal.getsignal(signal.SIGTERM)
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        signal.signal(signal.SIGTERM, before)
    yield
    ray.shutdown()
