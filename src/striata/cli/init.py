"""`striata init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .fit import Base, Minutes, Test
from .options import Budget, Json, Label, LabelledTexts, Order, Read, Seed, Task, Text, TextPair, listed, named_columns


def init(
    data: LabelledTexts,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    read: Read = None,
    task: Task = "single-label",
    order: Order = None,
    test: Test = None,
    base: Base = None,
    minutes: Minutes = 5.0,
    budget: Budget = 1_000_000,
    out: Annotated[Path, typer.Option(help="The study file to write.")] = Path("study.yaml"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write the commented study file that `striata fit` would train, without training.

    Example: striata init train.csv --out study.yaml
    """
    from ..automl.fitting import Request, decide, default_output, study_text
    from ..automl.overview import look
    from ..choices import TASKS
    from ..data import Columns
    from ..disk.files import write_text
    from ..errors import StudyError
    from ..settings import load_study
    from .output import command, note, print_json, say

    TASKS.check(task, StudyError)
    if out.exists():
        raise StudyError(f"{out} exists; choose another name with --out, or delete it")
    request = Request(
        source=data,
        columns=named_columns(Columns(task=task, order=listed(order)), text=text, text_pair=text_pair, label=label, read=read),
        test=test,
        base=base,
        minutes=minutes,
        budget=budget,
        output=default_output(data),
        seed=seed,
    )
    overview = look(request.source, request.columns, request.base, request.test)
    for sentence in overview.sentences:
        note(sentence)
    write_text(out, study_text(request, overview, decide(request, overview), out.parent))
    if as_json:
        print_json({"study": str(out), "settings": load_study(out).to_dict()})
        return
    say(f"wrote {out}; look at it, then: {command('train', out)}")
