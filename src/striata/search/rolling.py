"""A search: trials train in rolling stacks, the weak ones end at rungs, and new ones take their places."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from itertools import accumulate

from optuna.trial import FrozenTrial, TrialState

from ..choices import BASELINES, RANKINGS
from ..errors import StriataError, StudyError
from ..runs import Member, Run, StudyFolder
from ..study.stack_folder import SEARCH, StackFolder
from ..study.stacks import Context, leaving_nothing_new, listening, train_together
from ..study.work import Work
from ..training.events import Listener, note
from ..training.loop import Outcome
from ..training.state import Trainee
from .halving import rungs, weak
from .propose import propose, trial_name
from .record import Record, open_record, share_record
from .space import Space

PRUNED = "pruned"
_STACK = "stack"  # attribute of a trial: which stack trains it


def train_search(work: Work, name: str, listen: Listener, trackers: Sequence[str], device: str) -> None:
    """Trains one rolling stack of a study's search: its trials that are not finished, then new ones; each becomes a run.

    Where the search has several stacks, other processes train the others meanwhile: all propose from, and are judged by, what all
    have come to. The arguments are those of :func:`striata.steps.train_stacks`, for one stack.

    Raises:
        BusyError: another process trains the stack, or the search alone.
        StudyError: the search's record is another's.
        StriataError: the record, the checkpoint, the encoder or the folder is wrong.
        KeyboardInterrupt: after Ctrl-C, with everything saved.
    """
    study, splits, folder = work.prepared.study, work.prepared.splits, work.folder
    space = Space.of(study, len(splits.labels))
    stack = StackFolder(folder.stacks / name)
    if len(work.stacks) > 1:
        share_record(folder)
    with leaving_nothing_new(work, [name]), stack.held(), contextlib.closing(open_record(folder, study)) as record:
        search = _Search(space, record, folder, stack, len(splits.train), listen)
        held = search.resume()
        together = held or search.recruit(0)
        if not together:
            note(listen, f"all {len(record.trials())} trials are finished in {folder.path}; nothing to train")
        else:
            if held:
                note(listen, f"going on with {', '.join(member.name for member in held)}")
            context = Context.load(work, head=together[0].plan.head, device=device)
            with listening(context, listen, trackers) as both:
                train_together(
                    context, together, stack.checkpoint, both, ended=search.ended, judge=search.judge, recruit=search.recruit
                )
        stack.remove()


class _Search:
    """Decides who trains in a stack: reads and writes the record, and nothing but the record decides.

    In one stack all decisions are repeatable: a process that goes on from the last checkpoint trains the same steps, reports the
    same values and comes to the same verdicts and proposals; what the killed process had already written is found and used. With
    several they also rest on how far the others were; then, too, what is on disk holds.
    """

    def __init__(
        self, space: Space, record: Record, folder: StudyFolder, stack: StackFolder, rows: int, listen: Listener
    ) -> None:
        self.space, self.record, self.folder, self.stack, self.listen = space, record, folder, stack, listen
        self.entered: set[str] = set()
        self.recipe, prune = space.study.recipe, space.settings.prune
        recipe = self.recipe
        evaluations = -(-recipe.steps(rows) // recipe.evaluate_every)
        places = [] if prune is None else rungs(after=prune.after, reduction=prune.reduction, evaluations=evaluations)
        self.rungs = {at * recipe.evaluate_every for at in places}
        self.numbers: dict[str, int] = {}
        self.ends: dict[str, int | None] = {}  # of members of the checkpoint that have runs: the rung at which they ended

    def resume(self) -> list[Member]:
        """Brings record, runs and checkpoint together; returns the members that the checkpoint holds, in its order.

        Raises:
            StudyError: they are not of one search.
            RunError: a run or the checkpoint is damaged.
        """
        before = self.record.trials()  # other processes may write meanwhile: a trial, then its run, then how it ended
        runs, failed = {run.name: run for run in self.folder.runs()}, self.folder.failed()
        trials = {trial_name(trial.number): trial for trial in self.record.trials()}
        for name, run in runs.items():
            run.check()
            if run.kind in BASELINES:
                continue
            if name not in trials or not self._is_of(run, trials[name]):
                raise StudyError(
                    f"run {name} is no trial of {self.record.path}; restore that file from a copy, or choose another `output`"
                )
        held = self._held(trials)
        names = {member.name for member in held}
        self.ends = {name: runs[name].facts.steps if runs[name].facts.stopped == PRUNED else None for name in names & set(runs)}
        for name in (trial_name(t.number) for t in before if t.state in (TrialState.COMPLETE, TrialState.PRUNED)):
            if name not in runs:
                raise StudyError(
                    f"{name} is finished in {self.record.path}, but its run is gone; restore {self.folder.run_folder(name)}, "
                    "or choose another `output`"
                )
        for name, trial in trials.items():
            if trial.state.is_finished() or name in names or not self._owns(trial):
                continue
            if name in runs:
                run = runs[name]
                self.record.tell(trial.number, stopped=run.facts.stopped, merit=self.recipe.merit(run.metrics))
            elif name in failed:
                self.record.tell(trial.number, stopped=failed[name], merit=None)
        return held

    def _is_of(self, run: Run, trial: FrozenTrial) -> bool:
        """Whether a run is what the record says of its trial: plan, recipe and, once it is through, figures."""
        try:
            member = self.space.member(run.name, trial.params)
        except (StriataError, LookupError, ValueError, TypeError):  # parameters that the space never had
            return False
        if member.identity != run.identity or trial.user_attrs.get("plan") != run.facts.plan_hash:
            return False
        if not trial.state.is_finished():
            return True
        name = f"validation_{self.recipe.best_by}"
        entries = [(int(entry["step"] or 0), entry.get(name)) for entry in run.history()]
        merit = RANKINGS[self.recipe.best_by].merit
        measured = {step: merit(value) for step, value in entries if value is not None}
        best = dict(zip(measured, accumulate(measured.values(), max), strict=True))
        pruned = run.facts.stopped == PRUNED
        state = TrialState.PRUNED if pruned else TrialState.COMPLETE
        last = best[max(best)] if pruned else self.recipe.merit(run.metrics)
        return trial.state == state and trial.value == last and trial.intermediate_values == best

    def _owns(self, trial: FrozenTrial) -> bool:
        return bool(trial.user_attrs.get(_STACK, SEARCH) == self.stack.name)

    def _held(self, trials: Mapping[str, FrozenTrial]) -> list[Member]:
        checkpoint, states = self.stack.checkpoint, self.stack.states()
        if not states:
            return []
        names = [state.name for state in states]
        if any(n not in trials or trials[n].user_attrs["plan"] != s.plan for n, s in zip(names, states, strict=True)):
            raise StudyError(f"checkpoint {checkpoint} belongs to another search; delete it to start its trials anew")
        through = all(trial.state.is_finished() for trial in trials.values() if self._owns(trial))
        if through and len(trials) >= self.space.settings.trials:
            checkpoint.unlink()  # the process before this one ended between its last run and this
            return []
        return [self._enter(trials[name]) for name in names]

    def _enter(self, trial: FrozenTrial) -> Member:
        member = self.space.member(trial_name(trial.number), trial.params)
        self.entered.add(member.name)
        self.numbers[member.name] = trial.number
        return member

    def recruit(self, left: int) -> list[Member]:
        """Members for the free places: first trials that were proposed but are in no checkpoint, then new proposals."""
        free = self.space.settings.generation - left
        running = (trial for trial in self.record.trials() if trial.state == TrialState.RUNNING and self._owns(trial))
        taken = [trial for trial in running if trial_name(trial.number) not in self.entered][:free]
        if len(taken) < free:
            with self.record.alone():
                taken += self._propose(free - len(taken))
        members = [self._enter(trial) for trial in taken]
        for member in members:
            rate = f"learning rate {member.recipe.learning_rate:g}"
            note(self.listen, f"{member.name}  {member.plan.trainable:,} trainable  {rate}  {member.plan.text}")
        return members

    def _propose(self, count: int) -> list[FrozenTrial]:
        trials, new = self.record.trials(), list[FrozenTrial]()
        while len(new) < count and len(trials) < self.space.settings.trials:
            proposal = propose(self.space, trials)
            if proposal is None:
                note(self.listen, f"nothing new turns up after {len(trials)} trials: the space is used up, or nearly")
                break
            proposal.set_user_attr(_STACK, self.stack.name)
            new.append(self.record.add(proposal))
            trials = self.record.trials()
        return new

    def judge(self, due: Sequence[Trainee]) -> dict[str, str]:
        """The members just evaluated that are too weak to go on: all are reported before any is judged."""
        for t in due:
            assert t.best is not None
            self.record.report(self.numbers[t.member.name], t.step, self.recipe.merit(t.best.scores))
        prune = self.space.settings.prune
        verdicts: dict[str, str] = {}
        if prune is None:
            return verdicts
        trials = self.record.trials()
        for step in {t.step for t in due} & self.rungs:
            seen = {t.number: t.intermediate_values[step] for t in trials if step in t.intermediate_values}
            here = [t.member.name for t in due if t.step == step]
            ends = weak([seen[self.numbers[name]] for name in here], seen.values(), prune.reduction)
            weakest = {name for name, end in zip(here, ends, strict=True) if end}
            verdicts |= {name: PRUNED for name in here if (self.ends[name] == step if name in self.ends else name in weakest)}
        return verdicts

    def ended(self, outcome: Outcome) -> None:
        """Writes into the record how a member ended; its run is on disk already."""
        name, best, by = outcome.member.name, outcome.best, self.recipe.best_by
        merit = None if best is None else self.recipe.merit(best.scores)
        self.record.tell(self.numbers[name], stopped=outcome.stopped, merit=merit)
        if best is not None:
            how = PRUNED if outcome.stopped == PRUNED else f"ended ({outcome.stopped})"
            note(self.listen, f"{name}  {how} at step {outcome.steps}, validation {by} {best.scores[by]:.4f}")
