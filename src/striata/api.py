"""The Python interface; the command line calls these same functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .extras import require
from .layout import Layout, Plan, make_plan

if TYPE_CHECKING:
    from .ensemble import Ensemble
    from .model.model import Model
    from .runs import Run, StudyFolder
    from .settings import Study
    from .training.events import Listener


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What came out of a study.

    Args:
        folder: the study's folder.
        runs: its finished runs by name.
        failed: members that ended without a run, with the reason.
        ensemble: of the best runs; None when fewer than two finished or the study asks for none.
        test: accuracy, loss and macro_f1 on the test rows, by run name and of `ensemble`; empty when the study has none.
    """

    folder: Path
    runs: Mapping[str, Run]
    failed: Mapping[str, str]
    ensemble: Ensemble | None
    test: Mapping[str, Mapping[str, float]]


def plan(layout: str | Layout | Path, *, base: str, labels: int, head: str = "native", budget: int | None = None) -> Plan:
    """Resolves a layout against an encoder's shape, without weights and without torch.

    Args:
        layout: a built-in name (`s8`, `s8:uniform`), a text form, a YAML file, or a :class:`Layout`.
        base: a Hub name or a local model folder.
        labels: number of labels.
        head: of :data:`striata.choices.HEADS`.
        budget: most trainable parameters, head included.

    Raises:
        LayoutError: the layout itself is wrong.
        PlanError: it does not fit the encoder.
        BudgetError: it has more parameters than the budget.
        EncoderError: the encoder's shape cannot be found.
    """
    return make_plan(layout, base=base, labels=labels, head=head, budget=budget)


def train(
    study: Study | str | Path | Mapping[str, Any],
    *,
    data: object = None,
    listen: Listener | None = None,
    announce: Callable[[str], None] | None = None,
    track: Iterable[str] = (),
    device: str = "auto",
) -> Trained:
    """Trains a study: every member, or every trial of its search, that is not finished yet, then the ensemble of the best.

    Args:
        study: a study file's path, its content as a mapping, or a loaded study.
        data: rows in the place of `data.train`: a pandas or polars DataFrame, a `datasets.Dataset`, a pyarrow Table, a dict of
            columns, a list of dicts, or a tuple (texts, labels); or a mapping of `train`, `validation` and `test` to such rows.
            Their checksum stands in the folder; the same call with the same rows goes on.
        listen: told of every step, evaluation and ending (:class:`striata.training.events.Event`).
        announce: told in sentences what the data and the plans are.
        track: experiment trackers: tensorboard, wandb, mlflow, trackio.
        device: "cpu", "cuda" or "auto".

    Raises:
        StriataError: anything in the study, its data, its encoder or its folder is wrong, or what a search or a tracker needs is
            not installed.
        KeyboardInterrupt: after Ctrl-C, with everything saved; the same call goes on from there.
    """
    from .settings import Study, load_study
    from .study import plan_members, prepare

    asked = study if isinstance(study, Study) else load_study(study)
    if asked.search is not None:
        require("a study with `search`", "optuna", "sqlalchemy")

    # What follows loads torch, for which a mistake in the study file need not wait.
    from .engine.encoder import choose_device
    from .ensemble import Rule, check_budget, rule_of, write_ensemble
    from .model.model import test_study
    from .study.stacks import train_study
    from .training.events import nobody
    from .training.trackers import check_trackers

    names = tuple(track)
    choose_device(device)  # and the trackers: before the data is read
    check_trackers(names)
    prepared = prepare(asked, data)
    asked = prepared.study
    if asked.ensemble.size > 1:
        plans = [member.plan for member in plan_members(asked, len(prepared.splits.labels))]
        check_budget([plan.trainable for plan in plans], asked.ensemble.budget)
    train_it: Callable[..., StudyFolder] = train_study
    if asked.search is not None:
        from .search.rolling import search_study as train_it
    tell = announce or (lambda _: None)
    folder = train_it(asked, prepared, listen=listen or nobody, announce=tell, track=names, device=device)
    runs = {run.name: run for run in folder.runs()}
    size = min(asked.ensemble.size, len(runs))
    if size < asked.ensemble.size and "size" in asked.ensemble.model_fields_set:
        tell(f"an ensemble of {asked.ensemble.size} was asked for; finished runs: {len(runs)}")
    settings = asked.ensemble.model_dump() | {"size": size}
    before = rule_of(folder.path)
    ensemble = write_ensemble(folder.path, **settings) if size > 1 else None
    if ensemble is not None and before is not None and before != Rule(**settings):
        back = f"striata ensemble {folder.path} {before.options}"
        tell(f"the study file's ensemble took the place of the one there; to have that again: {back}")
    test = test_study(folder, ensemble, prepared, device=device, precision=asked.recipe.precision) if runs else {}
    return Trained(folder=folder.path, runs=runs, failed=folder.failed(), ensemble=ensemble, test=test)


def load(folder: str | Path, *, device: str = "auto", precision: str = "auto") -> Model:
    """Opens a run or an ensemble to predict with.

    Args:
        folder: of a run or an ensemble.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".

    Raises:
        RunError: a run is missing, unfinished, damaged, or belongs to another encoder.
        EnsembleError: the ensemble or one of its members is.
        EncoderError: the encoder cannot be loaded.
    """
    from .model.model import Model

    return Model.load(folder, device=device, precision=precision)
