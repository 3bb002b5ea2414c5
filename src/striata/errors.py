"""Every error a user of striata can cause or meet.

::

    StriataError
    ├── LayoutError      a layout's text, file or sections
    ├── PlanError        a layout against an encoder, or a plan against the live model
    │   └── BudgetError  more trainable parameters than allowed
    ├── DataError        files, columns, labels, texts
    ├── StudyError       a study file or a study's folder
    ├── RunError         a run's folder, or a member that could not be trained
    ├── EnsembleError    selection or combination of runs
    ├── EncoderError     the pretrained model: missing, damaged, unsupported
    ├── ExportError      a model for another tool: it cannot be written for it, or does not answer the same there
    ├── EstimatorError   what the scikit-learn estimator was given; also a ValueError, which is what scikit-learn expects
    ├── ClusterError     a Ray cluster: it is not reached, or a machine of it has not what it needs
    └── ExtraError       an optional package that is not installed

A message is one line: what was wrong, where, what was expected, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self

_LONGEST_MESSAGE = 4_000
_LONGEST_WORD = 200  # letters; comparing takes time quadratic in them


class StriataError(Exception):
    """Base of all errors below; the command line prints its message and exits with 2.

    Args:
        message: put on one line; of more than 4,000 letters, which only a name or a value in it can have, the middle is left out.
        argument: the argument of the function that is wrong; the message then begins with it.
        key: the setting that is wrong, with dots, such as `recipe.learning_rate`.
        path: the file or folder it is about.
        row: the row it is about, counted from 0.

    The four are attributes, for programs that do not want to read the message; None where they say nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        argument: str | None = None,
        key: str | None = None,
        path: str | None = None,
        row: int | None = None,
    ) -> None:
        line = " ".join((f"{argument} {message}" if argument else message).split())
        super().__init__(line if len(line) <= _LONGEST_MESSAGE else f"{line[:1000]} ... {line[-1000:]}")
        self.argument = argument
        self.key = key
        self.path = path
        self.row = row

    def within(self, where: str) -> Self:
        """The same error, its message with where it happened in front."""
        return type(self)(f"{where}: {self}", key=self.key, path=self.path, row=self.row)


class LayoutError(StriataError):
    """A layout's text, file or sections are wrong."""


class PlanError(StriataError):
    """A layout does not fit the encoder, or the live model is not what the plan says."""


class BudgetError(PlanError):
    """A plan has more trainable parameters than its budget."""


class DataError(StriataError):
    """A data file, column, label or text is wrong."""


class StudyError(StriataError):
    """A study file or a study's folder is wrong."""


class RunError(StriataError):
    """A run's folder is missing, unfinished or damaged, or a member could not be trained."""


class ExportError(StriataError):
    """A model cannot be written for another tool, or does not answer there as it does here."""


class EnsembleError(StriataError):
    """Runs cannot be selected or combined."""


class EncoderError(StriataError):
    """The pretrained encoder is missing, damaged or of an unsupported family."""


class EstimatorError(StriataError, ValueError):
    """A parameter of the scikit-learn estimator, or the texts or labels it was given, are wrong."""


class ClusterError(StriataError):
    """A cluster is not reached, or a machine of it does not have or see what it needs."""


class ExtraError(StriataError):
    """An optional package is needed and not installed."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest known word, or an empty string; nothing is near to what is no word, but a text."""
    words = [other for other in known if len(other) <= _LONGEST_WORD]
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6) if len(word) <= _LONGEST_WORD else []
    return f" (did you mean '{near[0]}'?)" if near else ""
