"""Rows that `striata suggest` chooses against random rows: accuracy of a model of words after they have been labelled.

    python -m benchmarks.suggestions train.csv --seeds 20

Every seed draws labelled rows, a pool and test rows from the file. Each way begins with the same model of the labelled rows; in
every round it chooses rows of the pool, these are labelled, and the model is fitted again. The differences to random rows are
paired by seed.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from scipy.stats import t as student

from striata.baselines.lexical import Lexical
from striata.baselines.rows import Rows
from striata.data import Columns, Table, encode_labels, label_order, read_table
from striata.model.suggestions import SPREAD, choose, score_rows, word_vectors
from striata.tasks import SINGLE_LABEL

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # places of labelled rows, of the pool, of test rows
WAYS = ("random", "mixed", "margin", "entropy", "coverage")


def suggested(way: str, model: Lexical, pool: Table, count: int) -> np.ndarray:
    """Places in the pool, as :func:`striata.suggest` chooses them."""
    probabilities = SINGLE_LABEL.probabilities(model.logits(Rows(texts=pool.texts)).astype(np.float64))
    scores = score_rows(way, probabilities, None)
    return choose((pool.texts, None), scores, word_vectors, count, spread=way in SPREAD, seed=0)


def curve(way: str, first: Lexical, rows: Table, targets: np.ndarray, parts: Parts, step: int, rounds: int) -> list[float]:
    """Accuracy on the test rows of the first model, and after each round."""
    labelled, pool, test = parts
    rng, model, accuracies = np.random.default_rng(len(pool)), first, []
    for at in range(rounds + 1):
        answers = SINGLE_LABEL.decide(model.logits(Rows(texts=rows.take(test).texts)))
        accuracies.append(float(np.mean(answers == targets[test])))
        if at < rounds:
            random = way == "random"
            chosen = rng.choice(len(pool), step, replace=False) if random else suggested(way, model, rows.take(pool), step)
            labelled, pool = np.concatenate([labelled, pool[chosen]]), np.delete(pool, chosen)
            model = fit(rows, targets, labelled)
    return accuracies


def fit(rows: Table, targets: np.ndarray, labelled: np.ndarray) -> Lexical:
    """The model of the labelled rows."""
    return Lexical.fit(Rows(texts=rows.take(labelled).texts), targets[labelled], int(targets.max()) + 1)


def main() -> None:
    """Measures, and prints a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="labelled rows")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=100, help="rows that are labelled at the beginning")
    parser.add_argument("--step", type=int, default=100, help="rows that are labelled in a round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pool", type=int, default=2000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--ways", nargs="+", default=WAYS)
    arguments = parser.parse_args()
    rows = read_table(arguments.file, Columns())
    targets = encode_labels(rows, label_order(rows))
    results: dict[str, list[list[float]]] = {way: [] for way in arguments.ways}
    started = time.monotonic()
    for seed in range(arguments.seeds):
        drawn = np.random.default_rng([15, seed]).permutation(len(rows))[: arguments.first + arguments.pool + arguments.test]
        parts = tuple(np.split(drawn, [arguments.first, arguments.first + arguments.pool]))
        first = fit(rows, targets, parts[0])
        for way in arguments.ways:
            results[way].append(curve(way, first, rows, targets, parts, arguments.step, arguments.rounds))
        line = {"seed": seed, "seconds": round(time.monotonic() - started), **{way: results[way][-1] for way in arguments.ways}}
        print(json.dumps(line), flush=True)
    random = np.array(results["random"])
    for way in arguments.ways:
        own = np.array(results[way])
        line = f"{way}: accuracy {' '.join(f'{value:.4f}' for value in own.mean(0))}"
        if way != "random" and arguments.seeds > 1:
            gain = own - random
            half = student.ppf(0.975, arguments.seeds - 1) * gain.std(0, ddof=1) / np.sqrt(arguments.seeds)
            pairs = zip(gain.mean(0)[1:], half[1:], strict=True)
            line += "; against random " + ", ".join(f"{100 * mean:+.2f} +- {100 * width:.2f}" for mean, width in pairs)
        print(line)


if __name__ == "__main__":
    main()
