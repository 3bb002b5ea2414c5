"""Commands in a process that cannot import some packages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

# Runs striata commands in one process, each without some packages; prints a list of [exit code
# or what was raised, stdout, stderr].
WITHOUT = """
import contextlib, io, json, sys
from importlib.machinery import PathFinder

hidden = set()

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)

sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
results = []
for packages, command in json.loads(sys.argv[1]):
    hidden = set(packages)
    for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
        del sys.modules[name]
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["striata", *command]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        from striata.cli import main
        try:
            code = main() or 0
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
    results.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(results))
"""
Result = tuple[int | str, str, str]


def run_without(*commands: tuple[Sequence[str], Sequence[object]]) -> list[Result]:
    """Exit code (or what was raised), stdout and stderr of commands that cannot import some packages."""
    arguments = json.dumps([[sorted(hidden), [str(part) for part in command]] for hidden, command in commands])
    done = subprocess.run([sys.executable, "-c", WITHOUT, arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [(code, out, err) for code, out, err in json.loads(done.stdout.splitlines()[-1])]
