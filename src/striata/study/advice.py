"""What a study does that may not be what was meant, in sentences: no errors, for each of them may be on purpose."""

from __future__ import annotations

from collections.abc import Sequence

from ..baselines import BASELINES
from ..layout import shape_of
from ..runs import Member
from ..settings import Recipe
from ..settings.file import Study
from .automatic import usual_rate
from .preparation import Prepared

_PASSES = 20  # over the training rows; more teach a small data set by heart
_CUT = 0.5  # share of texts cut at max_length
_ODD = 10  # times the usual learning rate, or a tenth of it
_LION = 3  # AdamW's rate over Lion's, at least (Chen et al. 2023)
_SMALLEST = 128  # hidden size of encoders for which a usual rate is known
_ROWS = 50  # validation rows below which one row moves the accuracy by more than 2 %


def advise(prepared: Prepared, members: Sequence[Member]) -> list[str]:
    """Sentences on settings that do nothing, or not what they seem to; empty when there is nothing to say.

    Args:
        prepared: the study and its data.
        members: all of its members; none for a search, whose trials share the study's recipe.
    """
    return [*_on_recipes(prepared.study, members, len(prepared.splits.train)), *_on_data(prepared)]


def _on_recipes(study: Study, members: Sequence[Member], rows: int) -> list[str]:
    """Of the recipe that all share, or of the members whose own it is."""
    recipes = {member.title: member.recipe for member in members}
    if study.search is not None:
        recipes = {"": study.recipe}
    titles: dict[str, list[str]] = {}
    for title, recipe in recipes.items():
        for sentence in (*_on_recipe(recipe, rows), *_on_rate(study, recipe)):
            titles.setdefault(sentence, []).append(title)
    return [
        sentence if len(of) == len(recipes) else f"{of[0]}{f' and {len(of) - 1} more' if len(of) > 1 else ''}: {sentence}"
        for sentence, of in titles.items()
    ]


def _on_recipe(recipe: Recipe, rows: int) -> list[str]:
    sentences = []
    steps = recipe.steps(rows)
    per_pass = -(-rows // recipe.batch_size)
    if steps > _PASSES * per_pass:
        unless = "" if recipe.patience is None else ", unless patience ends it earlier"
        sentences.append(
            f"{steps:,} steps are {steps / per_pass:.0f} passes over the {rows:,} training rows{unless}; a model may learn so "
            "few rows by heart; lower recipe.max_steps, or set recipe.epochs"
        )
    if recipe.evaluate_every > steps:
        sentences.append(
            f"recipe.evaluate_every is {recipe.evaluate_every:,}, but training ends after {steps:,} steps: the only evaluation "
            "is the one at the end, so that there is no best checkpoint to choose and patience does nothing; lower it"
        )
    if recipe.warmup_steps(rows) >= steps > 1:
        sentences.append(
            f"the warmup of {recipe.warmup_steps(rows):,} steps is not over when training ends after {steps:,}: the learning "
            f"rate {recipe.learning_rate:g} is never reached; lower recipe.warmup"
        )
    return sentences


def _on_rate(study: Study, recipe: Recipe) -> list[str]:
    """Of a learning rate far from the usual for adapters on such an encoder; in a race others are tried beside it."""
    hidden = shape_of(study.base).hidden
    if study.race is not None or recipe.optimizer.name == "sgd" or hidden < _SMALLEST:
        return []
    usual = usual_rate(hidden) / (_LION if recipe.optimizer.name == "lion" else 1)
    rate = recipe.learning_rate
    if usual / _ODD < rate * (1 - 1e-9) and rate < usual * _ODD:
        return []
    effect = "a member may hardly learn" if rate < usual else "a loss may grow without end"
    return [
        f"recipe.learning_rate {rate:g} is far from {usual:.1g}, which is usual for {recipe.optimizer.name} with adapters on an "
        f"encoder of this size: {effect}; `recipe: auto` lets rates race"
    ]


def _is_read_by_encoder(study: Study) -> bool:
    """Whether anything that is fitted reads tokens, which are cut, and not words alone."""
    return bool(study.layouts or study.search) or any(BASELINES[kind].embedded for kind in study.baselines.kinds)


def _on_data(prepared: Prepared) -> list[str]:
    sentences = []
    audit, rows = prepared.audit, len(prepared.splits.validation)
    train = audit.parts["train"]
    if _is_read_by_encoder(prepared.study) and train.truncated > _CUT * train.rows:
        sentences.append(
            f"{train.truncated / train.rows:.0%} of the training texts are cut at data.max_length {audit.max_length} (half of "
            f"all have more than {train.tokens['median']:.0f} tokens, 5 % more than {train.tokens['p95']:.0f}); raise it as far "
            "as the encoder and the time allow"
        )
    if rows < _ROWS:
        moves = (
            "one far off moves the RMSE" if prepared.splits.task.numeric else f"a single one moves the accuracy by {1 / rows:.1%}"
        )
        sentences.append(f"there are {rows} validation rows: {moves}; hold out more")
    for name, part in audit.parts.items():
        missing = [label for label, count in part.labels.items() if not count]
        if missing and name != "train":
            shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            sentences.append(f"{name} has no row of {shown}: nothing is measured there of what the model makes of them")
    return sentences
