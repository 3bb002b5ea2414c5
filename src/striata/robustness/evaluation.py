"""What was measured on labelled rows, kept beside the model for report and card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..disk.documents import Document
from .checks import FORMAT, model_json, model_name, study_of
from .documents import EVALUATION, NUMBER_EVALUATION, keep

if TYPE_CHECKING:
    from ..model import Evaluation, Model


def keep_evaluation(model: Model, measured: Evaluation) -> Path | None:
    """Writes figures into `checks/evaluate-NAME-FILE.json` of the folder of the model's study; each file of rows has its own.

    Keys: `format_version` 1, `kind` "evaluation", `model` (`name`, `folder`, `identity`), `source`, `rows`, `accuracy` (`value`,
    `low`, `high`: Wilson's 95 % interval), `macro_f1`, `loss`, `calibration_error` and `brier` (of calibrated probabilities),
    `per_label` (`rows`, `precision`, `recall`, `f1` by label); of numbers, instead of all these figures, `rmse` (`value`, `low`,
    `high`), `mae`, `r2`, `spearman` and `loss`. Texts are not kept.

    Args:
        model: that was measured.
        measured: what came out.

    Returns:
        The file; None for a model outside of a study.

    Raises:
        StriataError: the disk is full, or the place cannot be written.
    """
    scores = measured.metrics.scores
    fields: dict[str, object] = {
        "format_version": FORMAT,
        "kind": "evaluation",
        "model": model_json(model),
        "source": measured.source,
        "rows": measured.metrics.rows,
    }
    if measured.calibrated is None:
        fields |= scores.to_json() | {"rmse": measured.interval.to_json()}
    else:
        fields |= {
            "accuracy": measured.interval.to_json(),
            "macro_f1": scores.macro_f1,
            "loss": scores.loss,
            "calibration_error": measured.calibrated.ece,
            "brier": measured.calibrated.brier,
            "per_label": measured.metrics.per_label,
        }
    place = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(measured.source).name)[:80].strip(".-") or "rows"
    document: Document[Any] = EVALUATION if measured.calibrated is not None else NUMBER_EVALUATION
    return keep(study_of(model.folder), f"evaluate-{model_name(model)}-{place}", document, fields)
