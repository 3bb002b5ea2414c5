"""The README's tree is the architecture; documents say what is true."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

import striata
from striata.cli.app import COMMANDS
from striata.layout import builtin_layouts

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "striata"


def listed() -> set[str]:
    """Files named in the tree of docs/how-it-works.md, relative to src/striata."""
    text = (ROOT / "docs" / "how-it-works.md").read_text()
    block = text[text.index("src/striata/\n") : text.index("studies/     ")]
    files, room = set(), ""
    for line in block.splitlines()[1:]:
        name = line.split()[0]
        inner = line.startswith("    ")
        if name.endswith("/"):
            room = name
        else:
            files.add(room + name if inner else name)
    return files


def test_the_tree_in_the_docs_is_the_tree() -> None:
    files = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*") if p.suffix in (".py", ".yaml")}
    rooms = {name for name in files if name.endswith("__init__.py") and name != "__init__.py"}
    assert listed() == files - rooms


def test_files_stay_small() -> None:
    for path in SOURCE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path


def test_functions_stay_short() -> None:
    """Lines without the docstring."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
                docstring = 0 if first is None else (first.end_lineno or 0) - first.lineno + 1
                lines = (node.end_lineno or 0) - node.lineno + 1 - docstring
                assert lines <= 55, f"{path}:{node.lineno}: {node.name} has {lines} lines; make its steps functions of their own"


def named(tree: ast.AST) -> list[tuple[int, str]]:
    """Every name that code gives to something, with its line: functions, classes, arguments, variables, attributes, aliases."""
    names: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.append((node.lineno, name))
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                names.append((node.lineno, name))
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                names.append((node.lineno, name))
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names += [(node.lineno, alias.asname) for alias in aliases if alias.asname]
    return names


def test_results_have_nouns_for_names() -> None:
    words = {"found", "asked", "given", "kept", "said", "wanted", "mine", "there", "each"}
    for path in SOURCE.rglob("*.py"):
        for line, name in named(ast.parse(path.read_text())):
            assert name.strip("_").lower() not in words, f"{path}:{line}: '{name}' says not what it holds; use a noun"


@pytest.mark.parametrize(
    "code",
    [
        "found = 1", "for found in (): ...", "[0 for found in ()]", "lambda found: 0", "def f(*, found=1): ...",
        "def found(): ...", "class Found: ...", "class A:\n    found: int", "self._found = 1", "import os as found",
        "(found := 1)", "try: ...\nexcept OSError as found: ...", "match 1:\n    case found: ...", "with a as found: ...",
    ],
)  # fmt: skip
def test_every_way_to_give_a_name_is_seen(code: str) -> None:
    assert "found" in [name.strip("_").lower() for _, name in named(ast.parse(code))]


def hidden(package: ModuleType) -> list[str]:
    """Submodules that `import package.name as x` or the package's own list of names gives something else for."""
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}
    exported = set(getattr(package, "__all__", ()))
    return [name for name, module in modules.items() if getattr(package, name) is not module or name in exported]


def test_no_package_hides_a_module_behind_a_name_it_exports() -> None:
    packages = [module.name for module in pkgutil.walk_packages(striata.__path__, "striata.") if module.ispkg]
    for name in ["striata", *packages]:
        assert hidden(importlib.import_module(name)) == [], f"{name}: a module and a function of one name"


def test_a_hidden_module_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lazily = "def __getattr__(name):\n    from .soup import soup\n    return soup\n"
    for name, init in {
        "eager": "from .soup import soup\n",
        "lazy": f"__all__ = ['soup']\n{lazily}",
        "clear": "soups = 1\n",
    }.items():
        folder = tmp_path / f"house_{name}"
        folder.mkdir()
        (folder / "__init__.py").write_text(init)
        (folder / "soup.py").write_text("def soup(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    expected = {"eager": ["soup"], "lazy": ["soup"], "clear": []}
    assert {name: hidden(importlib.import_module(f"house_{name}")) for name in expected} == expected


def test_every_command_is_in_the_guide_and_the_readmes_study_is_valid() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text()
    for command in COMMANDS:
        assert f"striata {command}" in guide or command == "demo", command
    from striata.settings import load_study

    for name in ("README.md", "docs/guide.md"):
        text = (ROOT / name).read_text()
        block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
        assert block is not None
        study = load_study(yaml.safe_load(block.group(1)))
        assert study.output == "runs/agnews"


def test_the_reference_is_made_from_this_code() -> None:
    code = "import json, reference; print(json.dumps(reference.pages()))"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "docs", check=True, capture_output=True, text=True).stdout
    pages = json.loads(made)
    assert sorted(pages) == ["layouts.md", "python.md", "reference.md"]
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text() == text, "run: python docs/reference.py"


def test_what_documents_import_is_there() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for module, names in re.findall(r"^from (striata[\w.]*) import ([\w, ]+)$", page.read_text(), re.MULTILINE):
            for name in names.split(", "):
                assert getattr(importlib.import_module(module), name) is not None, f"{page}: {module}.{name}"


def test_documents_link_to_what_is_there() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_numbers_of_layouts_in_the_documents() -> None:
    assert f"{len(builtin_layouts())} built-in layouts" in (ROOT / "CHANGELOG.md").read_text()


def test_reading_a_study_needs_no_torch() -> None:
    rooms = ("data", "ensemble", "model", "robustness", "runs", "settings", "study", "tasks")
    code = f"import sys, {', '.join(f'striata.{room}' for room in rooms)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_labels_are_decided_and_scaled_in_one_place() -> None:
    """The largest value over labels and the softmax over labels belong to the task."""
    for path in SOURCE.rglob("*.py"):
        torch_has_it = path.name in ("modules.py", "tensors.py", "losses.py")
        if path.relative_to(SOURCE).parts[0] not in ("tasks", "engine") and not torch_has_it:
            assert not re.search(r"\.argmax\([^)]|\bargmax\(\w|softmax\(", path.read_text()), path


def test_nothing_large_or_foreign_is_committed() -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    for name in done.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.exists():
            assert path.stat().st_size < 1_000_000, name
            assert path.suffix not in (".safetensors", ".bin", ".pt", ".csv", ".parquet"), name


def test_messages_of_the_library_speak_of_arguments_not_of_options() -> None:
    for path in SOURCE.rglob("*.py"):
        if path.parent.name == "cli":
            continue
        for raised in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise)):
            texts = [node.value for node in ast.walk(raised) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
            options = [text for text in texts if re.search(r"(?<![\w-])--[a-z]", text)]
            assert not options or "striata ensemble FOLDER" in options[0], f"{path}:{raised.lineno}: {options}"
