"""Runs that an ensemble teaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data import Columns
    from .distillation import Distilled, SelfTrained
    from .layout import Layout
    from .training.events import Listener


def distil(
    folder: str | Path,
    *,
    data: object = None,
    unlabelled: object = None,
    columns: Columns | None = None,
    layout: str | Layout | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    hard: float = 0.0,
    loss: float = 0.0,
    out: str | Path | None = None,
    base: str | Path | None = None,
    listen: Listener | None = None,
    device: str = "auto",
) -> Distilled:
    """Trains one run on the probabilities of a study's ensemble (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).

    What is minimised is the cross entropy against the ensemble's calibrated probabilities, on the study's training rows and on
    texts without labels. The run is written only if it is right on as many validation rows as the best single run with adapters.

    Args:
        folder: of a study with an ensemble in it, of at least two runs.
        data: the rows that the study was trained on, where they were given in memory (see :func:`train`).
        unlabelled: more texts: a file, folder or Hub name, a list of strings, or rows in memory as :func:`train` takes them.
            Labels in them are not looked at, and texts that are in the study's own data are left out.
        columns: names of the unlabelled texts' columns; None for those of the study.
        layout: None for that of the best single run, whose recipe is used in any case.
        steps: most optimizer steps; None for as many as the recipe says.
        seed: of weights, order and dropout masks; None for that of the best single run.
        hard: weight of the true label beside the ensemble's probabilities in the targets of training rows, from 0 to 1.
        loss: accuracy that it may lose against the best single run and is kept all the same, from 0 to 1.
        out: the run's folder; None for `distilled` in the study's.
        base: where the study's encoder lies now; None for where it was.
        listen: told of every step, evaluation and ending, and of what goes on in notes; None draws them in a notebook, and is
            silent elsewhere.
        device: "cpu", "cuda" or "auto".

    Raises:
        EnsembleError: there is nothing to distil, or the run is worse than the best single run; nothing is written then.
        StriataError: the study's folder, data or encoder is not what it was, or the unlabelled texts cannot be used.
        KeyboardInterrupt: after Ctrl-C, with everything saved; the same call goes on from there.
    """
    from .distillation import distil_ensemble
    from .progress import usual_listener

    return distil_ensemble(
        folder,
        data=data,
        unlabelled=unlabelled,
        columns=columns,
        layout=layout,
        steps=steps,
        seed=seed,
        hard=hard,
        loss=loss,
        out=out,
        base=base,
        listen=listen or usual_listener(),
        device=device,
    )


def selftrain(
    folder: str | Path,
    unlabelled: object,
    *,
    rounds: int = 2,
    kind: str | None = None,
    data: object = None,
    columns: Columns | None = None,
    steps: int | None = None,
    seed: int | None = None,
    loss: float = 0.002,
    consistency: bool = False,
    out: str | Path | None = None,
    base: str | Path | None = None,
    listen: Listener | None = None,
    device: str = "auto",
) -> SelfTrained:
    """Trains the members of a study's ensemble again, on its labels and on the ensemble's answers to texts without labels.

    This goes in rounds. Targets of these texts are the ensemble's calibrated probabilities, from the second round on their mean
    with those of the round before, sharpened: squared, and adding up to 1 again. A text counts by how sure the probabilities are
    (1 less their entropy's share of the largest) times the share of the members that agree; a labelled row counts as 1. What
    learned is combined as the ensemble is; members of a cascade are weighed. The best round on the validation rows is kept,
    unless it is worse than the ensemble by more than `loss`. It is transductive: it has seen the texts that it is likely to be
    used on.

    Args:
        folder: of a study with an ensemble in it, of at least two runs.
        unlabelled: texts: a file, folder or Hub name, a list of strings, or rows in memory as :func:`train` takes them. Labels in
            them are not looked at, and texts that are in the study's own data are left out.
        rounds: how many.
        kind: "adapter", "lexical", "frozen" or "neighbours": only the best run of that kind learns; None for all members of the
            ensemble.
        data: the rows that the study was trained on, where they were given in memory (see :func:`train`).
        columns: names of the unlabelled texts' columns; None for those of the study.
        steps: most optimizer steps of adapters; None for as many as the recipe says.
        seed: of weights, order and dropout masks; None for that of each member.
        loss: accuracy that may be lost against the ensemble, and what was trained is kept all the same, from 0 to 1.
        consistency: whether a text also counts by the share of the perturbations of `striata stress` (typing errors, lost words
            and so on, at the middle strength) under which the ensemble's answer stays the same; takes as many more answers.
        out: folder of what comes out, which opens like a study's; None for `selftrained` in the study's.
        base: where the study's encoder lies now; None for where it was.
        listen: told of every step, evaluation and ending, and of what goes on in notes; None draws them in a notebook, and is
            silent elsewhere.
        device: "cpu", "cuda" or "auto".

    Raises:
        EnsembleError: there is no ensemble, or what was trained is worse than it by more than `loss`; nothing is written then.
        StriataError: the study's folder, data or encoder is not what it was, or the texts cannot be used.
        KeyboardInterrupt: after Ctrl-C, with everything saved; the same call goes on from there.
    """
    from .distillation import self_train
    from .progress import usual_listener

    return self_train(
        folder,
        unlabelled,
        rounds=rounds,
        kind=kind,
        data=data,
        columns=columns,
        steps=steps,
        seed=seed,
        loss=loss,
        consistency=consistency,
        out=out,
        base=base,
        listen=listen or usual_listener(),
        device=device,
    )
