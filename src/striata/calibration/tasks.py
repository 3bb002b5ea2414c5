"""What the validation rows say of a model's probabilities, whatever a label is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..figures.scores import Metrics
from ..tasks import SINGLE_LABEL, Task, metrics_of
from .conformal import Floats, Places
from .several import calibrate_several
from .temperature import Calibration, calibrate_one_label


def measure_answers(
    logits: npt.NDArray[np.float32], targets: Places, labels: Sequence[str], task: Task, calibration: Calibration
) -> Metrics:
    """Figures of calibrated probabilities, and of the answers that a model gives by them.

    Args:
        logits: not calibrated, (rows, labels).
        targets: as the task has them.
        labels: names, in the order of the logits.
        task: what a label is; none of numbers.
        calibration: of the model.
    """
    scaled = calibration.scaled(logits)
    if task.one_label:
        return task.metrics(scaled, targets, labels)
    return metrics_of(calibration.decide_scaled(scaled, task), scaled, targets, labels)


def calibrate(logits: Floats, targets: Places, task: Task = SINGLE_LABEL, *, temperature: float | None = None) -> Calibration:
    """Fits and measures on validation rows.

    Args:
        logits: (rows, labels).
        targets: as the task has them.
        task: what a label is.
        temperature: of logits that need none to be fitted; None fits one, or one for each label where a row has several.

    Raises:
        DataError: there are no rows, or a logit is not finite.
    """
    if task.one_label:
        return calibrate_one_label(logits, targets, task, temperature=temperature)
    return calibrate_several(logits, targets)
