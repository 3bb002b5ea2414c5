"""What is checked is checked by code that Python does not leave out when it is asked to optimise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_damaged_files_are_refused_under_python_o() -> None:
    """Under -O there are no asserts: neither ours, nor those of the tests, which therefore use `pytest.raises` and `fail`."""
    file = Path(__file__).with_name("test_damage.py")
    quiet = ["-p", "no:cacheprovider", "-W", "ignore::pytest.PytestConfigWarning"]
    command = [sys.executable, "-O", "-m", "pytest", *quiet, str(file)]
    done = subprocess.run(command, cwd=file.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
