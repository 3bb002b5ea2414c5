"""The command line: one file per command, torch only when a command needs it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import StriataError


# Arguments of the library's functions whose option has another name.
_OPTIONS = {"settings": "--set", "coverage": "--sets", "id_label": "--format id-label", "id_column": "--id"}


_INTERRUPTED = "interrupted: what was finished is kept; run the same command again to go on"


def in_options(error: StriataError) -> str:
    """An error's message, with the option in the place of the argument that is wrong."""
    if error.argument is None:
        return str(error)
    option = _OPTIONS.get(error.argument, f"--{error.argument.replace('_', '-')}")
    return f"{option}{str(error).removeprefix(error.argument)}"


def main() -> None:
    """Entry point of the `striata` command: a StriataError is one line on stderr and exit code 2, Ctrl-C and SIGTERM are 130."""
    from ..errors import StriataError

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # as Ctrl-C, whatever is going on
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from .app import app

        app()
    except StriataError as error:
        from .output import visible

        print(f"error: {visible(in_options(error))}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # of a file or folder that nobody looks after
        from ..disk.system import cannot_read
        from .output import visible

        print(f"error: {visible(cannot_read(Path.cwd(), error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before typer is there to see it
        print(_INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    except SystemExit as ended:
        if ended.code == 130:  # what typer makes of Ctrl-C
            print(_INTERRUPTED, file=sys.stderr)
        raise
