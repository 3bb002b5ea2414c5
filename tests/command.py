"""The command line, called in the tests' own process."""

from __future__ import annotations

import sys

from striata.cli import main


def run(*arguments: object) -> int:
    """A command's exit code."""
    before, sys.argv = sys.argv, ["striata", *map(str, arguments)]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before
    return 0
