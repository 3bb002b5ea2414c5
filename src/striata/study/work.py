"""What remains of a study to be trained, dealt into stacks that any process may train, each by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..baselines import BASELINES
from ..data.audit import write_audit
from ..disk.locks import HeldError, holding, is_held
from ..errors import StudyError, did_you_mean
from ..runs import Member, StudyFolder
from ..runs.study_folder import FAILED
from ..training.events import Listener, note
from .adaptation_texts import check_same_texts
from .advice import advise
from .claim import open_study_folder, unfinished
from .members import plan_members, shared_plans
from .preparation import Prepared
from .stack_folder import SEARCH, StackFolder, remove_empty, stack_folders


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What remains of a study to be trained.

    Args:
        prepared: the study and its data.
        folder: of the study.
        members: all members of the study, finished or not; none for a search, which proposes them while it runs.
        stacks: names of the stacks to train, those that were interrupted first; none when all is finished.
        new: whether the folder was made for it.
    """

    prepared: Prepared
    folder: StudyFolder
    members: tuple[Member, ...]
    stacks: tuple[str, ...]
    new: bool

    def chosen(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The stacks of these names, or all that remain.

        Raises:
            StudyError: one of them does not.
        """
        for name in names or ():
            if name not in self.stacks:
                known = ", ".join(self.stacks) or "none, as all members are finished"
                near = did_you_mean(name, self.stacks)
                raise StudyError(f"no stack '{name}' remains to be trained{near}; expected one of {known}")
        return self.stacks if names is None else tuple(names)


def plan_work(prepared: Prepared, *, stacks: int | None = None, listen: Listener, known: bool = False) -> Work:
    """Claims a study's folder and deals the members that have neither a run nor a recorded failure into stacks.

    A stack that was interrupted stays as it is, with the neighbours it had. The others are written down in the study's folder
    (`stacks/NAME/stack.json`), so that several processes that plan the same study with the same number of stacks, one after
    the other or while others train, find the same stacks.

    Args:
        prepared: the study and its data, from :func:`striata.study.prepare`.
        stacks: into how many stacks to deal what is in none yet; None for one stack, trained by a single process: then a
            stack that another process trains at this moment is an error, and one that was planned but never began is
            planned anew. A search has so many, and those that were begun.
        listen: told in notes what the data and the members are.
        known: whether it was told of the data before.

    Raises:
        StudyError: another study wrote the folder, it was trained on other rows, or another process trains in it.
        RunError: a run or a checkpoint is damaged.
        StriataError: a layout cannot be planned, or the folder cannot be written.
    """
    study = prepared.study
    if stacks is not None and stacks < 1:
        raise StudyError(f"{stacks} stacks were asked for; expected at least 1")
    members = () if study.search is not None else plan_members(study, len(prepared.splits.labels))
    with open_study_folder(study, prepared.splits.fingerprint, prepared.tokenizer_sha256) as (folder, new):
        data = () if known else (*prepared.audit.lines(), "", *baseline_lines(prepared))
        for line in (
            *data,
            *(member_lines(members) if members else ()),
            *advise(prepared, members),
            *folder.strays(),
        ):
            note(listen, line)
        write_audit(folder.path, prepared.audit)
        if study.search is not None:
            names = _rolling(folder, stacks)
        else:
            pending = unfinished(folder, members)
            if pending and prepared.adaptation is not None:
                check_same_texts(prepared.adaptation, folder.path)
                for line in () if known else prepared.adaptation.lines():
                    note(listen, line)
            names = _deal(folder, members, pending, stacks)
            if members and not names:
                note(listen, _nothing_to_train(folder, members))
    return Work(prepared=prepared, folder=folder, members=members, stacks=names, new=new)


def _rolling(folder: StudyFolder, count: int | None) -> tuple[str, ...]:
    """Names of a search's stacks: so many, and those that other processes had begun."""
    names = [SEARCH, *(f"{SEARCH}-{number}" for number in range(2, (count or 1) + 1))]
    begun = [stack for stack in stack_folders(folder) if stack.name.startswith(SEARCH)]
    for stack in begun if count is None else ():
        if is_held(stack.lock):
            raise stack.busy()
    return tuple(dict.fromkeys([*names, *(stack.name for stack in begun)]))


def _nothing_to_train(folder: StudyFolder, members: Sequence[Member]) -> str:
    failed = [member.name for member in members if member.name in folder.failed()]
    if not failed:
        return f"all {len(members)} members are finished in {folder.path}; nothing to train"
    return (
        f"nothing to train in {folder.path}: {len(members) - len(failed)} of {len(members)} members are finished, "
        f"{', '.join(failed)} failed; to try one again, delete its file in {folder.path / FAILED}"
    )


def _deal(folder: StudyFolder, members: Sequence[Member], pending: Sequence[Member], count: int | None) -> tuple[str, ...]:
    """Names of the stacks that remain: those that had begun, those planned before, then new ones for members in none of them."""
    remove_empty(folder.stacks)  # a process may have been killed when its last stack had gone; here nobody makes one meanwhile
    by_name = {member.name: member for member in members}
    place = {member.name: at for at, member in enumerate(members)}
    free = {member.name for member in pending}
    begun: list[str] = []
    waiting: dict[str, int] = {}  # with the place of their first member
    for stack in stack_folders(folder):
        try:
            with holding(stack.lock):
                resumed = {member.name for member in stack.resumed(by_name)}
                planned = set(stack.members()) if stack.is_planned and count is not None else set()
                if resumed & free:
                    begun.append(stack.name)
                elif planned and not resumed and planned <= free:
                    waiting[stack.name] = min(place[name] for name in planned)
                else:  # the process before this one ended between its last run and this, or it is to be planned anew
                    stack.remove()
                    continue
                free -= resumed | planned
        except HeldError:
            if count is None:
                raise stack.busy() from None
            free -= set(stack.members()) if stack.is_planned else set()
    rest = [member for member in pending if member.name in free]
    size = -(-len(rest) // (count or 1)) or 1
    for at in range(0, len(rest), size):
        waiting[StackFolder.new(folder, rest[at : at + size]).name] = place[rest[at].name]
    return (*begun, *sorted(waiting, key=waiting.__getitem__))


def baseline_lines(prepared: Prepared) -> list[str]:
    """Which baselines are fitted before anything is trained, in a sentence; nothing where there are none."""
    study, rows = prepared.study, len(prepared.splits.train)
    kinds = [kind for kind in study.baselines.kinds if study.has_encoder or not BASELINES[kind].embedded]
    if not kinds:
        return []
    most = study.baselines.embedded_rows
    embedded = f"; {most:,} of {rows:,} training rows are embedded for them" if most is not None and most < rows else ""
    return [f"baselines, fitted first: {', '.join(kinds)}{embedded}"]


def member_lines(members: Sequence[Member]) -> list[str]:
    """The members of a study as a table with their totals, and what is to be said of their plans."""
    width = max(len(member.name) for member in members)
    lines = [f"{'member':{width}}  {'trainable':>11}  {'LoRA':>9}  {'head':>9}  budget  sections"]
    for member in members:
        plan = member.plan
        share = "" if plan.budget is None else f"{plan.trainable / plan.budget:.1%}"
        totals = f"{plan.trainable:>11,}  {plan.lora:>9,}  {plan.head.parameters:>9,}  {share:>6}"
        lines.append(f"{member.name:{width}}  {totals}  {plan.text}")
    lines += dict.fromkeys(remark for member in members for remark in member.plan.notes)
    return [*lines, *shared_plans(members), ""]
