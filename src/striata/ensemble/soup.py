"""Several runs of a study merged into one model, kept only if it is as good as the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..choices import RANKINGS
from ..errors import EnsembleError
from ..figures.scores import Scores, in_words
from ..layout import Plan
from ..runs import Run, StudyFolder
from ..runs.adapter import write_adapter
from ..runs.joined import join
from ..runs.refusal import accepted
from ..runs.run import RunRecord, Validation, write_run
from ..study import Prepared, prepare_again
from .best import best_runs
from .merge import mean_of_weights, merge, merged_plan
from .rule import Rule

PRODUCTS = "mean of low-rank products"
WEIGHTS = "mean of weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Soup:
    """A merged model.

    Args:
        run: its folder, which opens like any run's.
        members: validation accuracy of the runs it was made of, by name; of numbers their rmse.
        form: "mean of weights" or "mean of low-rank products".
        best: likewise of the best of them.
    """

    run: Run
    members: Mapping[str, float]
    form: str
    best: float

    def to_json(self) -> dict[str, object]:
        """Folder, members and figures."""
        return {
            "folder": str(self.run.path),
            "members": dict(self.members),
            "form": self.form,
            "metrics": dict(self.run.metrics),
            "best_member": self.best,
            "trainable": self.run.trainable,
        }

    def lines(self) -> list[str]:
        """For people: the runs it was made of, and it beside the best of them."""
        figure = self._figure
        reached = (
            f"validation {in_words({figure: self.run.metrics[figure]})}, the best of them {RANKINGS[figure].shown(self.best)}"
        )
        return [
            *(f"{name}  validation {in_words({figure: value})}" for name, value in self.members.items()),
            f"soup of these ({self.form}): {reached}",
            f"{self.run.trainable:,} trained parameters, in {self.run.path}",
        ]

    @property
    def remark(self) -> str:
        """What to think of these figures."""
        return f"the {RANKINGS[self._figure].title} flatters a little: the soup was kept by these same validation rows"

    @property
    def _figure(self) -> str:
        return self.run.task.rankings[0]


@dataclass(frozen=True, slots=True)
class _Candidate:
    form: str
    plan: Plan
    tensors: dict[str, np.ndarray]


def write_soup(
    path: str | Path,
    *,
    data: object = None,
    size: int = 4,
    by: str | None = None,
    budget: int | None = None,
    rank: int | None = None,
    base: str | Path | None = None,
    device: str = "auto",
) -> Soup:
    """Merges the best runs of a study and writes `soup` into its folder, if it is good enough.

    Runs with one plan are merged by the mean of their weights and by the mean of their low-rank products, others by the
    products only; the better is compared with the best of the runs on the validation rows. Products are exact where ranks
    suffice. Averaged heads are a good head only where the runs' heads are alike, which nothing but the measurement can tell.

    Args:
        path: the study's folder.
        data: the rows that the study was trained on, where they were given in memory (see :func:`striata.train`).
        size: how many runs.
        by: validation figure by which they are chosen; None for the task's first.
        budget: most trainable parameters of the merged model.
        rank: of the merged adapters; None for the largest of the runs' at each site.
        base: where the study's encoder lies now; None for where it was.
        device: "cpu", "cuda" or "auto".

    Raises:
        EnsembleError: there are too few runs, they cannot be combined, or the soup is worse than the best of them.
        BudgetError: the merged model has more parameters than the budget.
        StriataError: the study's folder, data or encoder is not what it was.
    """
    folder = StudyFolder.open(path)
    if rank is not None and rank < 1:
        raise EnsembleError(f"rank {rank} was asked for; expected at least 1")
    adapters = {run.name: run for run in accepted(folder.runs()) if run.kind == "adapter"}
    pool = join(adapters)
    _check_one_encoder(list(adapters.values()))
    runs = [adapters[name] for name in best_runs(pool, Rule(size=size, by=by))]
    if len(runs) < 2:
        raise EnsembleError("a soup of one run is that run; expected a size of at least 2")
    prepared = prepare_again(folder, data, base)
    candidates = _candidates(runs, prepared.study.base, rank, budget)
    precision = prepared.study.recipe.precision
    measured = [_measure(candidate, runs[0], prepared, device, precision) for candidate in candidates]
    figure = runs[0].task.rankings[0]
    merit, shown = RANKINGS[figure].merit, RANKINGS[figure].shown
    at = max(range(len(candidates)), key=lambda i: (merit(measured[i][0][figure]), -measured[i][0].loss))
    own = {run.name: run.metrics[figure] for run in runs}
    best, reached = max(own.values(), key=merit), measured[at][0][figure]
    if merit(reached) < merit(best):
        mean = float(np.mean(list(own.values())))
        raise EnsembleError(
            f"the soup of {', '.join(own)} reaches validation {in_words({figure: reached})}, its best run {shown(best)}, their "
            f"mean {shown(mean)}; nothing was written; try fewer runs, a larger rank, or method 'greedy', which keeps them apart"
        )
    record = _record(candidates[at], runs, prepared, *measured[at])
    write_weights = partial(write_adapter, plan=candidates[at].plan, tensors=candidates[at].tensors)
    run = write_run(folder.path / "soup", record, write_weights)
    return Soup(run=run, members=own, form=candidates[at].form, best=best)


def _check_one_encoder(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for key in ("base_sha256", "tokenizer_sha256", "head", "max_length"):
            one, other = getattr(first.facts, key), getattr(run.facts, key)
            if one != other:
                raise EnsembleError(
                    f"runs {first.name} and {run.name} differ in {key} ({one!r}, {other!r}); expected runs of one encoder"
                )


def _candidates(runs: Sequence[Run], base: str, rank: int | None, budget: int | None) -> list[_Candidate]:
    plans, tensors = [replace(run.adapter_plan, base=base) for run in runs], [run.tensors() for run in runs]
    candidates = []
    one_plan = len({plan.hash for plan in plans}) == 1
    if one_plan and rank is None and (budget is None or plans[0].trainable <= budget):
        candidates.append(_Candidate(WEIGHTS, plans[0], mean_of_weights(tensors)))
    if any(plan.sites for plan in plans):
        into = merged_plan(plans, rank=rank, budget=budget)
        candidates.append(_Candidate(PRODUCTS, into, merge(plans, tensors, into)))
    if not candidates:
        raise EnsembleError("the runs train heads only, and their mean is above the budget or has no rank; leave both out")
    return candidates


def _measure(
    candidate: _Candidate, like: Run, prepared: Prepared, device: str, precision: str
) -> tuple[Scores, np.ndarray, dict[str, Any]]:
    """Figures, logits on the validation rows, and the receipt."""
    from ..engine import Encoder, Engine, Stack, check_receipt

    base = prepared.study.base
    encoder = Encoder.load(base, head=candidate.plan.head, precision=precision, device=device)
    if encoder.sha256 != like.facts.base_sha256:
        raise EnsembleError(f"encoder {base} is not the one the runs were trained on; give it the same weights")
    engine: Engine = Stack(encoder, [candidate.plan])
    (slot,) = engine.slots
    engine.load(slot, candidate.tensors)
    receipt = engine.receipt(slot)
    check_receipt(candidate.plan, receipt, "soup")
    logits = engine.predict(prepared.encoded["validation"])[0]
    return like.task.scores(logits, prepared.targets["validation"]), logits, receipt.to_json()


def _record(
    candidate: _Candidate,
    runs: Sequence[Run],
    prepared: Prepared,
    scores: Scores,
    logits: np.ndarray,
    receipt: dict[str, Any],
) -> RunRecord:
    facts = runs[0].facts.model_copy(
        update={
            "kind": "soup",
            "name": "soup",
            "title": "soup",
            "layout": candidate.plan.layout,
            "seed": 0,
            "control": None,
            "control_of": {},
            "adapted": next((run.facts.adapted for run in runs if run.facts.adapted is not None), None),
            "aliases": (),
            "recipe": {"merged": candidate.form, "runs": {run.name: run.checksum for run in runs}},
            "plan_hash": candidate.plan.hash,
            "trainable": candidate.plan.trainable,
            "lora": candidate.plan.lora,
            "best_step": 0,
            "steps": 0,
            "metrics": scores.to_json(),
            "stopped": "merged",
            "seconds": sum(run.facts.seconds for run in runs),
        }
    )
    rows = prepared.splits.validation
    validation = Validation(ids=rows.ids, texts=rows.text_hashes(), labels=prepared.targets["validation"], logits=logits)
    return RunRecord(facts=facts, plan=candidate.plan, receipt=receipt, history=(), validation=validation)
