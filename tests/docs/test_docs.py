"""Every code block and command of README and docs is executed, or named here with the reason why not."""

from __future__ import annotations

import ast
import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import striata
from striata.settings import load_study

from .blocks import PAGES, Block, blocks_of
from .world import NEW, call, inside, is_layout, make_world, names_for_python, readme_study, shrunk, train_world, write_study

# Pages that are not executed.
PAGES_NOT_RUN = {
    "docs/reference.md": "made from the code: usage lines, not commands; tests/test_house.py compares it with the code",
    "docs/python.md": "made from the code: signatures",
    "docs/layouts.md": "made from the code: no commands",
    "docs/peft.md": "tests/docs/test_peft.py runs its lines for every head",
}
# Blocks that are not executed, by page and first line.
BLOCKS_NOT_RUN = {
    ("docs/comparing.md", "half width^2 = t(seeds' freedom)^2 * seeds' part + z^2 * rows' part"): "a formula",
    ("docs/serving.md", '{"model": "agnews", "version": "5c1d3a60f2b7", "answers": ['): "an answer; tests/serving asks for one",
    ("docs/serving.md", '{"error": "texts[3] is blank; expected a text", "code": "blank_text", "field": "texts[3]"}'): "likewise",
    ("docs/export.md", "import json"): "tests/exports runs these lines in a process without striata",
    ("docs/export.md", 'import { pipeline, env } from "@huggingface/transformers";'): "tests/exports does it where Node has it",
    ("docs/install.md", "repos:"): "a hook of pre-commit; tests/test_packaging.py reads it",
    ("docs/install.md", "- uses: actions/checkout@v4"): "a step of a workflow",
    ("docs/scale.md", "from ray import serve"): "tests/docs/test_recipes.py runs it where ray[serve] is installed",
    ("docs/scale.md", "from collections.abc import Iterator"): "likewise, where PySpark is",
    ("docs/labelling.md", "<View>"): "a configuration of Label Studio's",
    ("docs/how-it-works.md", "src/striata/"): "a tree; tests/test_house.py compares it with the files",
}
# Commands that are not executed.
NOT_RUN = {
    "pip install striata": "installs",
    "pip install '.[all]'": "installs",
    "pip install 'striata[all]'": "installs",
    "pip install 'striata[ray]'": "installs",
    "pip install 'striata[report]'": "installs",
    "pip install 'striata[search]'": "installs",
    "pip install 'striata[serve]'": "installs",
    "pip install --upgrade '.[all]'": "installs",
    "striata serve runs/agnews/ensemble": "does not end by itself; tests/serving runs servers",
    "striata serve runs/tickets": "likewise",
    "striata serve runs/agnews/ensemble words=runs/mine --port 8080 --key-file keys.txt --watch": "likewise",
    "curl localhost:8000/v1/classify -H 'Content-Type: application/json' -d "
    """'{"texts": ["Stocks rise on hopes of a deal"], "coverage": 0.9, "votes": true}'""": "tests/serving asks a server",
    "striata export runs/agnews/runs/s8-seed0 --out exported": "half a minute; tests/exports runs it on less",
    "striata export runs/agnews/ensemble --quantize int8 --out exported8": "half a minute; tests/exports runs it on less",
    "striata export runs/minilm/runs/s8-seed0 --to sentence-transformers --out dense": "tests/exports runs it on less",
    "pip install s3fs": "installs",
    "striata predict runs/agnews/ensemble 's3://bucket/in/*.parquet' --out s3://bucket/answers": "needs a bucket",
    "striata predict runs/agnews/ensemble 's3://bucket/in/*.parquet' --out s3://bucket/answers --ray auto": "likewise",
    "striata train search.yaml --stacks 3": "tests/search trains one search in several processes",
    "striata train search.yaml --stacks 4": "likewise",
    "striata train search.yaml --ray auto": "tests/scale does it",
    "striata train study.yaml --ray local": "starts a cluster; tests/scale has one for all of its tests",
    "striata train study.yaml --ray auto": "likewise",
    "striata fit train.csv --minutes 20 --ray local": "likewise",
    "striata fit train.csv --minutes 20 --ray auto --cores 8": "likewise",
    "striata train study.yaml --ray 10.0.0.1:6379 --stacks 8 --cores 4": "likewise",
    "striata predict runs/agnews/ensemble 'in/**/*.csv' --out answers --ray auto": "likewise",
    "striata push runs/agnews/ensemble me/news --private --yes": "needs the Hub; tests/test_hub.py has one on the loopback",
    "striata predict hub:me/news new.csv": "needs the Hub; tests/test_hub.py has one on the loopback",
    "striata audit runs/mine --apply answers.json --out fixed": "needs answers; tests/robustness/test_review.py has some",
    "make demo": "installs, and takes two minutes; tests/cli/test_demo.py runs a small demo",
    "make install": "installs",
    "pip install numpy onnxruntime tokenizers": "installs",
    'python exported/predict.py "Stocks rise on hopes of a deal"': "tests/exports runs it in a process without striata",
    ".venv/bin/python -m benchmarks --json docs/performance.json": "a measurement of hours",
    ".venv/bin/python -m benchmarks study-bf16 memory --alternations 9": "a measurement of minutes",
    ".venv/bin/python -m benchmarks leaderboard": "a measurement of minutes",
    ".venv/bin/python -m benchmarks --quick": "minutes; tests/benchmarks runs the parts",
    ".venv/bin/python -m benchmarks --json docs/performance.json --markdown": "needs the machine's measurements",
    ".venv/bin/python -m benchmarks --json docs/performance.json --plot docs": "needs the machine's measurements",
    ".venv/bin/python -m benchmarks.quality --json quality.json --steps 400": "a measurement of an hour",
    "python -m benchmarks baselines": "a measurement of minutes",
    "python -m benchmarks time-to-accuracy": "a measurement of hours",
    "python -m benchmarks predict-loop --threads 1 --predicted 256": "a measurement of minutes",
    "python -m tests.torture.run --count 1000": "hours; tests/torture runs a small part",
    "python -m tests.torture.run damage --count 24 --only fitted": "minutes; tests/torture runs a small part",
    "python -m tests.torture.run killed EIO --count 6 --seed 5 --only fit --only soup": "minutes; tests/torture runs a part",
    "python -m tests.torture.run mutations": "minutes; tests/torture runs a small part",
}
QUICK = "--base none --minutes 0.1"
ADAPTERS = "--base FacebookAI/roberta-base --minutes 0.1"
# Commands that are executed with other values, so that they take a second.
SMALLER = {
    "striata fit train.csv": f"striata fit train.csv {ADAPTERS}",
    "striata fit train.csv --minutes 5": f"striata fit train.csv {QUICK}",
    "striata fit train.csv --test test.csv": f"striata fit train.csv --test test.csv {QUICK}",
    "striata fit tickets.csv --text message --minutes 2": f"striata fit tickets.csv --text message {QUICK}",
    "striata fit tickets.csv --text subject --label team": f"striata fit tickets.csv --text subject --label team {ADAPTERS}",
    "striata evaluate runs/mine/ensemble test.csv --label topic --json": (
        "striata evaluate runs/mine/ensemble topics.csv --label topic --json"
    ),
    "striata train study.yaml --set recipe.max_steps=100 --set output=runs/short": (
        "striata train study.yaml --set recipe.max_steps=3 --set output=runs/short"
    ),
    "striata predict runs/agnews/ensemble 'in/*.parquet' --out answers": (
        "striata predict runs/agnews/ensemble 'ne*.csv' --out answers"
    ),
    "striata distil runs/agnews": "striata distil runs/agnews --steps 3 --loss 1",
    "striata distil runs/agnews --unlabelled more.csv": "striata distil runs/agnews --unlabelled more.csv --steps 3 --loss 1",
    "striata distil runs/agnews --unlabelled more.csv --steps 1000 --layout s9": (
        "striata distil runs/agnews --unlabelled more.csv --steps 3 --layout s9 --loss 1"
    ),
    "striata selftrain runs/agnews --unlabelled more.csv": (
        "striata selftrain runs/agnews --unlabelled more.csv --steps 3 --rounds 1 --loss 1"
    ),
    "striata predict runs/agnews/ensemble new.csv --base /models/roberta-base": (
        "striata predict runs/agnews/ensemble new.csv --base models/roberta-base"
    ),
    "striata shift runs/agnews/ensemble --known test.csv --unlabelled new.csv": (
        "striata shift runs/agnews/ensemble --known test.csv --unlabelled new.csv --permutations 19"
    ),
    "striata shift runs/mine/ensemble --known test.csv --unlabelled new.csv --train train.csv": (
        "striata shift runs/mine/ensemble --known test.csv --unlabelled new.csv --train train.csv --permutations 19"
    ),
}
# Commands and Python statements that may be refused, since nothing good comes of four steps on random weights; and how.
MAY_REFUSE = {
    "striata ensemble runs/agnews --method soup --size 3": "nothing was written; try fewer runs",
    "striata predict runs/agnews/ensemble new.csv --out said.csv --precision-at-least 0.95": "no threshold can be shown",
    "striata predict runs/agnews/ensemble new.csv --precision-at-least 0.95": "no threshold can be shown",
    "model.predict(texts, abstain_below=model.answers(0.95).threshold)": "no threshold can be shown",
}
# Blocks that are executed where nothing was trained before, and whose results are not those that the page goes on with.
APART = {
    ("docs/guide.md", 'striata.train("study.yaml", data=frame)  # a pandas or polars DataFrame, a datasets.Dataset, an Arrow'),
}
# Pages on which a study is trained, so that nothing is there before.
TRAINING = ("README.md", "docs/guide.md")
RUN = [page for page in PAGES if page not in PAGES_NOT_RUN]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("docs") / "world")


@pytest.fixture(scope="module")
def trained(world: Path) -> Path:
    return train_world(shutil.copytree(world, world.with_name("trained")))


class Reader:
    """Does what a page says, block by block.

    Args:
        page: its path.
        folder: where it is done.
        untouched: a folder as it was before anything was trained.
    """

    def __init__(self, page: str, folder: Path, untouched: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.page, self.folder, self.untouched, self.capsys = page, folder, untouched, capsys
        self.names = names_for_python(folder)
        self.study = readme_study()

    def do(self, block: Block) -> None:
        """Executes a block."""
        kinds: dict[str, Callable[[Block], None]] = {"python": self.python, "yaml": self.yaml, "commands": self.commands}
        kinds.get(block.kind, self.text)(block)

    def python(self, block: Block) -> None:
        code = ast.parse("\n" * (block.line - 1) + block.text)
        if (block.page, block.first) not in APART:
            for statement in code.body:
                try:
                    exec(compile(ast.Module([statement], []), block.page, "exec"), self.names)
                except striata.StriataError as error:
                    if MAY_REFUSE.get(ast.unparse(statement), "?") not in str(error):
                        raise
            return
        apart = shutil.copytree(self.untouched, self.folder.with_name(f"apart{block.line}"))
        shutil.copy(self.folder / "study.yaml", apart)
        for line in block.text.splitlines():
            shutil.rmtree(apart / "runs", ignore_errors=True)
            with inside(apart):
                exec(compile(line, block.page, "exec"), dict(self.names))

    def yaml(self, block: Block) -> None:
        """A whole study becomes `study.yaml`; keys of one are read within it."""
        content = yaml.safe_load(block.text)
        if "base" in content:
            self.study = content
            load_study(content)
            if "search" not in content:
                write_study(self.folder / "study.yaml", content)
        else:
            load_study({**self.study, **content})

    def commands(self, block: Block) -> None:
        for command in block.commands:
            if command in NOT_RUN:
                continue
            self.capsys.readouterr()
            code = call(SMALLER.get(command, command))
            out, err = self.capsys.readouterr()
            refused = command in MAY_REFUSE and code == 2 and MAY_REFUSE[command] in err
            assert code == 0 or refused, f"{block.page}:{block.line}: {command}: exit code {code}\n{out}\n{err}"

    def text(self, block: Block) -> None:
        """Layouts are planned, trees compared with what is there, rows with what was read and written."""
        if is_layout(block.text):
            striata.plan(block.text, base="roberta-base", labels=4)
        elif block.first.startswith("runs/"):
            names = {path.name for path in (self.folder / block.first).rglob("*")}
            stated = {word for word in block.text.split() if word.endswith((".json", ".parquet", ".safetensors"))}
            assert stated - {"(head.safetensors"} <= names, f"{block.page}:{block.line}: {stated - names} are not there"
        elif block.first == "ticket_id,subject,team":
            assert (self.folder / "tickets.csv").read_text().startswith(f"{block.first}\n")
        elif block.first == "id,date,text":
            assert (self.folder / "new.csv").read_text().startswith(f"{block.text}\n")
        elif block.first.startswith("id,date,text,label"):
            with open(self.folder / "new.predicted.csv", newline="") as file:
                written = list(csv.DictReader(file))
            stated_rows = list(csv.DictReader(block.text.splitlines()))
            assert list(written[0]) == list(stated_rows[0])
            for row, stated_row in zip(written, stated_rows, strict=False):
                assert {key: row[key] for key in ("id", "date", "text")} == {
                    key: stated_row[key] for key in ("id", "date", "text")
                }
        else:
            raise AssertionError(f"{block.page}:{block.line}: nothing executes this block; name it in BLOCKS_NOT_RUN")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", RUN)
def test_a_page_does_what_it_says(
    page: str, world: Path, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = [block for block in blocks_of(page) if (page, block.first) not in BLOCKS_NOT_RUN]
    if not any(command not in NOT_RUN for block in blocks for command in (block.commands if block.kind == "commands" else [""])):
        return
    source = world if page in TRAINING else request.getfixturevalue("trained")
    folder = shutil.copytree(source, tmp_path / "here")
    reader = Reader(page, folder, world, capsys)
    with inside(folder):
        for block in blocks:
            reader.do(block)


def test_the_lists_name_what_is_there() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page)]
    programs = {command for block in blocks if block.kind == "commands" for command in block.commands}
    firsts = {(block.page, block.first) for block in blocks}
    python = [ast.parse(block.text).body for block in blocks if block.kind == "python"]
    commands = programs | {ast.unparse(statement) for body in python for statement in body}
    named: dict[str, Any] = {"NOT_RUN": NOT_RUN, "SMALLER": SMALLER, "MAY_REFUSE": MAY_REFUSE}
    for name, table in named.items():
        assert not set(table) - commands, f"{name} names commands that no page has: {set(table) - commands}"
    assert not (set(BLOCKS_NOT_RUN) | APART) - firsts, "a block that no page has"
    assert not {*PAGES_NOT_RUN, *TRAINING} - set(PAGES)
    strange = {command for command in programs if not command.startswith(("striata ", "python -m zipfile "))} - set(NOT_RUN)
    assert not strange, f"commands of other programs are executed nowhere; name them in NOT_RUN: {strange}"
    assert NEW.count("\n") == 2
    assert shrunk(readme_study())["recipe"]["max_steps"] == 4
