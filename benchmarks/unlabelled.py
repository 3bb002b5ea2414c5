"""Self-training beside its teacher: accuracy on other rows, with few labelled rows and many without labels.

    python -m benchmarks.unlabelled train.csv --seeds 5

Unlabelled and test rows are the same for all seeds; each seed draws its own labelled rows, a quarter of which are held out to
choose and calibrate by. The teacher is the ensemble of words, frozen embeddings and neighbours, one of which is self-trained.
Differences are paired by seed, with t intervals of 95 %. `kept` are the seeds in which the check on the validation rows
(-0.2 points at most) keeps the run; where it does not, the teacher stays, and so it counts in `checked`. With `--consistency`
the model of words learns twice, once from texts that also count by how their answers stand perturbations (`consistent`). With
`--words` the teacher is a model of words alone, whose answers count by how sure they are; then nothing is embedded. With
`--adapter` a LoRA run is among the teacher's members, and it is what learns, for three times its steps: there are more rows.
Precision is the machine's own: fp32, or bf16 where there are units for it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

import striata
from striata.baselines import Rows
from striata.data import Columns, Table, Tokenizer, encode_labels, label_order, read_table
from striata.distillation import selftraining
from striata.engine import Encoder, embed, embed_words
from striata.layout import Head
from striata.model import baseline_scorers
from striata.study.embeddings import Embedded, StudyEmbeddings

WORDS = {"base": "none", "baselines": ["lexical", "majority"]}
EMBEDDED = {"head": "mean", "baselines": ["lexical", "frozen", "neighbours"]}
ADAPTER = [("adapter", "adapter", False)]
KINDS = [(kind, kind, False) for kind in ("lexical", "frozen")]
STEPS = 200
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
        if file is not None and file.exists():
            self.values = np.load(file)
        else:
            self.values = self._embedded(texts)
            if file is not None:
                np.save(file, self.values)
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


def measure(
    base: str | None,
    labelled: Table,
    unlabelled: Table,
    test: Table,
    truth: np.ndarray,
    rounds: int,
    seed: int,
    kinds: Sequence[tuple[str, str, bool]],
) -> dict[str, float]:
    """Accuracy on the test rows of the teacher and of what it taught, and how each fares in the check."""
    with tempfile.TemporaryDirectory() as place:
        data = {"text": labelled.texts, "label": labelled.labels}
        study = {
            "data": {"validation": 0.25, "max_length": 128, "seed": seed}, "output": str(Path(place) / "out"),
            "ensemble": {"method": "weighted", "size": 4},
        } | (WORDS if base is None else {"base": base, **(ADAPTED if kinds == ADAPTER else EMBEDDED)})  # fmt: skip
        striata.train(study, data=data, device="cpu")
        teacher = striata.load(Path(place) / "out" / "ensemble", device="cpu")
        figures = {"teacher": float((teacher.logits(test.texts).argmax(1) == truth).mean())}
        for name, kind, consistency in kinds:
            made = striata.selftrain(
                Path(place) / "out", unlabelled.texts, kind=kind, rounds=rounds, loss=1.0, data=data, device="cpu",
                out=Path(place) / name, consistency=consistency, steps=3 * STEPS,
            )  # fmt: skip
            learner = next((Path(place) / "out" / "runs").glob(f"{kind}*"))
            before = striata.load(learner, device="cpu")
            after = striata.load(made.run.path, device="cpu")
            figures[f"{name} before"] = float((before.logits(test.texts).argmax(1) == truth).mean())
            figures[f"{name} after"] = float((after.logits(test.texts).argmax(1) == truth).mean())
            kept = made.difference.value >= -selftraining.LOSS
            figures[f"{name} kept"] = float(kept)
            figures[f"{name} checked"] = figures[f"{name} after"] if kept else figures["teacher"]
    return figures


def summary(lines: list[dict[str, float]]) -> dict[str, str]:
    """Means, and differences to the teacher in points with their intervals."""
    values = {name: np.array([line[name] for line in lines]) for name in lines[0]}
    reach = student.ppf(0.975, max(1, len(lines) - 1)) / np.sqrt(len(lines))
    told = {}
    for name, column in values.items():
        told[name] = f"{column.mean():.4f}"
        if name.endswith(("after", "checked")):
            for other in ("teacher", name.replace("after", "before"), name.replace("consistent", "lexical")):
                if other in values and other != name:
                    change = 100 * (column - values[other])
                    told[f"{name} - {other}"] = f"{change.mean():+.2f} +- {reach * change.std(ddof=1):.2f} points"
    return told


def main() -> None:
    """Measures, and prints a line for each seed and a summary for each number of labelled rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="labelled rows")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labelled", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--unlabelled", type=int, default=5000)
    parser.add_argument("--test", type=int, default=2500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--take", type=int, help="so many of the unlabelled rows only")
    parser.add_argument("--consistency", action="store_true")
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--adapter", action="store_true")
    parser.add_argument("--cache", type=Path, help="a .npy file that keeps the embeddings for the next call")
    arguments = parser.parse_args()
    if arguments.adapter and (arguments.words or arguments.consistency):
        parser.error("--adapter is measured without --words and --consistency")
    from striata.automl.overview import default_base

    rows = read_table(arguments.file, Columns())
    labels, base = label_order(rows), None if arguments.words else default_base()
    pool = 3 * max(arguments.labelled)
    drawn = np.random.default_rng(16).permutation(len(rows))[: pool + arguments.unlabelled + arguments.test]
    texts = rows.take(drawn).texts
    if base is None:  # the other member is for an ensemble to be there; it knows nothing, and agrees with few
        selftraining.agreement = lambda decided, _: np.ones(len(decided))
    else:
        Vectors(base, list(dict.fromkeys(texts)), arguments.cache).take_over()
    unlabelled = rows.take(drawn[pool : pool + arguments.unlabelled][: arguments.take])
    kinds = [("lexical", "lexical", False)] if arguments.words else KINDS
    kinds = [("lexical", "lexical", False), ("consistent", "lexical", True)] if arguments.consistency else kinds
    kinds = ADAPTER if arguments.adapter else kinds
    test = rows.take(drawn[pool + arguments.unlabelled :])
    truth, started = encode_labels(test, labels), time.process_time()
    for count in arguments.labelled:
        lines = []
        for seed in range(arguments.seeds):
            own = np.random.default_rng([16, seed]).permutation(pool)[:count]
            lines.append(measure(base, rows.take(drawn[own]), unlabelled, test, truth, arguments.rounds, seed, kinds))
            shown = {"labelled": count, "seed": seed, "cpu_seconds": round(time.process_time() - started), **lines[-1]}
            print(json.dumps(shown), flush=True)
        print(json.dumps({"labelled": count, **summary(lines)}, indent=1), flush=True)


if __name__ == "__main__":
    main()
