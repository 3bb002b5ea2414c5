"""Texts without labels beside an ensemble that has none: accuracy on other rows, with few labelled rows.

    python -m benchmarks.unlabelled train.csv --seeds 5
    python -m benchmarks.unlabelled earlier.csv --target later.csv --labelled 1000 --weights --priors

Unlabelled and test rows are the same for all seeds, and with `--target` another file's; each seed draws its own labelled rows, a
quarter of which are held out to choose and calibrate by. The teacher is the ensemble of words, frozen embeddings and neighbours,
with `--adapter` of a LoRA run too, with `--words` of words alone, whose answers count by how sure they are; then nothing is
embedded. It teaches what `--kinds` names: all of its members, or one run of a kind, adapters for three times their steps.
Differences are paired by seed, with t intervals of 95 %. `kept` are the seeds in which the check on the validation rows (-0.2
points at most) keeps what was taught; where it does not, the teacher stays, and so it counts in `checked`. With `--consistency`
texts also count by how their answers stand perturbations. With `--weights` another ensemble is trained with `data.weight_like`,
and with `--priors` the teacher's answers are corrected by `--priors estimate`. With `--peers` scikit-learn's self-training (of a
logistic regression) and label spreading (over 20 neighbours) learn from the same embeddings, with its defaults and with the rows
that are held out here, too. Precision is the machine's own: fp32, or bf16 where there are units for it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

import striata
from striata.automl.overview import default_base
from striata.baselines import Rows
from striata.data import Columns, Table, Tokenizer, encode_labels, label_order, read_table
from striata.distillation import course, selftraining
from striata.engine import Encoder, embed, embed_words
from striata.layout import Head
from striata.model import baseline_scorers
from striata.runs.standings import find_model
from striata.study.embeddings import Embedded, StudyEmbeddings

WORDS = {"base": "none", "baselines": ["lexical", "majority"]}
EMBEDDED = {"head": "mean", "baselines": ["lexical", "frozen", "neighbours"]}
ALL, STEPS = "all", 200
ADAPTED = EMBEDDED | {
    "layouts": [{"layout": "0-5 r8 a16 d0.05 query value", "name": "adapter"}], "seeds": [0],
    "recipe": {"optimizer": "adamw", "learning_rate": 3e-3, "schedule": "linear", "max_steps": STEPS, "patience": None,
               "evaluate_every": STEPS // 4},
}  # fmt: skip


class Vectors:
    """Embeddings of texts, each computed once, in the place of what a study and a model compute."""

    def __init__(self, base: str, texts: Sequence[str], file: Path | None) -> None:
        self.places = {text: at for at, text in enumerate(texts)}
        self.encoder = Encoder.load(base, head=Head(kind="mean", pooling="mean", steps=()), device="cpu")
        self.tokenizer = Tokenizer.load(base, 128)
        digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
        known = {} if file is None or not file.exists() else np.load(file)
        if known and known["texts"] == digest:
            self.values = known["values"]
        else:
            self.values = self._embedded(texts)
            if file is not None:
                np.savez(file, texts=digest, values=self.values)
        self.size = self.values.shape[1] // 2

    def _embedded(self, texts: Sequence[str]) -> np.ndarray:
        encoded = self.tokenizer.encode(list(texts))
        return np.concatenate([embed(self.encoder, encoded), embed_words(self.encoder, encoded)], axis=1).astype(np.float16)

    def of(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Both halves."""
        new = [text for text in dict.fromkeys(texts) if text not in self.places]
        if new:
            self.places |= {text: len(self.values) + at for at, text in enumerate(new)}
            self.values = np.concatenate([self.values, self._embedded(new)])
        both = self.values[[self.places[text] for text in texts]]
        return both[:, : self.size], both[:, self.size :]

    def take_over(self) -> None:
        """From now on these are the embeddings."""

        def rows(_: Any, texts: Sequence[str], pairs: Sequence[str] | None) -> Rows:
            vectors, words = self.of(texts)
            return Rows(texts=list(texts), vectors=vectors, words=words)

        def embedded(_: Any, table: Table) -> Embedded:
            return Embedded(*self.of(table.texts))

        baseline_scorers.EmbeddingScorer.rows = rows  # type: ignore[method-assign]
        StudyEmbeddings.of = embedded  # type: ignore[method-assign]
        StudyEmbeddings.texts_a_second = lambda *_: 1.0  # type: ignore[method-assign]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured with each draw.

    Args:
        settings: of the study that teaches, but for its data.
        labels: in the order of `truth`'s places.
        unlabelled, test: the rows that no draw labels, and those that are judged, with their labels as places in `truth`.
        kinds: of what is taught; "all" for all members.
        consistency, weights, priors: see the options.
        peers: by which embeddings scikit-learn learns; None where it does not.
        rounds: of self-training.
    """

    settings: dict[str, Any]
    labels: Sequence[str]
    unlabelled: Table
    test: Table
    truth: np.ndarray
    kinds: Sequence[str]
    consistency: bool
    weights: bool
    priors: bool
    peers: Vectors | None
    rounds: int

    def right(self, model: striata.Model, logits: np.ndarray | None = None) -> float:
        """Share of the test rows that are answered as they are labelled."""
        logits = model.logits(self.test.texts) if logits is None else logits
        return float((logits.argmax(1) == self.truth).mean())


def peers(setting: Setting, vectors: Vectors, labelled: Table) -> dict[str, float]:
    """Accuracy of scikit-learn's ways to learn from texts without labels, by its defaults."""
    rows, unlabelled, test = (
        vectors.of(table.texts)[0].astype(np.float32) for table in (labelled, setting.unlabelled, setting.test)
    )
    targets = encode_labels(labelled, setting.labels)
    rows = np.concatenate([rows, unlabelled])
    targets = np.concatenate([targets, np.full(len(unlabelled), -1)])
    ways = {
        "scikit-learn self-training": SelfTrainingClassifier(LogisticRegression(max_iter=1000)),
        "scikit-learn spreading": LabelSpreading(kernel="knn", n_neighbors=20),
    }
    return {name: float((way.fit(rows, targets).predict(test) == setting.truth).mean()) for name, way in ways.items()}


def measure(setting: Setting, labelled: Table, seed: int) -> dict[str, float]:
    """Accuracy on the test rows of the teacher and of what learned from unlabelled texts, and how this fares in the check."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        data = {"text": labelled.texts, "label": labelled.labels}
        study = {
            "data": {"validation": 0.25, "max_length": 128, "seed": seed}, "output": str(folder),
            "ensemble": {"method": "weighted", "size": 4}, **setting.settings,
        }  # fmt: skip
        striata.train(study, data=data, device="cpu")
        teacher = striata.load(folder / "ensemble", device="cpu")
        figures = {"teacher": setting.right(teacher)}
        if setting.priors:
            logits = teacher.logits(setting.test.texts)
            figures["priors"] = setting.right(teacher, teacher.shifted(logits, "estimate"))
        if setting.peers is not None:
            figures |= peers(setting, setting.peers, labelled)
        if setting.weights:
            texts = Path(place) / "unlabelled.jsonl"
            texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in setting.unlabelled.texts))
            weighted = study | {"data": study["data"] | {"weight_like": str(texts)}, "output": str(Path(place) / "weighted")}
            striata.train(weighted, data=data, device="cpu")
            figures["weighted"] = setting.right(striata.load(Path(place) / "weighted" / "ensemble", device="cpu"))
        for kind in setting.kinds:
            made = striata.selftrain(
                folder, setting.unlabelled.texts, kind=None if kind == ALL else kind, rounds=setting.rounds, loss=1.0, data=data,
                device="cpu", out=Path(place) / kind, consistency=setting.consistency, steps=3 * STEPS,
            )  # fmt: skip
            if kind != ALL:
                figures[f"{kind} before"] = setting.right(striata.load(folder / "runs" / next(iter(made.runs)), device="cpu"))
            figures[f"{kind} after"] = setting.right(striata.load(find_model(made.folder), device="cpu"))
            kept = made.difference.value >= -selftraining.LOSS
            figures[f"{kind} kept"] = float(kept)
            figures[f"{kind} checked"] = figures[f"{kind} after"] if kept else figures["teacher"]
    return figures


def summary(lines: list[dict[str, float]]) -> dict[str, str]:
    """Means, and differences to the teacher in points with their intervals."""
    values = {name: np.array([line[name] for line in lines]) for name in lines[0]}
    reach = student.ppf(0.975, max(1, len(lines) - 1)) / np.sqrt(len(lines))
    told = {}
    for name, column in values.items():
        told[name] = f"{column.mean():.4f}"
        if name.endswith(("after", "checked", "weighted", "priors", "training", "spreading")) and len(lines) > 1:
            for other in ("teacher", name.replace("after", "before")):
                if other in values and other != name:
                    change = 100 * (column - values[other])
                    told[f"{name} - {other}"] = f"{change.mean():+.2f} +- {reach * change.std(ddof=1):.2f} points"
    return told


def main() -> None:
    """Measures, and prints a line for each seed and a summary for each number of labelled rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="labelled rows")
    parser.add_argument("--target", help="a file of other rows with these labels, of which the unlabelled and the test rows are")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5], help="how many, or from which to which")
    parser.add_argument("--labelled", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--unlabelled", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--kinds", nargs="*", default=[ALL], choices=[ALL, *selftraining.KINDS])
    for option in ("consistency", "words", "adapter", "weights", "priors", "peers"):
        parser.add_argument(f"--{option}", action="store_true")
    parser.add_argument("--cache", type=Path, help="an .npz file that keeps the embeddings for the next call")
    arguments = parser.parse_args()
    if arguments.words and (arguments.adapter or arguments.peers):
        parser.error("--adapter and --peers are measured without --words")
    seeds = range(*arguments.seeds)
    pools, unlabelled, test = _drawn(arguments)
    vectors, labels = None, label_order(pools)
    if arguments.words:  # the other member is for an ensemble to be there; it knows nothing, and agrees with few
        course.agreement = lambda decided, _: np.ones(len(decided))
        settings: dict[str, Any] = WORDS
    else:
        base = default_base()
        vectors = Vectors(base, list(dict.fromkeys([*pools.texts, *unlabelled.texts, *test.texts])), arguments.cache)
        vectors.take_over()
        settings = {"base": base, **(ADAPTED if arguments.adapter else EMBEDDED)}
    setting = Setting(
        settings=settings, labels=labels, unlabelled=unlabelled, test=test, truth=encode_labels(test, labels),
        kinds=arguments.kinds, consistency=arguments.consistency, weights=arguments.weights, priors=arguments.priors,
        peers=vectors if arguments.peers else None, rounds=arguments.rounds,
    )  # fmt: skip
    started = time.process_time()
    for count in arguments.labelled:
        lines = []
        for seed in seeds:
            own = np.random.default_rng([16, seed]).permutation(len(pools))[:count]
            lines.append(measure(setting, pools.take(own), seed))
            shown = {"labelled": count, "seed": seed, "cpu_seconds": round(time.process_time() - started), **lines[-1]}
            print(json.dumps(shown), flush=True)
        print(json.dumps({"labelled": count, **summary(lines)}, indent=1), flush=True)


def _drawn(arguments: argparse.Namespace) -> tuple[Table, Table, Table]:
    """The rows that draws are of, those without labels, and those that are judged; the last two of the target where there is
    one."""
    rows = read_table(arguments.file, Columns())
    pool, more = 3 * max(arguments.labelled), arguments.unlabelled + arguments.test
    if arguments.target is None:
        drawn = np.random.default_rng(16).permutation(len(rows))[: pool + more]
        return rows.take(drawn[:pool]), rows.take(drawn[pool : pool + arguments.unlabelled]), rows.take(drawn[-arguments.test :])
    target = read_table(arguments.target, Columns())
    drawn = np.random.default_rng(16).permutation(len(target))[:more]
    own = np.random.default_rng(16).permutation(len(rows))[:pool]
    return rows.take(own), target.take(drawn[: arguments.unlabelled]), target.take(drawn[arguments.unlabelled :])


if __name__ == "__main__":
    main()
