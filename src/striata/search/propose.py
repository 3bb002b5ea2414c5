"""What to train next: a function of the trials so far and the search's seed, and of nothing else."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..runs import Member
from .space import Space

_ATTEMPTS = 200
_BY_CHANCE = 10  # attempts after which proposals are drawn evenly, because the sampler keeps to what is known


def trial_name(number: int) -> str:
    """A trial's run, by Optuna's number of it."""
    return f"trial-{number:04}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Optuna without its remarks on every study, and without the note that grouped sampling is experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _sampler(seed: int, number: int, attempt: int) -> optuna.samplers.BaseSampler:
    """Seeded anew for each proposal, so that what was drawn before it in this process does not matter.

    Tree-structured Parzen estimators (Bergstra et al. 2011), jointly over the parameters that exist together, because ranks,
    borders and learning rate act together; trials under way count as bad, so that a generation does not crowd in one place.
    """
    mixed = int(np.random.SeedSequence([seed, number, attempt]).generate_state(1)[0])
    if attempt >= _BY_CHANCE:
        return optuna.samplers.RandomSampler(seed=mixed)
    return optuna.samplers.TPESampler(seed=mixed, multivariate=True, group=True, constant_liar=True)


def propose(space: Space, before: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The next trial, with all of its parameters; its plan and recipe are none that was proposed before.

    Args:
        space: what may be proposed; its starting points come first.
        before: all trials so far, by number.

    Returns:
        A trial under way that is in no study yet; None when nothing new turns up.
    """
    taken = {(trial.user_attrs["plan"], trial.user_attrs["learning_rate"]) for trial in before}
    name = trial_name(len(before))
    with quiet():
        memory = optuna.create_study(direction="maximize")
        memory.add_trials([_learned(trial) for trial in before])
        begun = {trial.user_attrs.get("start") for trial in before}
        for spec, values in space.starts().items():
            if spec not in begun and _key(space.member(name, values)) not in taken:
                memory.enqueue_trial(values)
                return _proposal(space, memory, name, {"start": spec})[0]
        for attempt in range(_ATTEMPTS):
            memory.sampler = _sampler(space.settings.seed, len(before), attempt)
            trial, key = _proposal(space, memory, name, {})
            if key not in taken:
                return trial
    return None


def _learned(trial: FrozenTrial) -> FrozenTrial:
    """What the sampler is to make of a trial: one that failed was the worst, which Optuna by itself would forget."""
    if trial.state != TrialState.FAIL:
        return trial
    return create_trial(state=TrialState.PRUNED, params=trial.params, distributions=trial.distributions)


def _proposal(space: Space, memory: optuna.Study, name: str, facts: dict[str, Any]) -> tuple[FrozenTrial, tuple[str, float]]:
    trial = memory.ask()
    space.suggest(trial)
    member = space.member(name, trial.params)
    facts |= {"plan": member.plan.hash, "layout": member.plan.text, "trainable": member.plan.trainable}
    facts |= {"learning_rate": member.recipe.learning_rate, "asked": member.plan.layout}
    memory.tell(trial, state=TrialState.FAIL)  # in memory only: the sampler passes over it if it is asked again
    made = create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions, user_attrs=facts)
    return made, _key(member)


def _key(member: Member) -> tuple[str, float]:
    """What two trials share when they would train the same thing."""
    return member.plan.hash, member.recipe.learning_rate
