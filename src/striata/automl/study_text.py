"""The study file that repeats a fit, with a comment on every choice.

It is written again while it is carried out: at first without adapters, for nobody knows yet what time the baselines leave; then
perhaps with more embedded rows; then with adapters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..baselines import BASELINES
from ..settings.file import NO_ENCODER
from ..study.automatic import UNTIL, usual_rate
from .choices import HeldOut
from .layouts import HEAD
from .overview import Overview
from .timing import BATCH, EVALUATED_ROWS, EVALUATIONS, Training

_PENDING = "layouts: []             # adapters: decided when the baselines are there, for the time that is left then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """What is trained beside the baselines.

    Args:
        training: members and steps; None trains no encoder.
        layouts: names and text forms.
        hidden: the encoder's hidden size; 0 without one.
        reason: why no encoder is trained; empty where one is.
    """

    training: Training | None
    layouts: tuple[tuple[str, str], ...]
    hidden: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All that a study file says.

    Args:
        held_out: rows for validation and test.
        max_length: most tokens of a text.
        adapters: what is trained; None while that is not decided.
        embedded_rows: most training rows that are passed through the frozen encoder; None for all, 0 for no baseline with it.
        refit: whether baselines are fitted once more with the validation rows.
    """

    held_out: HeldOut
    max_length: int
    adapters: Adapters | None
    embedded_rows: int | None = None
    refit: bool = False


def write_study_text(
    overview: Overview, decision: Decision, *, test: str | None, budget: int | None, output: str, seed: int
) -> str:
    """A study file as YAML.

    Args:
        overview: of the data and the encoder.
        decision: what was decided.
        test: the caller's own test rows.
        budget: most trainable parameters of a member.
        output: the study's folder.
        seed: of held-out rows and members.
    """
    embedding = overview.base is not None and decision.embedded_rows != 0
    kinds = [name for name, kind in BASELINES.items() if embedding or not kind.embedded]
    task = overview.stated.task
    lines = [
        *_encoder_lines(overview),
        *([] if task == "single-label" else [f"task: {task}"]),
        *_data_lines(overview, decision, test, seed),
        *([f"budget: {budget}         # most trainable parameters of a member, head included"] if budget else []),
        _baselines(kinds, decision.embedded_rows, decision.refit),
        f"output: {_quoted(output)}",
        *([_PENDING] if decision.adapters is None else _training_lines(decision.adapters, seed)),
        _ensemble(kinds, decision.adapters),
    ]
    return "\n".join(lines) + "\n"


def is_pending(text: str) -> bool:
    """Whether a study file leaves open what is trained."""
    return _PENDING in text


def with_embeddings(text: str, rows: int | None, *, refit: bool) -> str:
    """A study file that leaves open what is trained, with all baselines.

    Args:
        text: of the file.
        rows: most training rows that are passed through the frozen encoder; None for all.
        refit: whether baselines are fitted once more with the validation rows.
    """
    kinds = list(BASELINES)
    lines = [line for line in text[: text.index(_PENDING)].splitlines() if not line.startswith("baselines:")]
    return "\n".join([*lines, _baselines(kinds, rows, refit), _PENDING, _ensemble(kinds, None)]) + "\n"


def with_adapters(text: str, adapters: Adapters, *, kinds: Sequence[str], seed: int) -> str:
    """A study file that left it open, with what is trained.

    Args:
        text: of the file.
        adapters: what is trained.
        kinds: of the study's baselines.
        seed: of the members.
    """
    lines = [*_training_lines(adapters, seed), _ensemble(kinds, adapters)]
    return text[: text.index(_PENDING)] + "\n".join(lines) + "\n"


def _ensemble(kinds: Sequence[str], adapters: Adapters | None) -> str:
    """The ensemble of all runs but the shares of the labels."""
    members = 0 if adapters is None or adapters.training is None else len(adapters.layouts)
    return f"ensemble: {{method: weighted, size: {len([kind for kind in kinds if kind != 'majority']) + members}}}"


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _baselines(kinds: Sequence[str], embedded_rows: int | None, refit: bool) -> str:
    settings = [f"kinds: [{', '.join(kinds)}]"]
    settings += [f"embedded_rows: {embedded_rows}"] if embedded_rows else []
    settings += ["refit: true"] if refit else []
    return f"baselines: {{{', '.join(settings)}}}   # contenders that cost seconds: the bar, and members of the ensemble"


def _encoder_lines(overview: Overview) -> list[str]:
    if overview.base is None:
        return [f"base: {NO_ENCODER}              # {overview.reason}"]
    return [f"base: {_quoted(overview.base)}", f"head: {HEAD}              # mean of the last hidden states, then a linear layer"]


def _data_lines(overview: Overview, decision: Decision, test: str | None, seed: int) -> list[str]:
    columns = overview.columns
    lines = [
        "data:",
        f"  train: {_quoted(overview.source)}",
        f"  text: {json.dumps(columns.texts[0] if len(columns.texts) == 1 else columns.texts, ensure_ascii=False)}",
        *([f"  text_pair: {_quoted(columns.text_pair)}"] if columns.text_pair else []),
        f"  label: {json.dumps(columns.labels or columns.label, ensure_ascii=False)}",
        *([f"  label_separator: {_quoted(columns.separator)}"] if columns.separator else []),
        *([f"  weight: {_quoted(columns.weight)}"] if columns.weight else []),
        *([f"  order: {json.dumps(overview.stated.order, ensure_ascii=False)}"] if overview.stated.order else []),
        *(f"  {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in overview.stated.reading().items()),
        f"  validation: {decision.held_out.validation:<10} # rows held out to choose and calibrate by",
    ]
    if test is not None:
        lines.append(f"  test: {_quoted(test)}")
    elif decision.held_out.test:
        lines.append(f"  test: {decision.held_out.test:<16} # rows held out for the last word")
    if overview.base is not None:
        lines.append(f"  max_length: {decision.max_length:<10} # tokens; 95 % of the texts have no more, unless the time forbids")
    return [*lines, f"  seed: {seed}"]


def _training_lines(adapters: Adapters, seed: int) -> list[str]:
    training, usual = adapters.training, usual_rate(adapters.hidden)
    if training is None:
        return [f"layouts: []             # no adapters: {adapters.reason}"]
    race = []
    if len(training.rates) > 1:
        rates = ", ".join(f"{usual * factor:g}" for factor in training.rates)
        race = [
            "race:                   # every layout begins with every rate; the weaker half leaves, twice",
            f"  learning_rates: [{rates}]",
            f"  survivors: {len(adapters.layouts)}",
            f"  until: {UNTIL:g}",
        ]
    return [
        "layouts:                # how LoRA lies over the depth; `striata layouts` lists more",
        *(f"  - {{layout: {_quoted(text)}, name: {name}}}" for name, text in adapters.layouts),
        f"seeds: [{seed}]",
        *race,
        "recipe:",
        "  optimizer: adamw",
        f"  learning_rate: {usual:g}",
        "  weight_decay: 0.01",
        "  schedule: linear",
        "  warmup: 0.06",
        f"  batch_size: {BATCH}",
        f"  max_steps: {training.steps}",
        f"  evaluate_every: {math.ceil(training.steps / EVALUATIONS)}",
        f"  validation_rows: {EVALUATED_ROWS}",
        "  patience: null",
        *([] if training.dropout else ["  encoder_dropout: 0     # no row is seen twice"]),
    ]
