"""Settings checked, and the first thing that is wrong in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..choices import alternatives
from ..errors import StudyError, did_you_mean
from .fields import Expected, OneOf, Short

Settings = TypeVar("Settings", bound=BaseModel)

# What other tools call the same thing, by what it is here.
_FOREIGN = {
    "base": "model, model_name, model_name_or_path, pretrained_model, checkpoint, encoder",
    "data": "dataset, dataset_name, dataset_path",
    "data.train": "train_file, train_data, train_path, csv",
    "data.validation": "validation_file, eval_file, valid, dev, val, eval, validation_split, val_size",
    "data.test": "test_file, test_data",
    "data.max_length": "max_len, max_seq_length, max_seq_len, max_tokens",
    "data.text": "text_column, text_field, text_column_name, sentence",
    "data.text_pair": "text_pair_column, sentence2, sentence_b",
    "data.label": "label_column, label_field, label_column_name, target, target_column",
    "layouts": "lora, peft, adapter, lora_config, r, lora_r, rank, lora_alpha, lora_dropout, target_modules",
    "seeds": "random_seed, random_state",
    "output": "output_dir, out, out_dir, save_dir, folder",
    "budget": "max_params, max_parameters, trainable_parameters",
    "data.weight": "weight_column, sample_weight, sample_weights, weights_column, weight_column_name",
    "recipe": "training, trainer, training_args, hyperparameters",
    "recipe.optimizer": "optim, optimizer_name",
    "recipe.optimizer.betas": "beta1, beta2, adam_beta1, adam_beta2",
    "recipe.optimizer.eps": "epsilon, adam_epsilon",
    "recipe.learning_rate": "lr, learningrate, initial_lr",
    "recipe.weight_decay": "wd, decay, l2",
    "recipe.schedule": "scheduler, lr_scheduler, lr_scheduler_type",
    "recipe.warmup": "warmup_ratio, warmup_steps, warmup_proportion, num_warmup_steps",
    "recipe.batch_size": "per_device_train_batch_size, train_batch_size, bs, mini_batch_size",
    "recipe.max_steps": "steps, num_steps, num_training_steps, train_steps, iterations",
    "recipe.epochs": "num_train_epochs, num_epochs, n_epochs, max_epochs, epoch",
    "recipe.evaluate_every": "eval_steps, eval_every, evaluation_steps, eval_interval, val_check_interval",
    "recipe.best_by": "metric_for_best_model, monitor, early_stopping_metric, best_metric, eval_metric",
    "recipe.patience": "early_stopping, early_stopping_patience",
    "recipe.min_delta": "early_stopping_threshold, threshold",
    "recipe.clip": "max_grad_norm, gradient_clipping, gradient_clip_val, clip_norm",
    "recipe.loss": "loss_function, loss_fn, loss_type, criterion, objective",
    "recipe.loss.delta": "huber_delta, beta",
    "recipe.loss.gamma": "focal_gamma, focal_loss_gamma",
    "recipe.label_smoothing": "label_smoothing_factor, smoothing",
    "recipe.class_weights": "class_weight, weights",
    "recipe.precision": "fp16, bf16, dtype, torch_dtype, amp, mixed_precision",
}
_OURS = {name: key for key, names in _FOREIGN.items() for name in names.split(", ")}
_MOST_NAMED = 10  # keys in one message; what each may have been meant to be takes milliseconds
_EXAMPLES = {"base": "FacebookAI/roberta-base", "layouts": "[s8]", "output": "runs/mine", "name": "adamw", "layout": "s8"}


def check_settings(
    kind: type[Settings], value: Mapping[str, Any], where: str, *, inside: str = "", missing: Sequence[str] = ()
) -> Settings:
    """A settings object.

    Args:
        kind: which.
        value: its keys and values.
        where: the file or the argument they stand in, for the message.
        inside: key of the group that `value` is, for the message.
        missing: keys that are missing although the type could do without.

    Raises:
        StudyError: all unknown keys, or all that are missing, or the first value that is wrong; `key` is its name.
    """
    problems: list[ErrorDetails] = []
    try:
        settings = kind.model_validate(value)
        if not missing:
            return settings
    except ValidationError as error:
        problems = error.errors(include_url=False)
    placed = [(_place(value, problem), problem) for problem in problems]
    unknown = sorted((path for path, problem in placed if problem["type"] == "extra_forbidden"), key=len)
    absent = [path for path, problem in placed if problem["type"] == "missing" and isinstance(problem["loc"][-1], str)] + [
        (key,) for key in missing
    ]
    if unknown:
        text, path = _unknown(kind, unknown, inside), unknown[0]
    elif absent:
        text, path = _missing(absent, inside), absent[0]
    else:
        path = placed[0][0]
        text = _wrong(kind, path, [problem for other, problem in placed if other == path], inside)
    raise StudyError(f"{where}: {text}", key=_key(path, inside), path=where) from None


Path = tuple[str | int, ...]


def _key(path: Path, inside: str = "") -> str:
    return ".".join(map(str, (inside, *path) if inside else path))


def _place(value: Any, problem: ErrorDetails) -> Path:
    """Keys down to a problem; what pydantic adds to them, such as which type of a union it tried, leads nowhere in the value."""
    path: list[str | int] = []
    for part in problem["loc"]:
        keyed = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if isinstance(keyed, Mapping) and part in keyed:
            path, value = [*path, part], keyed[part]
    last = problem["loc"][-1] if problem["type"] == "missing" else None
    return (*path, last) if isinstance(last, str) else tuple(path)


def _unknown(kind: type[BaseModel], paths: Sequence[Path], inside: str) -> str:
    names = [f"'{_key(path, inside)}'{_hint(kind, path, inside)}" for path in paths[:_MOST_NAMED]] + _rest(paths)
    known = _fields_at(kind, paths[0][:-1])
    return f"unknown key{'s' * (len(names) > 1)} {alternatives(names, 'and')}; expected one of {', '.join(known)}"


def _rest(paths: Sequence[Path]) -> list[str]:
    return [f"{len(paths) - _MOST_NAMED:,} more"] if len(paths) > _MOST_NAMED else []


def _hint(kind: type[BaseModel], path: Path, inside: str) -> str:
    """What an unknown key may have been meant to be: another tool's name for a key of its group, a slip, or a key of another."""
    name = str(path[-1])
    foreign = _OURS.get(name.lower().replace("-", "_"), "")
    own = foreign and foreign.rpartition(".")[0] == _key(path[:-1], inside)
    if not own and (near := did_you_mean(name, _fields_at(kind, path[:-1]))):
        return near
    ours = foreign or _elsewhere(kind, name, inside)
    return f" (here it is `{ours}`)" if ours else did_you_mean(name, _fields_at(kind, path[:-1]))


def _missing(paths: Sequence[Path], inside: str) -> str:
    names = [f"'{_key(path, inside)}'" for path in paths[:_MOST_NAMED]] + _rest(paths)
    examples = [f"`{path[-1]}: {_EXAMPLES[str(path[-1])]}`" for path in paths if path[-1] in _EXAMPLES]
    verb = "are" if len(names) > 1 else "is"
    example = f"; for instance {alternatives(examples, 'and')}" if examples else ""
    return f"key{'s' * (len(names) > 1)} {alternatives(names, 'and')} {verb} missing{example}"


def _wrong(kind: type[BaseModel], path: Path, problems: Sequence[ErrorDetails], inside: str) -> str:
    own = [str(problem["ctx"]["error"]) for problem in problems if problem["type"] == "value_error"]
    expected = own[0] if own else describe(_annotation(kind, path))
    value = problems[0]["input"]
    shown = "" if isinstance(value, dict | list | tuple | BaseModel) else f" is {_shown(value)}"
    return f"{_key(path, inside)}{shown}; expected {expected}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def describe(annotation: Any) -> str:
    """A kind of value in words: "a whole number above 0 or null"."""
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    for mark in marks:
        if isinstance(mark, Expected):
            return mark.text
        if isinstance(mark, OneOf):
            return mark.table.names
    short = next((f"{mark.text} or " for mark in marks if isinstance(mark, Short)), "")
    plain = get_args(annotation)[0] if marks else annotation
    if get_origin(plain) in (Union, UnionType):
        return short + alternatives(dict.fromkeys(describe(part) for part in get_args(plain)))
    if get_origin(plain) is Literal:
        return short + alternatives(map(str, get_args(plain)))
    if get_origin(plain) is tuple:
        return f"{short}a list, each {describe(get_args(plain)[0])}"
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        return f"{short}a group of keys"
    return short + {NoneType: "null", bool: "true or false", dict: "a group of keys"}.get(get_origin(plain) or plain, "text")


def _parts(annotation: Any) -> list[Any]:
    """What an annotation may be, without marks and unions."""
    if get_origin(annotation) is Annotated:
        return _parts(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for choice in get_args(annotation) for part in _parts(choice)]
    return [annotation]


def _annotation(kind: Any, path: Path) -> Any:
    """The annotation of what lies at a path."""
    for key in path:
        inner = kind
        for part in _parts(kind):
            if isinstance(part, type) and issubclass(part, BaseModel) and key in part.model_fields:
                inner = get_type_hints(part, include_extras=True)[str(key)]
            elif get_origin(part) is tuple and isinstance(key, int):
                inner = get_args(part)[0]
            elif get_origin(part) is dict:
                inner = get_args(part)[1]
        kind = inner
    return kind


def groups_of(annotation: Any) -> list[type[BaseModel]]:
    """The groups of keys that a value may be, those in its lists included."""
    groups = []
    for part in _parts(annotation):
        if isinstance(part, type) and issubclass(part, BaseModel):
            groups.append(part)
        elif get_origin(part) is tuple:
            groups += groups_of(get_args(part)[0])
    return groups


def _fields_at(kind: type[BaseModel], path: Path) -> list[str]:
    return [name for group in groups_of(_annotation(kind, path)) for name in group.model_fields]


def _elsewhere(kind: type[BaseModel], name: str, inside: str) -> str:
    """Where a key belongs that stands in the wrong group; empty where there is no such place, or its name says too little."""
    if name in ("name", "layout", "size", "by", "after"):
        return ""
    for field, annotation in get_type_hints(kind, include_extras=True).items():
        if field not in kind.model_fields:
            continue
        key = f"{inside}.{field}" if inside else field
        if field == name:
            return key
        for group in groups_of(annotation):
            if below := _elsewhere(group, name, key):
                return below
    return ""
