"""What the validation rows say of a model's probabilities, whatever a label is."""

from __future__ import annotations

from ..tasks import SINGLE_LABEL, Task
from .conformal import Floats, Places
from .several import calibrate_several
from .temperature import Calibration, calibrate_one_label


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
