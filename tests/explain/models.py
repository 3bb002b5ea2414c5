"""Models to explain, trained small: a study with runs of every kind, and a text for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import log_softmax

import striata
from striata.model import Model
from striata.runs import Run, StudyFolder

from ..study.small import study_of

TEXT = "w25 w26, w3 w80 w27 w2 w51"
BASELINES = ["majority", "lexical", "frozen", "neighbours"]


def trained(folder: Path) -> Path:
    """A trained study's folder."""
    return striata.train(study_of(folder, baselines=BASELINES, recipe={"max_steps": 12})).folder


def opened(folder: Path, name: str) -> Model:
    """A run of a study, in fp32."""
    return striata.load(folder / "runs" / name, device="cpu", precision="fp32")


def adapters(folder: Path) -> dict[str, Run]:
    """A study's runs with adapters, by name."""
    return {run.name: run for run in StudyFolder.open(folder).runs() if run.kind == "adapter"}


def score(logits: np.ndarray, label: int, temperature: float) -> np.ndarray:
    """A label's logit less the mean of the others', (texts,): as the logarithms of probabilities have it, too."""
    logs = log_softmax(logits.astype(np.float64) / temperature, -1)
    others = np.delete(logs, label, axis=1).mean(1)
    return logs[:, label] - others
