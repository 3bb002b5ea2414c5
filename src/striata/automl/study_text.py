"""The study file that repeats a fit, with a comment on every choice."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..choices import BASELINES
from .choices import HeldOut, Training, adapter_layouts, adapter_rate
from .overview import Overview


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """All that a study file says.

    Args:
        held_out: rows for validation and test.
        max_length: most tokens of a text.
        training: members and steps; None trains no encoder.
        hidden: the encoder's hidden size.
        reason: why no encoder is trained; empty where one is.
        embedded_rows: most training rows that are passed through the frozen encoder; None for all.
    """

    held_out: HeldOut
    max_length: int
    training: Training | None
    hidden: int
    reason: str = ""
    embedded_rows: int | None = None


def _baselines(decision: Decision) -> str:
    if decision.embedded_rows is None:
        return "auto"
    return f"{{kinds: [{', '.join(BASELINES)}], embedded_rows: {decision.embedded_rows}}}"


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
    columns = overview.columns
    lines = [
        f"base: {json.dumps(overview.base, ensure_ascii=False)}",
        "head: mean              # mean of the last hidden states, then a linear layer",
        "data:",
        f"  train: {json.dumps(overview.source, ensure_ascii=False)}",
        f"  text: {json.dumps(columns.text, ensure_ascii=False)}",
        *([f"  text_pair: {json.dumps(columns.text_pair, ensure_ascii=False)}"] if columns.text_pair else []),
        f"  label: {json.dumps(columns.label, ensure_ascii=False)}",
        f"  validation: {decision.held_out.validation:<10} # rows held out to choose and calibrate by",
    ]
    if test is not None:
        lines.append(f"  test: {json.dumps(test, ensure_ascii=False)}")
    elif decision.held_out.test:
        lines.append(f"  test: {decision.held_out.test:<16} # rows held out for the last word")
    lines += [
        f"  max_length: {decision.max_length:<10} # tokens; 95 % of the texts have no more, unless the time forbids",
        f"  seed: {seed}",
        *([f"budget: {budget}         # most trainable parameters of a member, head included"] if budget else []),
        f"baselines: {_baselines(decision)}         # contenders that cost seconds: the bar, and members of the ensemble",
    ]
    training = decision.training
    if training is None:
        lines.append(f"layouts: []             # no adapters: {decision.reason}")
    else:
        lines.append("layouts:                # how LoRA lies over the depth; `striata layouts` lists more")
        lines += [f"  - {{layout: {json.dumps(text)}, name: {name}}}" for name, text in adapter_layouts(training.members)]
        every = max(1, training.steps // 5)
        lines += [
            f"seeds: [{seed}]",
            "recipe:",
            "  optimizer: adamw",
            f"  learning_rate: {adapter_rate(decision.hidden):g}",
            "  weight_decay: 0.01",
            "  schedule: linear",
            "  warmup: 0.06",
            "  batch_size: 16",
            f"  max_steps: {training.steps}",
            f"  evaluate_every: {every}",
            "  validation_rows: 500",
            "  patience: null",
        ]
    contenders = 4 + (training.members if training else 0)
    lines += [f"ensemble: {{method: weighted, size: {contenders}}}", f"output: {json.dumps(output, ensure_ascii=False)}"]
    return "\n".join(lines) + "\n"
