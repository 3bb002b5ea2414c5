"""What a run's `run.json` says."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainSerializer

from ..choices import RANKINGS
from ..data import Columns
from ..disk.documents import Exact
from ..settings.recipe import Recipe
from ..tasks import task_named


def _possible(figures: dict[str, float]) -> dict[str, float]:
    numeric = "rmse" in figures
    for name in ("loss",) if numeric else (name for name, choice in RANKINGS.items() if not choice.special):
        if name not in figures:
            raise ValueError(f"{name} is missing")
    for name, value in figures.items():
        choice = RANKINGS.get(name, RANKINGS["accuracy"])
        if not choice.least <= value <= choice.most:
            most = "" if math.isinf(choice.most) else f" to {choice.most:g}"
            raise ValueError(f"{name} is {value}; expected a value from {choice.least:g}{most}")
    return figures


Figures = Annotated[dict[str, float], AfterValidator(_possible)]
"""Figures on labelled rows by name, of :data:`striata.choices.RANKINGS`."""


class LiveSite(Exact):
    """What one live layer did for a run when its training began; see :class:`striata.engine.receipt.LiveSite`."""

    module: str
    in_features: int
    out_features: int
    rank: int
    scale: float
    dropout: float
    trains: bool


class LiveWeight(Exact):
    """Shape of a weight of the head, and whether it trained."""

    shape: tuple[int, ...]
    trains: bool


class ReceiptFacts(Exact):
    """What `receipt.json` says: what was live when training began.

    Args:
        trainable: parameters that required gradients.
        sites: layers of the encoder that did something for the run.
        head: weights by name.
        head_steps: what the head did, one behind another.
        base_weights_that_train: weights of the frozen encoder that required gradients; there must be none.
        transductive: whether it was trained with a look at texts without labels.
    """

    trainable: int
    sites: tuple[LiveSite, ...]
    head: dict[str, LiveWeight]
    head_steps: tuple[dict[str, Any], ...]
    base_weights_that_train: tuple[str, ...]
    transductive: bool = False


class Adapted(Exact):
    """Which texts without labels a run's adapters learned from before they learned labels.

    Args:
        objective: "masked" or "contrastive".
        settings: of the study's `adapt`, but for the place of the texts.
        learning_rate: the highest.
        texts: that were learned from, the training rows' own included; each once, and none that is in a validation or test row.
        unlabelled: of these, from elsewhere than the training rows.
        copies: texts without labels that were left out as copies of validation or test rows.
        near_copies: likewise as near copies.
        searched: share of the pairs of a text and such a row among which these were looked for; 0 in runs from before they were.
        source: where the texts without labels came from; None for the training rows' own alone.
        checksum: over these texts, as :attr:`striata.data.table.Table.reference` has it; None without.
        first_loss: mean over the first tenth of the steps.
        last_loss: mean over the last tenth.
    """

    objective: str
    settings: dict[str, Any]
    learning_rate: float = Field(gt=0)
    texts: int = Field(ge=1)
    unlabelled: int = Field(ge=0)
    copies: int = Field(ge=0)
    near_copies: int = Field(default=0, ge=0)
    searched: float = Field(default=0.0, ge=0, le=1)
    source: str | None = None
    checksum: str | None = None
    first_loss: float
    last_loss: float


class Distillation(Exact):
    """What a run learned from that was trained on an ensemble's probabilities instead of labels.

    Args:
        members: checksum of each run of the ensemble, by its name.
        combination: what was done with their outputs.
        temperature: by which the ensemble's logits were divided.
        hard: weight of the true label in the targets of labelled rows, from 0 to 1.
        labelled: training rows.
        unlabelled: texts without labels that it was trained on as well.
        source: where these came from; None without.
        checksum: over these texts, as :attr:`striata.data.table.Table.reference` has it; None without.
        round: of self-training, from 1; 0 where the ensemble taught as much by every text.
        counted: of self-training: how many training rows the unlabelled texts counted as, together.
        near_test: unlabelled texts that are near copies of test rows.
        consistency: whether the unlabelled texts counted by how their answers stand perturbations, too.
    """

    members: dict[str, str]
    combination: str
    temperature: float = Field(gt=0)
    hard: float = Field(ge=0, le=1)
    labelled: int = Field(ge=0)
    unlabelled: int = Field(default=0, ge=0)
    source: str | None = None
    checksum: str | None = None
    round: int = Field(default=0, ge=0)
    counted: float | None = None
    near_test: int = Field(default=0, ge=0)
    consistency: bool = False


class RunFacts(Exact):
    """All there is to know of a finished run but its arrays, for every kind of run.

    Args:
        kind: how it predicts: "adapter" (LoRA and a head over a frozen encoder), "soup" (the same, merged from several runs), or
            the name of a kind without adapters. Runs of all kinds are compared, listed and reported alike.
        name: of the run.
        title: what the runs of its layout and recipe are called without their seeds.
        layout: what the study called it; for kinds without adapters a few words on what it is.
        seed: of weights, data order and dropout masks.
        control: of :data:`striata.choices.CONTROLS` when it is such a control of another layout, else None.
        control_of: titles of the layouts whose control it is, by the kind of control.
        aliases: other layouts of the study that are the same plan, trained by the same recipe.
        recipe: how it was trained.
        plan_hash: of what was trained, see :attr:`striata.layout.Plan.hash`; empty for kinds without adapters.
        trainable: parameters trained, head included.
        lora: of these, in adapters; 0 for kinds without.
        task: what a label is, of :data:`striata.tasks.TASKS`.
        labels: names, in the order of the logits.
        base: the encoder; None for kinds without, and likewise the next four.
        head: of :data:`striata.choices.HEADS`.
        max_length: most tokens of a text.
        base_sha256: over the encoder's weights.
        tokenizer_sha256: over the files of the encoder's tokenizer.
        columns: names of the data's columns that were asked for.
        data_fingerprint: SHA-256 over all rows.
        best_step: when the kept checkpoint was taken.
        steps: taken in all.
        metrics: of the kept checkpoint on all validation rows: accuracy, loss, macro_f1, or what the task has.
        stopped: why training ended: "max_steps", "patience", "pruned", "merged".
        seconds: the run's share of the training time.
        shared_seconds: of these, what other runs of the study count too, such as the embedding of the texts; see
            :func:`striata.runs.standings.total_seconds`.
        texts_per_second: answered on the validation rows, where several members answer in one pass each of them counted; None
            where it was not measured.
        versions: of Python and the libraries.
        hardware: device, cores, precision.
        split: rows of the parts.
        study: all settings of the study.
        distilled: of which ensemble it learned, and on which texts; None for a run that was trained on labels.
        adapted: to which texts its adapters were adapted before they learned labels; None where they were not.
    """

    kind: str = Field(min_length=1)
    name: str = Field(min_length=1)
    title: str
    layout: str
    seed: int
    control: str | None = None
    control_of: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    recipe: dict[str, Any]
    plan_hash: str
    trainable: int = Field(ge=0)
    lora: int = Field(ge=0)
    task: str
    labels: tuple[str, ...] = Field(min_length=1)
    base: str | None
    head: str | None
    max_length: int | None
    base_sha256: str | None
    tokenizer_sha256: str | None
    columns: Annotated[Columns, PlainSerializer(Columns.to_json)]
    data_fingerprint: str
    best_step: int
    steps: int
    metrics: Figures
    stopped: str
    seconds: float
    shared_seconds: float = 0.0
    texts_per_second: float | None = None
    versions: dict[str, str]
    hardware: dict[str, str]
    split: dict[str, int]
    study: dict[str, Any]
    distilled: Distillation | None = None
    adapted: Adapted | None = None

    @property
    def by(self) -> str:
        """The figure that decided which weights were kept; the first of the task where none was named."""
        named = self.recipe.get("best_by")
        return named if named in self.metrics else task_named(self.task).rankings[0]

    @property
    def precision(self) -> str:
        """What its study has the frozen encoder multiply in, of :data:`striata.choices.PRECISIONS`."""
        return str((self.study.get("recipe") or {}).get("precision", "auto"))

    @property
    def transductive(self) -> bool:
        """Whether it was made with a look at texts without labels."""
        adapting = bool((self.study.get("adapt") or {}).get("unlabelled"))
        taught = self.distilled is not None and (self.distilled.unlabelled > 0 or adapting)  # perhaps by adapted members
        adapted = self.adapted is not None and self.adapted.unlabelled > 0
        return taught or adapted or bool(self.study.get("data", {}).get("weight_like"))

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, plan and recipe with adaptation: what two runs share that differ in nothing but their names and seeds."""
        recipe = self.recipe
        if self.plan_hash:  # a recipe of adapters: settings that came later have the values they had without being written
            recipe = Recipe.model_validate(recipe).model_dump(mode="json")
        if self.adapted is not None:
            recipe = {**recipe, "adapt": self.adapted.settings}
        if self.distilled is not None:  # other targets make another run
            recipe = {**recipe, "distilled": self.distilled.model_dump(mode="json")}
        return self.kind, self.plan_hash, json.dumps(recipe, sort_keys=True)
