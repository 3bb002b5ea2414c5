"""A search: trials train in one rolling stack, the weak ones end at rungs, and new ones take their places."""

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
from .record import FILE, Record
from .space import Space

PRUNED = "pruned"


def train_search(work: Work, names: Sequence[str] | None, listen: Listener, trackers: Sequence[str], device: str) -> None:
    """Trains the trials of a study's search that are not finished yet, in one rolling stack; each becomes a run.

    The arguments are those of :func:`striata.steps.train_stacks`.

    Raises:
        StudyError: another process trains the search, or its record is another's.
        StriataError: the record, the checkpoint, the encoder or the folder is wrong.
        KeyboardInterrupt: after Ctrl-C, with everything saved.
    """
    study, splits, folder = work.prepared.study, work.prepared.splits, work.folder
    space = Space.of(study, len(splits.labels))
    stack = StackFolder(folder.stacks / SEARCH)
    chosen = work.chosen(names)
    if not chosen:
        return
    with (
        leaving_nothing_new(work, chosen),
        stack.held(),
        contextlib.closing(Record(folder.path / FILE, study)) as record,
    ):
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
    """Decides who trains: reads and writes the record, and nothing but the record decides.

    All of its decisions are repeatable: a process that goes on from the last checkpoint trains the same steps, reports the same
    values and comes to the same verdicts and proposals; what the killed process had already written is found and used.
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

    def resume(self) -> list[Member]:
        """Brings record, runs and checkpoint together; returns the members that the checkpoint holds, in its order.

        Raises:
            StudyError: they are not of one search.
            RunError: a run or the checkpoint is damaged.
        """
        trials = {trial_name(trial.number): trial for trial in self.record.trials()}
        runs, failed = {run.name: run for run in self.folder.runs()}, self.folder.failed()
        for name, run in runs.items():
            run.check()
            if run.kind in BASELINES:
                continue
            if name not in trials or not self._is_of(run, trials[name]):
                raise StudyError(
                    f"run {name} is no trial of {self.record.path}; restore that file from a copy, or choose another `output`"
                )
        held = self._held(trials)
        for name, trial in trials.items():
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and name not in runs:
                raise StudyError(
                    f"{name} is finished in {self.record.path}, but its run is gone; restore {self.folder.run_folder(name)}, "
                    "or choose another `output`"
                )
            if trial.state.is_finished() or name in {member.name for member in held}:
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

    def _held(self, trials: Mapping[str, FrozenTrial]) -> list[Member]:
        checkpoint, states = self.stack.checkpoint, self.stack.states()
        if not states:
            return []
        names = [state.name for state in states]
        if any(n not in trials or trials[n].user_attrs["plan"] != s.plan for n, s in zip(names, states, strict=True)):
            raise StudyError(f"checkpoint {checkpoint} belongs to another search; delete it to start its trials anew")
        through = all(trial.state.is_finished() for trial in trials.values())
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
        trials = self.record.trials()
        free = self.space.settings.generation - left
        waiting = [t for t in trials if t.state == TrialState.RUNNING and trial_name(t.number) not in self.entered]
        taken = waiting[:free]
        while len(taken) < free and len(trials) < self.space.settings.trials:
            proposal = propose(self.space, trials)
            if proposal is None:
                note(self.listen, f"nothing new turns up after {len(trials)} trials: the space is used up, or nearly")
                break
            taken.append(self.record.add(proposal))
            trials = self.record.trials()
        members = [self._enter(trial) for trial in taken]
        for member in members:
            rate = f"learning rate {member.recipe.learning_rate:g}"
            note(self.listen, f"{member.name}  {member.plan.trainable:,} trainable  {rate}  {member.plan.text}")
        return members

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
            verdicts |= {name: PRUNED for name, end in zip(here, ends, strict=True) if end}
        return verdicts

    def ended(self, outcome: Outcome) -> None:
        """Writes into the record how a member ended; its run is on disk already."""
        name, best, by = outcome.member.name, outcome.best, self.recipe.best_by
        merit = None if best is None else self.recipe.merit(best.scores)
        self.record.tell(self.numbers[name], stopped=outcome.stopped, merit=merit)
        if best is not None:
            how = PRUNED if outcome.stopped == PRUNED else f"ended ({outcome.stopped})"
            note(self.listen, f"{name}  {how} at step {outcome.steps}, validation {by} {best.scores[by]:.4f}")
