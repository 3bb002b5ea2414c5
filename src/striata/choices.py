"""The closed lists: every value that a user chooses by name, once, with what it means.

The study file's checks, the command line's help, docs/reference.md and the code that acts on a choice read these tables. A new
choice is a new entry here, and the code that carries it out where the entry cannot say that itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .errors import StriataError, did_you_mean


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a list.

    Args:
        text: what it means, in half a sentence; empty where the name says it.
    """

    text: str = ""


Entry = TypeVar("Entry", bound=Choice)


class Choices(dict[str, Entry], Generic[Entry]):
    """A closed list: entries by name, in the order in which they are shown.

    Args:
        what: what one of them is called in a message, such as "head".
        entries: by name.
    """

    def __init__(self, what: str, entries: Mapping[str, Entry]) -> None:
        super().__init__(entries)
        self.what = what

    def check(self, name: str, error: type[StriataError]) -> Entry:
        """The entry of a name.

        Raises:
            StriataError: of the given kind, when there is no such entry; it names the nearest one.
        """
        if name not in self:
            raise error(f"unknown {self.what} '{name}'{did_you_mean(name, self)}; expected {self.names}")
        return self[name]

    @property
    def names(self) -> str:
        """All names, as in "lion, adamw, adam or sgd"."""
        return alternatives(self)

    @property
    def help(self) -> str:
        """All names, each with its meaning in parentheses."""
        return alternatives(f"{name} ({entry.text})" if entry.text else name for name, entry in self.items())


def alternatives(words: Iterable[str], conjunction: str = "or") -> str:
    """Words as an enumeration: "a", "a or b", "a, b or c"."""
    *first, last = words
    return f"{', '.join(first)} {conjunction} {last}" if first else last


@dataclass(frozen=True, slots=True)
class HeadChoice(Choice):
    """A classification head.

    Args:
        pooling: which token states the head's one layer reads: "first" or "mean"; None for the model's own head.
    """

    pooling: str | None = None


HEADS = Choices(
    "head",
    {
        "native": HeadChoice("the model's own classification head"),
        "linear": HeadChoice("one layer on the first token", pooling="first"),
        "mean": HeadChoice("one layer on the mean of the tokens", pooling="mean"),
    },
)

TARGETS = Choices(
    "target",
    {
        "query": Choice("the attention's queries"),
        "key": Choice("the attention's keys"),
        "value": Choice("the attention's values"),
        "qkv": Choice("queries, keys and values where the encoder keeps them in one matrix"),
        "attention_output": Choice("the projection after the attention"),
        "ffn_in": Choice("into the feed-forward block"),
        "ffn_out": Choice("out of the feed-forward block"),
    },
)

CONTROLS = Choices(
    "control",
    {
        "uniform": Choice("the same sites with the largest single rank that trains no more parameters"),
        "reversed": Choice("the same sections over the layers in reverse order"),
    },
)


@dataclass(frozen=True, slots=True)
class OptimizerChoice(Choice):
    """An optimizer.

    Args:
        factory: the class that makes it, as `module:name`.
        settings: its own settings with their defaults; learning rate and weight decay are the recipe's.
        fixed: what it is always made with.
    """

    factory: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


OPTIMIZERS = Choices(
    "optimizer",
    {
        "lion": OptimizerChoice(
            "the sign of a running mean; Chen et al. 2023, arXiv:2302.06675",
            factory="lion_pytorch.foreach:Lion",
            settings={"betas": (0.9, 0.99)},
        ),
        "adamw": OptimizerChoice(
            "Adam with decoupled weight decay; Loshchilov and Hutter 2019, arXiv:1711.05101",
            factory="torch.optim:AdamW",
            settings={"betas": (0.9, 0.999), "eps": 1e-8},
            fixed={"fused": True},
        ),
        "adam": OptimizerChoice(
            "weight decay as part of the gradient; Kingma and Ba 2015, arXiv:1412.6980",
            factory="torch.optim:Adam",
            settings={"betas": (0.9, 0.999), "eps": 1e-8},
            fixed={"fused": True},
        ),
        "sgd": OptimizerChoice(
            "stochastic gradient descent",
            factory="torch.optim:SGD",
            settings={"momentum": 0.9},
            fixed={"fused": True},
        ),
    },
)


@dataclass(frozen=True, slots=True)
class ScheduleChoice(Choice):
    """A course of the learning rate after warmup.

    Args:
        scheduler: its name in `transformers.get_scheduler`.
    """

    scheduler: str = ""


SCHEDULES = Choices(
    "schedule",
    {
        "cosine": ScheduleChoice("half a cosine down to 0", scheduler="cosine"),
        "linear": ScheduleChoice("a line down to 0", scheduler="linear"),
        "constant": ScheduleChoice("stays as it is", scheduler="constant_with_warmup"),
    },
)


@dataclass(frozen=True, slots=True)
class PrecisionChoice(Choice):
    """What the frozen encoder multiplies in.

    Args:
        dtype: its name in torch; None for whatever suits the hardware.
    """

    dtype: str | None = None


PRECISIONS = Choices(
    "precision",
    {
        "fp32": PrecisionChoice("32-bit floats", dtype="float32"),
        "bf16": PrecisionChoice("16-bit brain floats", dtype="bfloat16"),
        "auto": PrecisionChoice("bf16 where the hardware multiplies in it, else fp32"),
    },
)

DEVICES = Choices(
    "device",
    {
        "cpu": Choice(),
        "cuda": Choice("a GPU; cuda:1 for the second"),
        "auto": Choice("a GPU when there is one"),
    },
)

RANKINGS = Choices(
    "ranking figure",
    {
        "accuracy": Choice("the share of right labels"),
        "macro_f1": Choice("the mean F1 over labels"),
        "loss": Choice("the log loss, the lower the better"),
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
    """

    maker: str = ""
    averages: bool = True
    label_rows: int = 0
    merges: bool = False
    cascades: bool = False


METHODS = Choices(
    "method",
    {
        "top": MethodChoice("the best runs with equal weights", maker="striata.ensemble.best:choose_top"),
        "greedy": MethodChoice("the run that helps most is added again and again", maker="striata.ensemble.greedy:choose_greedy"),
        "weighted": MethodChoice(
            "the best runs with the weights of the smallest log loss",
            maker="striata.ensemble.weighting:choose_weighted",
            averages=False,
        ),
        "stacking": MethodChoice(
            "a logistic regression on the outputs of the best runs",
            maker="striata.ensemble.stacking:choose_stacking",
            averages=False,
            label_rows=4,  # three of them choose in the nested estimate's folds, and two in the folds within
        ),
        "cascade": MethodChoice(
            "a cheap run answers what it is sure of, a weighted ensemble the rest",
            maker="striata.ensemble.cascade:choose_cascade",
            averages=False,
            cascades=True,
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


@dataclass(frozen=True, slots=True)
class ReaderChoice(Choice):
    """A format of data files, by the end of the file's name.

    Args:
        reader: what opens it, as `module:name`; it is given a :class:`striata.data.files.DataFile`.
        settings: what else it is given.
    """

    reader: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


READERS = Choices(
    "data format",
    {
        ".csv": ReaderChoice("CSV", reader="striata.data.delimited:DelimitedReader", settings={"delimiter": ","}),
        ".tsv": ReaderChoice("TSV", reader="striata.data.delimited:DelimitedReader", settings={"delimiter": "\t"}),
        ".tab": ReaderChoice("TSV", reader="striata.data.delimited:DelimitedReader", settings={"delimiter": "\t"}),
        ".txt": ReaderChoice("plain text", reader="striata.data.plain:open_plain_text"),
        ".jsonl": ReaderChoice("JSON", reader="striata.data.json_rows:open_json"),
        ".ndjson": ReaderChoice("JSON", reader="striata.data.json_rows:open_json"),
        ".json": ReaderChoice("JSON", reader="striata.data.json_rows:open_json"),
        ".parquet": ReaderChoice("Parquet", reader="striata.data.columnar:ParquetReader"),
        ".pq": ReaderChoice("Parquet", reader="striata.data.columnar:ParquetReader"),
        ".arrow": ReaderChoice("Arrow", reader="striata.data.columnar:ArrowReader"),
        ".feather": ReaderChoice("Arrow", reader="striata.data.columnar:ArrowReader"),
        ".xlsx": ReaderChoice("Excel", reader="striata.data.workbook:WorkbookReader"),
        ".pkl": ReaderChoice("pickle", reader="striata.data.pickles:PickleReader"),
        ".pickle": ReaderChoice("pickle", reader="striata.data.pickles:PickleReader"),
    },
)
COMPRESSIONS = Choices(
    "compression",
    {
        ".gz": Choice("gzip"),
        ".bz2": Choice("bzip2"),
        ".xz": Choice("xz"),
        ".zip": Choice("of one file"),
        ".zst": Choice("Zstandard"),
    },
)
QUOTINGS = Choices(
    "quoting",
    {
        "quoted": Choice("double quotes around a field are not part of it, and doubled inside of it"),
        "none": Choice("double quotes are part of the text"),
    },
)
DATA_HELP = f"{', '.join(dict.fromkeys(entry.text for entry in READERS.values()))}, a folder, an address, or a Hub name"

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
