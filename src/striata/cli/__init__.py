"""The command line: one file per command, torch only when a command needs it."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Entry point of the `striata` command: a StriataError is one line on stderr and exit code 2."""
    from ..errors import StriataError
    from .app import app

    try:
        app()
    except StriataError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == 130:  # what typer makes of Ctrl-C
            print("interrupted: what was finished is kept; run the same command again to go on", file=sys.stderr)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
