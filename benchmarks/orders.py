"""What it does to ensembles that members of one seed see the same rows in the same order.

    python -m benchmarks.orders --steps 100 --seeds 4

Every layout is trained with every seed, on Reuters R8. Ensembles of one run of each layout are then of two kinds: of one seed,
whose members saw the same rows in the same order, and of as many seeds as members, all of whom saw others. Both kinds are made of
the same runs, so that only the orders (and the masks of dropout) differ.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import log_softmax

from striata.runs import StudyFolder

from .racing import LAYOUTS, grid

RATE = 3e-3
_VALIDATION = 1000

Figures = tuple[float, float]


def figures(logits: Sequence[np.ndarray], targets: np.ndarray) -> Figures:
    """Accuracy in percent and log loss of the mean of some runs' log-probabilities."""
    mean = log_softmax(np.mean([log_softmax(one.astype(np.float64), -1) for one in logits], 0), -1)
    return 100 * float((mean.argmax(1) == targets).mean()), -float(mean[np.arange(len(targets)), targets].mean())


def kinds(folder: Path) -> dict[str, list[Figures]]:
    """Figures of all single runs and of all ensembles, by kind."""
    runs = StudyFolder.open(folder).finished()
    targets = runs[0].validation().labels
    logits = {(run.title, run.seed): run.validation().logits for run in runs}
    titles, seeds = sorted({title for title, _ in logits}), sorted({seed for _, seed in logits})
    one_order = [[(title, seed) for title in titles] for seed in seeds]
    orders = [list(zip(titles, chosen, strict=True)) for chosen in itertools.permutations(seeds, len(titles))]
    single = [[key] for key in logits]
    members = {"single": single, "one order": one_order, "an order for every member": orders}
    return {name: [figures([logits[key] for key in keys], targets) for keys in sets] for name, sets in members.items()}


def main() -> None:
    """Trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    assert options.seeds >= len(LAYOUTS), f"as many seeds as layouts, {len(LAYOUTS)}, or more"
    with tempfile.TemporaryDirectory() as folder:
        out = grid(Path(folder), options.steps, options.seeds, rates=(RATE,), validation=_VALIDATION)
        for name, values in kinds(out).items():
            accuracy, loss = np.mean(values, 0)
            spread = np.std(values, 0, ddof=1)
            print(
                f"{name} ({len(values)}): accuracy {accuracy:.2f} (sd {spread[0]:.2f}), log loss {loss:.4f} (sd {spread[1]:.4f})"
            )


if __name__ == "__main__":
    main()
