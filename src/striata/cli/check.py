"""`striata check`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import StudyError
from .hours import Failures, Gpus, Machines, Price, Rows, Speed, duration, job_of, show_hours
from .options import Json, Settings, StudyFile

if TYPE_CHECKING:
    from ..evidence import Foresight
    from ..runs import Member, StudyFolder
    from ..scale.cost import Job
    from ..search import Space
    from ..settings import Recipe, Study
    from ..study import Prepared
    from ..study.adaptation import Adaptation

_MATRIX = 1024


def check(
    study: StudyFile,
    settings: Settings = None,
    like: Annotated[Path | None, typer.Option(help="Folder of a finished study: foresee with the noise measured there.")] = None,
    machines: Machines = None,
    gpus: Gpus = 0,
    speed: Speed = None,
    price: Price = 0.0,
    failures: Failures = 0.0,
    rows: Rows = None,
    as_json: Json = False,
) -> None:
    """Validate a study and its data, and show members, plans and cost, without training.

    With --machines also the hours and the money that it takes on several of them, with failures that cost the steps since the
    last checkpoint.

    Example: striata check study.yaml
    """
    from ..runs import StudyFolder
    from ..scale.cost import foresee as foresee_hours
    from ..search import Space
    from ..study import advise, check_output, plan_members, prepare
    from ..study.adaptation_texts import find_adaptation
    from .inputs import open_study
    from .output import print_json

    spec = open_study(study, settings or [])
    earlier = None if like is None else StudyFolder.open(like)
    check_output(spec)
    prepared = prepare(spec)
    spec = prepared.study
    members = plan_members(spec, len(prepared.splits.labels))
    if like is not None and not members:
        raise StudyError(f"--like {like}: {study} has no layouts to compare, only a search; leave --like out")
    foreseen = _foreseen(members, prepared, earlier)
    adaptation = find_adaptation(prepared)
    space = None if spec.search is None else Space.of(spec, len(prepared.splits.labels))
    costs = _costs(spec, members, prepared, rows)
    job = None
    if machines is not None:
        job = _job(spec, members, costs, machines=machines, gpus=gpus, speed=speed, price=price, failures=failures)
    if as_json:
        print_json(
            {
                "study": spec.to_dict(),
                "audit": prepared.audit.to_json(),
                "members": [_document(member, prepared) for member in members],
                "advice": advise(prepared, members),
                "resolves": None if foreseen is None else foreseen.to_json(),
                "search": None if space is None else space.to_json() | {"cost": costs},
                "adaptation": None if adaptation is None else adaptation.to_json(),
                "machines": None if job is None else foresee_hours(job).to_json(),
            }
        )
        return
    _show(prepared, members, space, costs, adaptation)
    if job is not None:
        show_hours(job, foresee_hours(job))
    if foreseen is not None:
        show_foresight(foreseen)


def _foreseen(members: Sequence[Member], prepared: Prepared, earlier: StudyFolder | None) -> Foresight | None:
    """What the members can be told apart by, with the noise of an earlier study; of numbers nothing is known before."""
    from ..evidence import foresee, measured_noise
    from ..tasks import check_labels

    if earlier is not None:
        check_labels(prepared.splits.task, "--like", StudyError)
    if not members or prepared.splits.task.numeric:
        return None
    noise = None if earlier is None else measured_noise(earlier)
    return foresee(members, len(prepared.splits.validation), noise=noise)


def _show(
    prepared: Prepared, members: tuple[Member, ...], space: Space | None, costs: Mapping[str, int], adaptation: Adaptation | None
) -> None:
    """Prints what a study is, and what it costs."""
    from ..study import advise, baseline_lines, shared_plans
    from .output import note, say

    spec = prepared.study
    for line in (*prepared.audit.lines(), ""):
        say(line)
    if space is not None:
        show_space(space)
    if members:
        show_members(members)
    for line in baseline_lines(prepared):
        say(line)
    for line in adaptation.lines() if adaptation is not None else ():
        say(line)
    for line in (*spec.places.remarks, *shared_plans(members), *advise(prepared, members)):
        note(line)
    say()
    show_costs(costs, "all members" if space is None else f"{space.settings.trials} trials, if none is pruned")
    if members:
        alone = {(member.plan.hash, member.seed) for member in members if member.adapt is not None}
        adapting = 0 if adaptation is None else adaptation.tokens * len(alone)
        tokens = 3 * (costs["training_tokens"] + adapting) + costs["validation_tokens"]  # a step costs about three forward passes
        say(f"time: about {duration(tokens * seconds_a_token(spec.base))} on this machine's CPU, by its speed at matrix products")


def _job(study: Study, members: Sequence[Member], costs: Mapping[str, int], *, speed: float | None, **places: Any) -> Job:
    """What `--machines` asks for."""
    if not members:
        raise StudyError("--machines: the study has no members to deal out, only baselines or a search; leave it out")
    evaluations = costs["steps"] // len(members) // study.recipe.evaluate_every
    return job_of(members, costs, evaluations=evaluations, speed=speed or 1 / seconds_a_token(study.base), **places)


def show_costs(costs: Mapping[str, int], over: str) -> None:
    """Prints the tokens that training and validation cost at most; nothing where there is no training.

    Args:
        costs: `training_tokens` and `validation_tokens`.
        over: what they are the sum of.
    """
    from .output import note, say

    trained, validated = costs["training_tokens"], costs["validation_tokens"]
    if not trained:  # baselines alone
        return
    say(f"cost: up to {trained:,} tokens of training and {validated:,} of validation, over {over}")
    if validated > 2 * trained:
        note("validation costs more than training; lower recipe.validation_rows (what is kept is always measured on all rows)")


def seconds_a_token(base: str) -> float:
    """Seconds a token takes through an encoder, forward, from the time of a large product of matrices.

    Args:
        base: the encoder.
    """
    import numpy as np

    from ..layout import shape_of

    shape = shape_of(base)
    layers = int(shape.config.get("num_hidden_layers") or shape.depth)
    products = 2 * layers * sum(into * out for into, out in map(shape.sizes, shape.family.targets))
    matrix = np.ones((_MATRIX, _MATRIX), np.float32)
    matrix @ matrix
    begin = time.perf_counter()
    matrix @ matrix
    return products * (time.perf_counter() - begin) / (2 * _MATRIX**3)


def show_foresight(foreseen: Foresight) -> None:
    """Prints which differences a study can tell apart, and what that rests on."""
    from .output import note, say

    result, *remarks = foreseen.lines()
    say(result)
    for remark in remarks:
        note(remark)


def show_members(members: tuple[Member, ...]) -> None:
    """Prints the members of a study with their totals, and the sections of each plan once."""
    from .output import note, say, table

    rows = []
    for member in members:
        plan = member.plan
        share = "-" if plan.budget is None else f"{plan.trainable / plan.budget:.1%}"
        rows.append((member.name, plan.hash[:8], f"{plan.trainable:,}", f"{plan.lora:,}", f"{plan.head.parameters:,}", share))
    table(["member", "plan", "trainable", "LoRA", "head", "of budget"], rows)
    say()
    sections = dict.fromkeys((member.plan.hash[:8], member.plan.text) for member in members)
    table(["plan", "sections"], list(sections), fold="sections")
    for remark in dict.fromkeys(remark for member in members for remark in member.plan.notes):
        note(remark)


def show_space(space: Space) -> None:
    """Prints what a search may propose."""
    from .output import note, say

    settings = space.settings
    rate, prune = settings.learning_rate, settings.prune
    least, most = settings.sections
    say(f"search: {settings.trials} trials, {settings.generation} at a time, from seed {settings.seed}")
    say(f"  sections       {least} to {most} over {space.shape.depth} layers, every border")
    say(f"  ranks          {', '.join(map(str, sorted(settings.ranks)))}; alpha {settings.alpha}")
    say(f"  targets        {', or '.join(' '.join(targets) for targets in settings.targets)}")
    say(f"  dropout        {settings.dropout[0]:g} to {settings.dropout[1]:g} by section")
    say(f"  learning rate  {'as in the recipe' if rate is None else f'{rate[0]:g} to {rate[1]:g}'}")
    say(
        "  pruning        none"
        if prune is None
        else f"  pruning        the best 1 in {prune.reduction} goes on, after {prune.after} evaluation(s), "
        f"{prune.after * prune.reduction}, {prune.after * prune.reduction**2}, ..."
    )
    say(f"  size           at most {space.size:,} layouts" + ("" if space.finite else " before dropout and learning rate"))
    if space.study.budget is not None:
        say(f"  budget         {space.study.budget:,}; a proposal above it gets the largest ranks of its shape that fit")
    if space.finite and space.size < settings.trials:
        note(f"there are fewer layouts than trials; the search ends when all {space.size} are trained")
    if space.study.layouts:
        say()
        say("it begins with these layouts:")


def _document(member: Member, prepared: Prepared) -> dict[str, object]:
    """A member in the JSON of the command."""
    plan = member.plan.to_json()
    return {
        "name": member.name, "seed": member.seed, "aliases": member.aliases, "plan": plan, "cost": _cost(member.recipe, prepared),
    }  # fmt: skip


def _costs(study: Study, members: Sequence[Member], prepared: Prepared, rows: int | None = None) -> dict[str, int]:
    """What all members, or all trials of a search, cost at most; with another number of training rows if it is said."""
    recipes = [study.recipe] * study.search.trials if study.search is not None else [member.recipe for member in members]
    if not recipes:
        return dict.fromkeys(("steps", "training_tokens", "validation_tokens"), 0)
    costs = [_cost(recipe, prepared, rows) for recipe in recipes]
    total = {key: sum(cost[key] for cost in costs) for key in costs[0]}
    if study.race is None:
        return total
    from ..study.members import twins
    from ..study.race import Race

    steps, race = costs[0]["steps"], Race(study.race, [member.name for member in members], twins(members))
    share = race.total(steps) / (steps * race.size)
    return {key: round(share * value) for key, value in total.items()}


def _cost(recipe: Recipe, prepared: Prepared, training_rows: int | None = None) -> dict[str, int]:
    """Steps, and tokens that pass through the encoder at most."""
    steps = recipe.steps(training_rows or len(prepared.splits.train))
    lengths = {name: float(prepared.encoded[name].lengths.mean()) for name in ("train", "validation")}
    whole = len(prepared.splits.validation)
    rows = whole if recipe.validation_rows == "all" else min(whole, recipe.validation_rows)
    evaluations = -(-steps // recipe.evaluate_every)
    final = 0 if rows == whole else whole
    return {
        "steps": steps,
        "training_tokens": round(steps * recipe.batch_size * lengths["train"]),
        "validation_tokens": round((evaluations * rows + final) * lengths["validation"]),
    }
