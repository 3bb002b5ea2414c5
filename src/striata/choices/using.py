"""What is made of runs: ensembles, predictions, explanations, exports."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .choice import Choice, Choices


@dataclass(frozen=True, slots=True)
class RankingChoice(Choice):
    """A figure by which models are chosen.

    Args:
        title: in tables and sentences.
        lower: whether less of it is better.
        least: that it can be.
        most: likewise.
        special: whether only some tasks have it.
    """

    title: str = ""
    lower: bool = False
    least: float = 0.0
    most: float = 1.0
    special: bool = False

    def merit(self, value: float) -> float:
        """A value of it as a number of which more is better; what is no number is worst."""
        return -math.inf if math.isnan(value) else -value if self.lower else value

    def shown(self, value: float) -> str:
        """A value with four digits after the point, or, where a figure has a unit that is far from 1, with four in all."""
        far = math.isinf(self.most) and value != 0 and not 0.01 <= abs(value) < 1e5
        return f"{value:.4g}" if far else f"{value:.4f}"


RANKINGS = Choices(
    "ranking figure",
    {
        "accuracy": RankingChoice("the share of right labels", title="accuracy"),
        "macro_f1": RankingChoice("the mean F1 over labels", title="macro F1"),
        "loss": RankingChoice("the log loss, the lower the better", title="log loss", lower=True, most=math.inf),
        "mae": RankingChoice(
            "the mean absolute error, the lower the better; of ordinal labels in steps of their order, of numbers in their unit",
            title="MAE",
            lower=True,
            most=math.inf,
            special=True,
        ),
        "kappa": RankingChoice(
            "Cohen's kappa with quadratic weights, of ordinal labels", title="quadratic kappa", least=-1.0, special=True
        ),
        "micro_f1": RankingChoice("of several labels a text, the F1 over all labels together", title="micro F1", special=True),
        "average_precision": RankingChoice(
            "likewise, the mean area below precision against recall", title="average precision", special=True
        ),
        "rmse": RankingChoice(
            "of numbers, the root of the mean squared error, the lower the better",
            title="RMSE",
            lower=True,
            most=math.inf,
            special=True,
        ),
        "r2": RankingChoice(
            "of numbers, the share of their variance that is explained", title="R²", least=-math.inf, special=True
        ),
        "spearman": RankingChoice(
            "of numbers, Spearman's rank correlation with the true ones", title="Spearman", least=-1.0, special=True
        ),
    },
)

COMBINATIONS = Choices(
    "combination",
    {
        "logits": Choice("their weighted mean"),
        "probabilities": Choice("the weighted mean of the softmax of the logits"),
    },
)


@dataclass(frozen=True, slots=True)
class MethodChoice(Choice):
    """A way to make one model of several runs.

    Args:
        maker: what carries it out, as `module:name`. It is given runs on validation rows and a rule, and returns which runs are
            combined, and how (:func:`striata.ensemble.choose`). A method that merges is given the study's folder
            (:func:`striata.ensemble.combine_runs`).
        averages: whether it averages the runs' outputs, so that there is a choice of :data:`COMBINATIONS`.
        label_rows: fewest validation rows of each label.
        merges: whether the runs' weights become one run, in place of an ensemble of several.
        cascades: whether one run answers what it is sure of, before the others are asked.
        one_label: whether it needs one label of several for each text.
    """

    maker: str = ""
    averages: bool = True
    label_rows: int = 0
    merges: bool = False
    cascades: bool = False
    one_label: bool = False


METHODS = Choices(
    "method",
    {
        "top": MethodChoice("the best runs with equal weights", maker="striata.ensemble.best:choose_top"),
        "greedy": MethodChoice("the run that helps most is added again and again", maker="striata.ensemble.greedy:choose_greedy"),
        "weighted": MethodChoice(
            "the best runs with the weights of the smallest log loss, of numbers squared error",
            maker="striata.ensemble.weighting:choose_weighted",
            averages=False,
        ),
        "stacking": MethodChoice(
            "a logistic regression on the outputs of the best runs",
            maker="striata.ensemble.stacking:choose_stacking",
            averages=False,
            one_label=True,
            label_rows=4,  # three of them choose in the nested estimate's folds, and two in the folds within
        ),
        "cascade": MethodChoice(
            "a cheap run answers what it is sure of, a weighted ensemble the rest",
            maker="striata.ensemble.cascade:choose_cascade",
            averages=False,
            cascades=True,
            one_label=True,
        ),
        "soup": MethodChoice(
            "one model of merged weights", maker="striata.ensemble.soup:write_soup", averages=False, merges=True
        ),
    },
)

BASELINES = Choices(
    "baseline",
    {
        "majority": Choice("the shares of the labels, whatever the text"),
        "lexical": Choice("words and parts of words counted, and a linear model"),
        "frozen": Choice("the frozen encoder's mean embeddings, and a linear model or a network of one hidden layer"),
        "neighbours": Choice("the nearest training rows among these embeddings"),
    },
)

DEMOS = Choices(
    "demo",
    {
        "fit": Choice("a data file to the best model within --minutes"),
        "layouts": Choice("the nine built-in depth layouts as a study, with their evidence"),
    },
)

TRACKERS = Choices(
    "tracker",
    {
        "tensorboard": Choice(),
        "wandb": Choice("Weights & Biases"),
        "mlflow": Choice("MLflow"),
        "trackio": Choice("Trackio"),
    },
)

PREDICTIONS = Choices(
    "format of predictions",
    {".csv": Choice("CSV"), ".jsonl": Choice("JSON Lines"), ".parquet": Choice("Parquet")},
)


SUGGESTIONS = Choices(
    "way to suggest rows",
    {
        "mixed": Choice("the closest calls, spread over groups of like texts"), "margin": Choice("the closest calls"),
        "entropy": Choice("the least sure"), "disagreement": Choice("members of an ensemble differ most"),
        "coverage": Choice("no text far from one of them, whatever the model says"),
    },
)  # fmt: skip

REVIEWS = Choices("form for labelling again", {"label-studio": Choice("JSON"), "doccano": Choice("JSON Lines"), "csv": Choice()})

EXPORTS = Choices(
    "export",
    {
        "onnx": Choice("ONNX Runtime, transformers.js and what else reads ONNX"),
        "transformers": Choice("merged weights for AutoModelForSequenceClassification; runs with a native head"),
        "sentence-transformers": Choice(
            "merged weights, mean of the tokens and the head as a dense layer; runs with a mean head"
        ),
    },
)

QUANTIZATIONS = Choices("quantization", {"int8": Choice("weights and activations of matrix products in 8 bits, for CPUs")})

EXPLANATIONS = Choices(
    "way to explain",
    {
        "auto": Choice("gradients where every member has them, else leave-one-out"),
        "gradients": Choice("integrated gradients, word by word; exact where words are counted"),
        "leave-one-out": Choice("how the score falls without each word"),
        "neighbours": Choice("the training rows that lie nearest"),
    },
)

FORMS = Choices(
    "format",
    {
        "labels": Choice("all columns of the input, then label"),
        "id-label": Choice("ID,Label, the label as an integer"),
    },
)
