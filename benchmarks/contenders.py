"""What costs next to nothing, beside what people fine-tune: accuracy against CPU seconds."""

from __future__ import annotations

import csv
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

import striata
from striata.baselines import Lexical, Rows
from striata.demo import encoder_folder, write_data
from striata.training.events import Event

from . import quality
from .measure import Row, quotients, row

ROWS_OF_CONTENDERS = ("baselines", "time-to-accuracy")
RATES = (1e-3, 3e-3, 1e-2)
HELD_OUT = 5000
LONGEST = 88  # tokens; 95 % of the texts have no more
EMBEDDED = 2000  # rows whose frozen embeddings are computed: what uses the encoder and is cheap
_WORDS = "TF-IDF of words and pairs of words, LinearSVC"

Texts = tuple[list[str], np.ndarray]


def _read(path: Path) -> Texts:
    with open(path, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row["text"] for row in rows], np.array([row["label"] for row in rows])


def _line(train: Texts, test: Texts) -> tuple[float, float]:
    """Accuracy and CPU seconds of the line every study stands beside."""
    started = time.process_time()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = LinearSVC(C=0.5).fit(vectorizer.fit_transform(train[0]), train[1])
    return float((model.predict(vectorizer.transform(test[0])) == test[1]).mean()), time.process_time() - started


def _lexical(train: Texts, test: Texts) -> tuple[float, float]:
    """The same of the baseline `lexical`, settings chosen and scores made probabilities."""
    started = time.process_time()
    labels, targets = np.unique(train[1], return_inverse=True)
    fitted = Lexical.fit(Rows(texts=train[0]), targets, len(labels))
    places = fitted.logits(Rows(texts=test[0])).argmax(1)
    return float((labels[places] == test[1]).mean()), time.process_time() - started


def baselines(alternations: int) -> list[Row]:
    """The lexical baseline beside the plain line on Reuters R8, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        place = write_data(Path(folder))
        train, test = _read(place / "r8-train.csv"), _read(place / "r8-test.csv")
    ours, theirs = [], []
    for _ in range(alternations):
        ours.append(_lexical(train, test))
        theirs.append(_line(train, test))
    seconds = [[cpu for _, cpu in side] for side in (ours, theirs)]
    what = f"the lexical baseline, R8 test accuracy {ours[0][0]:.4f} against {theirs[0][0]:.4f}"
    ratios = quotients(*seconds)
    return [row("baselines", what, "CPU s", *seconds, ratios, versus=_WORDS, target=10, better="lower")]


def time_to_accuracy(texts: Path, *, steps: int, seeds: int, rates: Sequence[float] = RATES) -> list[Row]:
    """CPU seconds until a contender is as accurate as the peer, on AG News with MiniLM.

    The peer is Trainer + peft with r8 on query and value; of several rates the one that is best with the first seed, on the
    rows it is measured on, which favours it. These are the first 5,000, on which nobody trains. One row is for whatever
    contender comes first, one for the first that passes texts through the encoder.

    Args:
        texts: CSV with the columns text and label.
        steps: of the peer, 16 rows each.
        seeds: how many.
        rates: of the peer.
    """
    firsts = {rate: _peer(texts, steps, rate, 0) for rate in rates}
    rate = max(firsts, key=lambda rate: firsts[rate][0])
    best = [firsts[rate], *(_peer(texts, steps, rate, seed) for seed in range(1, seeds))]
    rows = []
    for encoder in (False, True):
        ours = [_ours(texts, seed, goal, encoder) for seed, (goal, _) in enumerate(best)]
        theirs = [cpu for _, cpu in best]
        goal = statistics.mean(accuracy for accuracy, _ in best)
        name, ratio = ("the encoder's best", 10) if encoder else ("any contender", 60)
        what = f"{name}: until {goal:.4f} on {HELD_OUT:,} rows ({', '.join(dict.fromkeys(kind for kind, _ in ours))})"
        seconds = [cpu for _, cpu in ours]
        versus = f"Trainer + peft, {steps:,} steps of 16"
        rows.append(
            row("time-to-accuracy", what, "CPU s", seconds, theirs, quotients(theirs, seconds), versus=versus, target=ratio)
        )
    return rows


def _peer(texts: Path, steps: int, rate: float, seed: int) -> tuple[float, float]:
    """Accuracy of Trainer + peft, and the CPU seconds of its training."""
    work = quality.task(
        encoder_folder(), texts, train=10**9, test=HELD_OUT, steps=steps, seeds=(seed,), layout="0/1-1/1 r8 a8 query value"
    )
    seconds: list[float] = []
    (accuracy,) = quality.peer(work, rate=rate, trained=seconds.append)
    return accuracy, seconds[0]


def _ours(texts: Path, seed: int, goal: float, encoder: bool) -> tuple[str, float]:
    """What first reaches the goal and the CPU seconds until then; of contenders in their order, then of their ensemble."""
    words, labels = _read(texts)
    with tempfile.TemporaryDirectory() as folder:
        started, reached = time.process_time(), [("nothing", float("inf"))]

        def listen(event: Event) -> None:
            embedded = event.member in ("frozen", "neighbours")
            if event.kind == "finished" and event.value is not None and event.value >= goal and (embedded or not encoder):
                reached.append((event.member, time.process_time() - started))

        study = {
            "base": str(encoder_folder()), "head": "mean", "data": {"max_length": LONGEST, "seed": seed}, "layouts": [],
            "baselines": {"kinds": ["lexical", "frozen", "neighbours"], "embedded_rows": EMBEDDED},
            "ensemble": {"method": "weighted", "size": 3}, "output": f"{folder}/out",
        }  # fmt: skip
        rows = {
            "train": (words[HELD_OUT:], labels[HELD_OUT:].tolist()),
            "validation": (words[:HELD_OUT], labels[:HELD_OUT].tolist()),
        }
        trained = striata.train(study, data=rows, listen=listen)
        if trained.ensemble is not None and trained.ensemble.nested["accuracy"] >= goal:
            reached.append(("ensemble", time.process_time() - started))
    return min(reached, key=lambda entry: entry[1])
