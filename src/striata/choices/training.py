"""What a study file chooses of how members are made and trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .choice import Choice, Choices


@dataclass(frozen=True, slots=True)
class HeadChoice(Choice):
    """A classification head.

    Args:
        pooling: which token states the head's one layer reads: "first" or "mean"; None for the model's own head.
    """

    pooling: str | None = None


TASKS = Choices(
    "task",
    {
        "single-label": Choice("one label of several for each text"),
        "ordinal": Choice("one label of several in an order, such as stars"),
        "multilabel": Choice("several labels for each text, or none"),
        "regression": Choice("a number for each text"),
    },
)

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

UNADAPTED = "no-adapt"
CONTROLS = Choices(
    "control",
    {
        "uniform": Choice("the same sites with the largest single rank that trains no more parameters"),
        "reversed": Choice("the same sections over the layers in reverse order"),
        UNADAPTED: Choice("the same layout, not adapted to texts without labels"),
    },
)

OBJECTIVES = Choices(
    "objective",
    {
        "auto": Choice("masked where the checkpoint has the head for it, else contrastive"),
        "masked": Choice("guess masked tokens; Devlin et al. 2018, arXiv:1810.04805"),
        "contrastive": Choice("find a text by a fifth of its tokens, among others; Gao, Yao and Chen 2021, arXiv:2104.08821"),
    },
)


@dataclass(frozen=True, slots=True)
class TunableChoice(Choice):
    """A choice with settings of its own.

    Args:
        settings: these with their defaults.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OptimizerChoice(TunableChoice):
    """An optimizer; learning rate and weight decay are the recipe's.

    Args:
        factory: the class that makes it, as `module:name`.
        fixed: what it is always made with.
    """

    factory: str = ""
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
class LossChoice(TunableChoice):
    """What training minimises.

    Args:
        function: what computes it of a step's rows, as `module:name`; see :mod:`striata.training.losses`.
        priors: whether it is given the labels' shares of the training rows.
        tasks: of :data:`TASKS` that it is for.
    """

    function: str = ""
    tasks: tuple[str, ...] = tuple(name for name in TASKS if name not in {"multilabel", "regression"})
    priors: bool = False


LOSSES = Choices(
    "loss",
    {
        "cross_entropy": LossChoice(
            "the negative log-probability of the true label", function="striata.training.losses:cross_entropy"
        ),
        "focal": LossChoice(
            "cross entropy times (1 - p)^gamma, p the probability of the true label: rows that are learned count less; "
            "Lin et al. 2017, arXiv:1708.02002",
            function="striata.training.losses:focal",
            settings={"gamma": 2.0},
        ),
        "logit_adjusted": LossChoice(
            "cross entropy of the logits plus tau times the log of each label's share of the training rows: predictions are then "
            "those of equally frequent labels; Menon et al. 2021, arXiv:2007.07314",
            function="striata.training.losses:logit_adjusted",
            settings={"tau": 1.0},
            priors=True,
        ),
        "cumulative": LossChoice(
            "for labels in an order: the binary cross entropies of whether the true label lies above each border; McCullagh 1980",
            function="striata.training.losses:cumulative",
            tasks=("ordinal",),
        ),
        "binary_cross_entropy": LossChoice(
            "the mean over labels of the negative log-probability that a text has, or lacks, the label",
            function="striata.training.losses:binary_cross_entropy",
            tasks=("multilabel",),
        ),
        "mse": LossChoice(
            "for numbers: the mean squared error, of targets in standard deviations of the training rows",
            function="striata.training.losses:mse",
            tasks=("regression",),
        ),
        "huber": LossChoice(
            "likewise, but errors above delta standard deviations count in proportion, not squared; Huber 1964",
            function="striata.training.losses:huber",
            settings={"delta": 1.0},
            tasks=("regression",),
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
