"""A data file to the best model within a time: look, decide, train, combine, say what came out."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..data import Columns
from ..data.table import IN_MEMORY
from ..disk.files import write_text
from ..disk.workplace import sweep
from ..errors import StriataError, StudyError
from ..layout import shape_of
from ..report import write_report
from ..settings import load_study
from ..settings.places import path_in
from ..steps import choose, collect, prepare_study
from ..study import Work, fit_baselines, plan_work
from ..training.events import Event, Listener, doing, nobody, note
from . import speed
from .cascade import write_cascade
from .choices import LEAST_EMBEDDED, REFIT_BELOW, choose_lengths, hold_out
from .clock import Clock
from .history import LOCK, History, alone
from .layouts import choose_layouts
from .overview import Overview, look
from .places import Place, place_of
from .study_text import Adapters, Decision, is_pending, with_adapters, with_embeddings, write_study_text
from .timing import USUAL_SPEED, Costs, Training, embed_more, finishing, share_out
from .verdict import Fitted, judge_fit

STUDY_FILE = "study.yaml"
_MOST_MINUTES = 120  # that are looked at for how long a fit would have to be


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user wants fitted.

    Args:
        source: labelled rows: file, folder or Hub name.
        columns: names of columns that are not called as usual.
        test: labelled rows for the last word, or None.
        base: encoder; "none" for none, None for MiniLM.
        minutes: time in all.
        budget: most trainable parameters of a member, head included; None for no limit.
        output: folder for everything that comes out.
        seed: of held-out rows and members.
    """

    source: str
    columns: Columns = field(default_factory=Columns)
    test: str | None = None
    base: str | None = None
    minutes: float = 5.0
    budget: int | None = 1_000_000
    output: str
    seed: int = 0

    def to_json(self) -> dict[str, object]:
        """All settings but the output; columns by their own names."""
        return {
            "source": self.source,
            **self.columns.to_json(),
            **({} if self.columns.order is None else {"order": list(self.columns.order)}),
            "test": self.test,
            "base": self.base,
            "minutes": self.minutes,
            "budget": self.budget,
            "seed": self.seed,
        }


def default_output(source: str) -> str:
    """`runs/NAME` for a source called NAME with whatever ending; `runs/fit` for rows in memory."""
    if source.startswith(IN_MEMORY):
        return "runs/fit"
    return f"runs/{Path(source).name.split('.')[0] or 'fit'}"


def decide(
    request: Request, overview: Overview, *, seconds_a_token: float = USUAL_SPEED, seconds: float | None = None
) -> Decision:
    """What is fitted.

    Args:
        request: what is wanted.
        overview: of its data and encoder.
        seconds_a_token: that the encoder takes forward on this machine.
        seconds: left; None for all of the request's time.
    """
    left = 60 * request.minutes if seconds is None else seconds
    held = hold_out(overview.rows, len(overview.labels), test_given=request.test is not None, minutes=request.minutes)
    rows = overview.rows - held.validation - held.test

    def costs(length: int) -> Costs:
        return Costs(
            rows=rows,
            validated=held.validation,
            tested=held.test + overview.test_rows,
            labels=len(overview.labels),
            tokens=float(np.minimum(overview.lengths, length).mean()),
            characters=speed.characters(overview.sample),
            seconds_a_token=seconds_a_token,
            refit=rows < REFIT_BELOW,
        )

    lengths = choose_lengths(overview.lengths, limit=overview.limit, minutes=request.minutes)
    plans = {length: share_out(costs(length), left) for length in lengths}
    enough = [length for length in lengths if plans[length].embedded >= min(rows, LEAST_EMBEDDED)]
    most = max(enough or lengths[-1:], key=lambda length: plans[length].embedded)  # the longest of equals: it comes first
    length = next((length for length, shares in plans.items() if shares.training is not None), most)
    shares = plans[length]
    embedded = shares.embedded if shares.embedded >= min(rows, LEAST_EMBEDDED) else 0
    return Decision(
        held_out=held,
        max_length=length,
        adapters=_choose_adapters(request, overview.base, len(overview.labels), shares.training, overview.reason),
        embedded_rows=None if embedded == rows or overview.base is None else embedded,
        refit=rows < REFIT_BELOW,
    )


def study_text(request: Request, overview: Overview, decision: Decision, folder: Path = Path()) -> str:
    """The study file of a request, as it stands in a folder, from which its paths count."""
    base = None if overview.base is None else path_in(folder, overview.base)
    return write_study_text(
        replace(overview, source=path_in(folder, overview.source), base=base),
        decision,
        test=None if request.test is None else path_in(folder, request.test),
        budget=request.budget,
        output=path_in(folder, request.output, output=True),
        seed=request.seed,
    )


def _choose_adapters(request: Request, base: str | None, labels: int, training: Training | None, no_base: str = "") -> Adapters:
    """Layouts to be trained; none, and the reason."""
    if base is None:
        return Adapters(training=None, layouts=(), hidden=0, reason=no_base)
    hidden = shape_of(base).hidden
    if training is None:
        reason = f"--minutes {request.minutes:g} leaves no time for steps that teach more than frozen embeddings say"
        return Adapters(training=None, layouts=(), hidden=hidden, reason=reason)
    layouts = choose_layouts(training.members, base=base, labels=labels, budget=request.budget)
    reason = "" if layouts else f"a budget of {request.budget:,} parameters has no room for a head and rank 1"
    return Adapters(training=training if layouts else None, layouts=layouts, hidden=hidden, reason=reason)


def fit_file(
    request: Request,
    *,
    rows: Mapping[str, object] | None = None,
    listen: Listener = nobody,
    device: str = "auto",
    ray: str | None = None,
    cores: int | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Fitted:
    """Fits the best classifier that the time allows; interrupted, the same request goes on, and the time spent counts.

    Args:
        request: what is wanted; where rows are in memory, it names them by their checksum.
        rows: "train" and perhaps "test" as rows in memory or paths; None where the request's names are those of files.
        listen: told of everything in events and notes.
        device: "cpu", "cuda" or "auto".
        ray: address of a cluster that trains the adapters; see :func:`striata.scale.connected`. All else is done here.
        cores: of each place in it; see :func:`striata.scale.dealing.places_of`.
        now: the time in seconds; another one in tests.

    Raises:
        ClusterError: no cluster answers, a machine of it lacks something, or workers die without progress.
        DataError: the rows cannot be used.
        StudyError: the folder holds the fit of another request, or another process fits in it.
        StriataError: the encoder cannot be used, or the folder cannot be written.
        KeyboardInterrupt: after Ctrl-C, with everything saved.
    """
    folder = Path(request.output).expanduser()
    with alone(folder):
        history = History(folder, request.to_json())
        clock = Clock(60 * request.minutes, before=history.seconds, now=now)
        with history.counting(clock, listen) as tell, place_of(device, ray, cores, tell) as place:
            return _fit(
                _Fit(request=request, file=folder / STUDY_FILE, history=history, clock=clock, listen=tell, place=place), rows
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fit:
    """A fit under way.

    Args:
        request: what is wanted.
        file: the study file.
        history: what earlier calls took.
        clock: of the time that is left.
        listen: told of everything.
        place: where adapters are trained.
    """

    request: Request
    file: Path
    history: History
    clock: Clock
    listen: Listener
    place: Place

    @property
    def pending(self) -> bool:
        """Whether the study file leaves open what is trained."""
        return is_pending(self.file.read_text(encoding="utf-8"))


def _fit(fit: _Fit, rows: Mapping[str, object] | None) -> Fitted:
    clock, listen, device = fit.clock, fit.listen, fit.place.device
    listen(Event(kind="clock", seconds_left=clock.left))
    told = ""
    if not fit.file.exists():
        told = _begin(fit, rows or {})
    elif not fit.pending and (minutes := fit.history.keep_minutes()):
        note(listen, f"what is done was decided for --minutes {minutes:g}; for another time choose another folder (--out)")
    doing(listen, "reading the data")
    listen_once = _without(told, listen)
    prepared = prepare_study(load_study(fit.file), rows, listen=listen_once)
    work = plan_work(prepared, stacks=fit.place.stacks(prepared), listen=listen_once)
    while fit.pending:
        fit_baselines(work, listen=listen, device=device, overdue=lambda: not clock.left)
        work = _go_on(fit, work)
    fit.place.train(work, listen, clock, clock.limit - fit.history.finishing)
    trained = choose(work, collect(work), listen=listen, device=device)
    fitted = judge_fit(trained, work.prepared)
    cascade = write_cascade(trained) if fitted.name == "ensemble" else None
    if cascade is not None and cascade.cascade is not None:
        facts = cascade.cascade
        fitted = replace(fitted, cascade=cascade.folder, answered_early=facts.share, most_lost=facts.loss)
    report = _report(fit.file.parent, listen)
    return replace(fitted, report=report, seconds=clock.spent, limit=clock.limit)


def _go_on(fit: _Fit, work: Work) -> Work:
    """Decides what is done in the time that the baselines have left, and writes it into the study file: more embeddings, or
    what is trained."""
    study, splits = work.prepared.study, work.prepared.splits
    costs, embedded = speed.costs_now(work, fit.place.device), speed.embedded_rows(work)
    training = fit.place.share_rest(costs, fit.clock, work, fit.listen)
    adapters = _choose_adapters(fit.request, study.base, costs.labels, training)
    fitted, more = speed.fitting_time(work), None
    if not embedded or (adapters.training is None and fitted is not None):
        more = embed_more(costs, fit.clock.left, embedded, fitted)
    text = fit.file.read_text(encoding="utf-8")
    if more is not None:
        note(fit.listen, f"time is left: {more:,} training rows are embedded, not {embedded:,}")
        write_text(fit.file, with_embeddings(text, None if more == len(splits.train) else more, refit=costs.refit))
    else:
        if adapters.reason:
            note(fit.listen, f"no adapters: {adapters.reason}")
        fit.history.finishing = finishing(costs, len(adapters.layouts))
        fit.history.write(fit.clock.spent)  # first, so that what is decided is never without it
        write_text(fit.file, with_adapters(text, adapters, kinds=study.baselines.kinds, seed=fit.request.seed))
        note(fit.listen, _written(fit.file))
    decided = load_study(fit.file).model_copy(update={"data": study.data})
    prepared = replace(work.prepared, study=decided)
    return plan_work(prepared, stacks=fit.place.stacks(prepared), listen=fit.listen, known=True)


def _written(file: Path) -> str:
    return f"wrote {file}; `striata train {shlex.quote(str(file))}` repeats what it says"


def _report(folder: Path, listen: Listener) -> Path | None:
    """Writes the report of a fit; where it cannot be written, a note says why, and the fit has its model all the same."""
    doing(listen, "writing the report")
    try:
        return write_report(folder)
    except StriataError as error:
        note(listen, f"no report: {error}")
        return None


def _begin(fit: _Fit, rows: Mapping[str, object]) -> str:
    """Decides what is trained, and writes it down as a study; gives how the rows are read, as a user was told."""
    request, folder, history, clock, listen = fit.request, fit.file.parent, fit.history, fit.clock, fit.listen
    sweep(folder)  # an earlier call may have been killed while it wrote its first file
    if not history.exists and folder.exists() and any(entry.name != LOCK for entry in folder.iterdir()):
        raise StudyError(f"folder {folder} is not empty and holds no fit; choose another output")
    overview = look(rows.get("train", request.source), request.columns, request.base, rows.get("test", request.test))
    for sentence in overview.sentences:
        note(listen, sentence)
    token = USUAL_SPEED
    if overview.base is not None:
        doing(listen, "measuring the speed of the encoder")
        longest = choose_lengths(overview.lengths, limit=overview.limit, minutes=request.minutes)[0]
        token = speed.measure_speed(overview.base, overview.sample, longest, fit.place.device)
    decision = decide(request, overview, seconds_a_token=token, seconds=clock.left)
    if decision.embedded_rows == 0:
        note(listen, f"no frozen embeddings: the time suffices for too few rows{_enough(request, overview, token, clock.spent)}")
    history.write(clock.spent)  # first, so that a folder with a study file alone is never a fit's
    if overview.base is not None:
        decision = replace(decision, adapters=None)
    write_text(fit.file, study_text(request, overview, decision, folder))
    if decision.adapters is not None:
        note(listen, _written(fit.file))
    return overview.reading


def _enough(request: Request, overview: Overview, seconds_a_token: float, spent: float) -> str:
    """How many minutes would do where so many seconds are spent before, in words; nothing where hours would not."""
    for minutes in range(math.floor(request.minutes) + 1, _MOST_MINUTES):
        longer = replace(request, minutes=float(minutes))
        decision = decide(longer, overview, seconds_a_token=seconds_a_token, seconds=60 * minutes - spent)
        if decision.embedded_rows != 0:
            return f"; `--minutes {minutes}` and another folder (`--out`) would do on this machine as it is now"
    return ""


def _without(told: str, listen: Listener) -> Listener:
    """A listener that hears all but one note, which a user was told before."""
    return lambda event: None if event.kind == "note" and event.message.strip() == told else listen(event)
