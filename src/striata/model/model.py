"""Runs and ensembles in use: texts in, labels out; members on one encoder share a pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from ..calibration import set_figures
from ..data import Columns, Table, encode_labels, read_table
from ..ensemble import Cascade, Combiner, Ensemble
from ..errors import DataError
from ..runs import Run
from ..runs.joined import in_order
from ..shown import Shown
from ..tasks import check_labels, outputs_in_words
from .answering import Answering
from .evaluation import Evaluation, judge, judge_numbers
from .explanation import Explanation
from .inputs import check_texts, read_inputs, with_text
from .opening import Bases, open_folder
from .priors import LabelShares, Priors, check_correctable, estimate_shares, shifted_logits
from .reading import Reading
from .scorers import EncoderScorer, Scorer, scorers_for

_EXPLAINED_BY = "striata.explain"  # a room above this one, loaded when it is asked
_ALL = 0.95  # share of the validation rows from which on all of them are there
_BATCH = 2048  # texts tokenized and sorted by length together
_Floats = npt.NDArray[np.float32]


class Model(Answering, Reading, Shown):
    """A run or an ensemble, ready to predict. Get one with :meth:`load`.

    Args:
        folder: it was loaded from.
        runs: its members by name.
        combiner: what is done with their logits.
        source: whose validation rows calibrate it.
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto".

    Attributes:
        runs: the members by name.
        scorers: the members in groups that share a pass.
        task: what a label is.
        labels: names in the order of the logits.
        columns: names of the columns the study asked for.
        warn: told once if a cascade's early run answers another share of the texts than of the validation rows, and of rows that
            no figure should be measured on.
        texts: how many it has answered so far.
        early: of these, those that a cascade's early run answered alone.
    """

    def __init__(
        self, folder: Path, runs: Mapping[str, Run], combiner: Combiner, source: Run | Ensemble, *, device: str, precision: str
    ) -> None:
        first = next(iter(runs.values()))
        self.folder, self.runs, self.combiner, self._source = folder, dict(runs), combiner, source
        self.task, self.labels, self.columns = first.task, source.labels, first.columns
        self.scorers = scorers_for(self.runs, device=device, precision=precision)
        self.warn: Callable[[str], None] = partial(warnings.warn, stacklevel=3)  # of whoever predicts
        self._watched = True
        self.texts, self.early, self._counting = 0, 0, Lock()

    @classmethod
    def load(cls, folder: str | Path, *, base: Bases | None = None, device: str = "auto", precision: str = "auto") -> Model:
        """Opens a folder; see :func:`striata.load`."""
        opened = open_folder(Path(folder), base)
        return cls(opened.path, opened.runs, opened.combiner, opened.source, device=device, precision=precision)

    def reopened(self, *, device: str, precision: str) -> Model:
        """The same model on a device and in a precision, as :func:`striata.load` takes them."""
        return Model(self.folder, self.runs, self.combiner, self._source, device=device, precision=precision)

    def part(self, source: Run | Ensemble) -> Model:
        """One of its members, or an ensemble of some of them, without loading anything again."""
        if isinstance(source, Run):
            folder, names, combiner = source.path, [source.name], Combiner(kind="logits", weights={source.name: 1.0})
        else:
            folder, names, combiner = source.folder, list(source.runs), source.combiner
        model = copy(self)
        model.folder, model.combiner, model._source = folder, combiner, source
        model.runs = {name: self.runs[name] for name in names}
        for name in ("calibration", "_validation"):  # of the whole
            model.__dict__.pop(name, None)
        return model

    def __repr__(self) -> str:
        what = f"run {self._source.name}" if isinstance(self._source, Run) else f"ensemble of {len(self.runs)}"
        bases = dict.fromkeys(Path(run.facts.base).name for run in self.runs.values() if run.facts.base is not None)
        ways = dict.fromkeys(scorer.way for scorer in self.scorers if isinstance(scorer, EncoderScorer))
        return f"Model({', '.join([what, outputs_in_words(self.task, self.labels), *bases, *ways])})"

    @property
    def identity(self) -> str:
        """Stands for everything that decides the logits of a text."""
        combination = self.combiner.identity_of({name: run.checksum for name, run in self.runs.items()})
        return " ".join([combination, *(scorer.identity for scorer in self.scorers)])

    def member_logits(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, names: Collection[str] | None = None
    ) -> dict[str, _Floats]:
        """Logits of every member by its name, each (texts, labels), all texts in one go; raises as :meth:`logits`.

        Args:
            texts: any number.
            pairs: the second texts, for models of pairs.
            names: of members that are needed; those that share no pass with them are left out. None for all.
        """
        check_texts(texts)
        needed = [scorer for scorer in self.scorers if names is None or any(name in scorer.labels for name in names)]
        return self._logits_of(needed, texts, pairs)

    def _logits_of(self, scorers: Sequence[Scorer], texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, _Floats]:
        return {
            name: in_order(logits, scorer.labels[name], self.labels)
            for scorer in scorers
            for name, logits in scorer.logits(texts, pairs).items()
        }

    def logits(self, texts: object, pairs: object = None) -> _Floats:
        """Combined logits, (texts, labels); of a cascade, texts that are answered early are read by no other member.

        Args:
            texts: any number: a list, tuple, array, series or iterator of strings, or rows with columns, of which those with the
                texts (and second texts) are looked for as in a file: a pandas or polars DataFrame, a `datasets.Dataset`, a
                pyarrow Table, a dict of columns, a list of dicts.
            pairs: the second texts, for models of pairs whose first texts are in no column.

        Raises:
            DataError: a text is empty, or is no string, or the texts are something else.
        """
        return self._combined(*read_inputs(texts, pairs, self.columns))

    def with_members(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> tuple[_Floats, dict[str, _Floats]]:
        """Combined logits, (texts, labels), and those of every member by its name, from one pass over the texts.

        Members of a cascade that were not asked about a text have NaN there. Raises as :meth:`logits`.
        """
        check_texts(texts)
        none = np.zeros((0, len(self.labels)), np.float32)
        parts = [none], {name: [none] for name in self.runs}
        for combined, members in self._passes(texts, pairs):
            parts[0].append(combined)
            for name, logits in members.items():
                parts[1][name].append(logits)
        return np.concatenate(parts[0]), {name: np.concatenate(logits) for name, logits in parts[1].items()}

    def _combined(self, texts: Sequence[str], pairs: Sequence[str] | None) -> _Floats:
        none = np.zeros((0, len(self.labels)), np.float32)
        return np.concatenate([none, *(combined for combined, _ in self._passes(texts, pairs))])

    def _passes(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Iterator[tuple[_Floats, dict[str, _Floats]]]:
        """Combined logits and those of the members, of as many texts at a time as are sorted by length together."""
        cascade, early = self.combiner.cascade, 0
        for at in range(0, len(texts), _BATCH):
            some, second = texts[at : at + _BATCH], None if pairs is None else pairs[at : at + _BATCH]
            if cascade is None:
                members = self._logits_of(self.scorers, some, second)
                yield self.combiner.apply(members), members
            else:
                combined, members, sure = self._staged(cascade, some, second)
                early += int(sure.sum())
                yield combined, members
        with self._counting:
            self.texts, self.early = self.texts + len(texts), self.early + early
        if cascade is not None and self._watched and (sentence := cascade.unlike(early, len(texts))):
            self._watched = False
            self.warn(sentence)

    def _staged(
        self, cascade: Cascade, texts: Sequence[str], pairs: Sequence[str] | None
    ) -> tuple[_Floats, dict[str, _Floats], npt.NDArray[np.bool_]]:
        """Combined logits, those of the members, and which texts were answered early; the others alone are read by the members
        that were not asked."""
        first = [scorer for scorer in self.scorers if cascade.early in scorer.labels]
        others = [scorer for scorer in self.scorers if scorer not in first]
        logits = self._logits_of(first, texts, pairs)
        sure = cascade.sure(logits[cascade.early])
        combined = cascade.answer(logits[cascade.early])
        rest = np.flatnonzero(~sure).tolist()
        unread = np.full_like(combined, np.nan)
        members = {name: logits[name] if name in logits else unread.copy() for name in self.runs}
        if rest:
            second = None if pairs is None else [pairs[at] for at in rest]
            later = self._logits_of(others, [texts[at] for at in rest], second)
            combined[rest] = self.combiner.apply_late({name: own[rest] for name, own in logits.items()} | later)
            for name, own in later.items():
                members[name][rest] = own
        return combined, members, sure

    def _gapped(self, texts: object, pairs: object) -> tuple[_Floats, list[int], int]:
        """Combined logits of the texts that are not empty, their places, and how many texts there are."""
        read, seconds = read_inputs(texts, pairs, self.columns, keep_empty=True)
        places = with_text(read, seconds)
        readable = [read[at] for at in places], None if seconds is None else [seconds[at] for at in places]
        return self._combined(*readable), places, len(read)

    def predict(self, texts: object, pairs: object = None, *, abstain_below: float | None = None) -> list[Any]:
        """The label of each text, by name: the most likely, or, of labels in an order, the median; `a|b` where a text may have
        several; of a regression the number, a float; None for a text that is empty or missing (None, NaN), as for rows in files.

        Args:
            texts: any number: a list or series of strings, a DataFrame, a data set, ...; see :meth:`logits`.
            pairs: the second texts, for models of pairs.
            abstain_below: None instead of a label whose calibrated probability is smaller; :meth:`answers` finds the value for
                a wanted precision.

        Raises:
            DataError: a text is no string, or the texts are something else.
        """
        logits, places, rows = self._gapped(texts, pairs)
        answers: list[Any] = [None] * rows
        sure = [True] * len(places) if abstain_below is None else self.sure(logits, abstain_below).tolist()
        for at, label, certain in zip(places, self.answered(logits), sure, strict=True):
            answers[at] = label if certain else None
        return answers

    def predict_proba(
        self, texts: object, pairs: object = None, *, calibrated: bool = True, priors: Priors | None = None
    ) -> npt.NDArray[np.float32]:
        """Probabilities, (texts, labels), NaN for a text that is empty or missing; raises as :meth:`predict`.

        Calibrated by default: the combined logits are divided by the model's temperature, so that of the answers given with
        0.8 about 80 % are right (on texts like the validation rows). The order of the labels, and with it every
        answer, is the same without.

        Args:
            texts: any number: a list or series of strings, a DataFrame, a data set, ...; see :meth:`logits`.
            pairs: the second texts, for models of pairs.
            calibrated: False for the softmax (of several labels a text the sigmoid) of the combined logits as they are.
            priors: shares of the labels among these texts, by label, where they are other than among the validation rows:
                probabilities are then corrected by Bayes' rule, which assumes that texts of one label are alike in both.
                "estimate" estimates them from these texts; see :func:`striata.model.priors.estimate_shares`.
        """
        logits, places, rows = self._gapped(texts, pairs)
        if priors is not None:
            check_correctable(self.task, calibrated=calibrated)
            logits = self.shifted(logits, priors)
        result = np.full((rows, len(self.labels)), np.nan, np.float32)
        result[places] = self.probabilities(logits, calibrated=calibrated)
        return result

    def shifted(self, logits: _Floats, priors: Priors) -> _Floats:
        """Combined logits, (texts, labels), of texts among which the labels have other shares; see :meth:`predict_proba`."""
        return shifted_logits(logits, priors, self.labels, self._validation, self.calibration.temperature)

    def label_shares(self, logits: _Floats) -> LabelShares:
        """The labels' shares among texts, estimated from their combined logits; see :mod:`striata.calibration.label_shares`."""
        check_correctable(self.task)
        return estimate_shares(logits, self.labels, self._validation, self.calibration.temperature)

    def predict_sets(self, texts: object, coverage: float, pairs: object = None) -> list[list[str]]:
        """For each text the labels it may have, most likely first; at least one, but where a text may have none, and none for a
        text that is empty or missing.

        Args:
            texts: any number: a list or series of strings, a DataFrame, a data set, ...; see :meth:`logits`.
            coverage: share of texts whose set holds the true label, or all of several, e.g. 0.95; see
                :mod:`striata.calibration.conformal` for what that promises.
            pairs: the second texts, for models of pairs.

        Raises:
            DataError: as :meth:`predict`, or the coverage cannot be promised with as many validation rows.
        """
        logits, places, rows = self._gapped(texts, pairs)
        sets = dict(zip(places, self.label_sets(logits, coverage), strict=True))
        return [sets.get(at, []) for at in range(rows)]

    def predict_intervals(self, texts: object, coverage: float, pairs: object = None) -> npt.NDArray[np.float64]:
        """For each text low and high ends, (texts, 2), between which its number lies at a wanted rate; NaN for one that is empty
        or missing.

        Args:
            texts: any number: a list or series of strings, a DataFrame, a data set, ...; see :meth:`logits`.
            coverage: share of texts whose interval holds the true number, e.g. 0.9; see :mod:`striata.calibration.intervals` for
                what that promises.
            pairs: the second texts, for models of pairs.

        Raises:
            DataError: as :meth:`predict`, the coverage cannot be promised with as many validation rows, or answers are labels.
        """
        logits, places, rows = self._gapped(texts, pairs)
        result = np.full((rows, 2), np.nan)
        result[places] = self.intervals(logits, coverage)
        return result

    def warn_of_known(self, table: Table) -> None:
        """Warns where the validation rows are among the rows, whose others are then probably those that the model learned from;
        and of rows that have the text of a validation row on which a member was fitted once more, as `refit` does."""
        held, texts = next(iter(self.runs.values())).validation().texts, table.text_hashes()
        if np.isin(held, texts).mean() >= _ALL:
            self.warn(
                f"the {len(held):,} validation rows are among these {len(table):,} rows: the model was chosen and calibrated by "
                "them, and probably learned from the others, if there are any; figures on them say nothing of new texts"
            )
            return
        refitted = [run.validation().texts for run in self.runs.values() if run.facts.recipe.get("refit")]
        known = int(np.isin(texts, np.concatenate(refitted)).sum()) if refitted else 0
        if known:
            self.warn(
                f"{known:,} of {len(table):,} rows have the text of a validation row, and some members were fitted on these too: "
                "figures on them flatter; give rows that nothing was fitted on"
            )

    def evaluate(self, data: object, *, columns: Columns | None = None, coverage: float | None = None) -> Evaluation:
        """Figures on labelled rows.

        Args:
            data: file, folder or Hub name, or rows in memory: a pandas or polars DataFrame, a `datasets.Dataset`, a pyarrow
                Table, a dict of columns, a list or an iterator of dicts, or a tuple (texts, labels).
            columns: names of columns; those of the study by default.
            coverage: also measure the label sets, or of numbers the intervals, of this coverage.

        Raises:
            DataError: the data cannot be read, or has labels the model does not know, or the coverage cannot be promised.
        """
        table = read_table(data, columns or self.columns, split="test")
        self.warn_of_known(table)
        targets = encode_labels(table, self.labels, self.task)
        logits = self.logits(table.texts, table.pairs)
        if self.task.numeric:
            intervals = None if coverage is None else self.interval_figures(logits, targets, coverage)
            return judge_numbers(table, targets, logits, intervals)
        sets = None if coverage is None else set_figures(self._inside(logits, coverage), targets, coverage)
        calibration = self.calibration
        return judge(table, targets, logits, labels=self.labels, task=self.task, calibration=calibration, sets=sets)

    def explain(
        self,
        texts: object,
        pairs: object = None,
        *,
        method: str = "auto",
        label: str | None = None,
        steps: int | None = None,
        rows: int = 5,
    ) -> list[Explanation]:
        """Why each text gets its label: what every word adds to the label's score.

        The score is the label's calibrated logit less the mean of the other labels', or, where a text may have several, its own
        calibrated logit. Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365) go from all words as padding to
        the text, through all members and their combination at once; where the score is linear in the words (counted words), the
        weights are exact.

        Args:
            texts: any number: a list or series of strings, a DataFrame, a data set, ...; see :meth:`logits`.
            pairs: the second texts, for models of pairs.
            method: of :data:`striata.choices.EXPLANATIONS`.
            label: that is explained; None for the one that each text gets, of several the likeliest.
            steps: of the gradients on their way; None for 32, doubled up to 256 while the weights do not add up.
            rows: how many of the nearest training rows, for "neighbours".

        Raises:
            DataError: the texts cannot be read, the label or the method is unknown, a member has no gradients, or the training
                rows are not where the study read them.
        """
        check_labels(self.task, "an explanation", DataError)
        read = read_inputs(texts, pairs, self.columns)
        room = import_module(_EXPLAINED_BY)
        explanations: list[Explanation] = room.explain_texts(self, *read, method=method, label=label, steps=steps, rows=rows)
        return explanations
