"""A data file to the best model within a time: look, decide, train, combine, say what came out."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..baselines import BASELINES
from ..data import Columns, Table
from ..data.table import IN_MEMORY
from ..disk.files import write_text
from ..disk.workplace import sweep
from ..errors import StriataError, StudyError
from ..layout import Head, shape_of
from ..report import write_report
from ..runs import Run
from ..runs.study_folder import is_run
from ..settings import load_study
from ..settings.places import path_in
from ..steps import choose, collect, plan_study, train_stacks
from ..study import Work, fit_baselines, plan_work
from ..training.events import Event, Listener, doing, nobody, note
from .cascade import write_cascade
from .choices import LEAST_EMBEDDED, REFIT_BELOW, choose_lengths, hold_out
from .clock import Clock
from .history import LOCK, History, alone
from .layouts import choose_layouts
from .overview import Overview, look
from .study_text import Adapters, Decision, is_pending, with_adapters, with_embeddings, write_study_text
from .timing import USUAL_SPEED, Costs, Training, embed_more, finishing, share_out, share_rest
from .verdict import Fitted, judge_fit

STUDY_FILE = "study.yaml"
FROZEN = "frozen"  # the baseline that tells how fast texts were embedded
_MOST_MINUTES = 120  # that are looked at for how long a fit would have to be
_PROBE, _PROBES = 64, 4  # texts with which the encoder's speed is measured, and how often


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
            characters=_characters(overview.sample),
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
    now: Callable[[], float] = time.monotonic,
) -> Fitted:
    """Fits the best classifier that the time allows; interrupted, the same request goes on, and the time spent counts.

    Args:
        request: what is wanted; where rows are in memory, it names them by their checksum.
        rows: "train" and perhaps "test" as rows in memory or paths; None where the request's names are those of files.
        listen: told of everything in events and notes.
        device: "cpu", "cuda" or "auto".
        now: the time in seconds; another one in tests.

    Raises:
        DataError: the rows cannot be used.
        StudyError: the folder holds the fit of another request, or another process fits in it.
        StriataError: the encoder cannot be used, or the folder cannot be written.
        KeyboardInterrupt: after Ctrl-C, with everything saved.
    """
    folder = Path(request.output).expanduser()
    with alone(folder):
        return _fit(request, rows, folder, listen, device, now)


def _fit(
    request: Request,
    rows: Mapping[str, object] | None,
    folder: Path,
    listen: Listener,
    device: str,
    now: Callable[[], float],
) -> Fitted:
    history = History(folder, request.to_json())
    clock = Clock(60 * request.minutes, before=history.seconds, now=now)
    with history.counting(clock, listen) as tell:
        tell(Event(kind="clock", seconds_left=clock.left))
        told = ""
        if (folder / STUDY_FILE).exists():
            if not is_pending((folder / STUDY_FILE).read_text(encoding="utf-8")) and (minutes := history.keep_minutes()):
                note(tell, f"what is done was decided for --minutes {minutes:g}; for another time choose another folder (--out)")
        else:
            told = _begin(request, rows or {}, folder, history, clock, tell, device)
        doing(tell, "reading the data")
        work = plan_study(load_study(folder / STUDY_FILE), data=rows, listen=_without(told, tell))
        while is_pending((folder / STUDY_FILE).read_text(encoding="utf-8")):
            fit_baselines(work, listen=tell, device=device, overdue=lambda: not clock.left)
            work = _go_on(request, work, folder / STUDY_FILE, history, clock, tell, device)
        latest = clock.limit - history.finishing
        train_stacks(work, listen=tell, device=device, overdue=lambda: clock.spent > latest)
        trained = choose(work, collect(work), listen=tell, device=device)
        fitted = judge_fit(trained, work.prepared)
        cascade = write_cascade(trained) if fitted.name == "ensemble" else None
        if cascade is not None and cascade.cascade is not None:
            facts = cascade.cascade
            fitted = replace(fitted, cascade=cascade.folder, answered_early=facts.share, most_lost=facts.loss)
        report = _report(folder, tell)
        return replace(fitted, report=report, seconds=clock.spent, limit=clock.limit)


def _go_on(request: Request, work: Work, file: Path, history: History, clock: Clock, listen: Listener, device: str) -> Work:
    """Decides what is done in the time that the baselines have left, and writes it into the study file: more embeddings, or
    what is trained."""
    study, splits = work.prepared.study, work.prepared.splits
    costs, embedded = _costs_now(work, device), _embedded_rows(work)
    adapters = _choose_adapters(request, study.base, costs.labels, share_rest(costs, clock.left))
    fitted, more = _fitting_time(work), None
    if not embedded or (adapters.training is None and fitted is not None):
        more = embed_more(costs, clock.left, embedded, fitted)
    text = file.read_text(encoding="utf-8")
    if more is not None:
        note(listen, f"time is left: {more:,} training rows are embedded, not {embedded:,}")
        write_text(file, with_embeddings(text, None if more == len(splits.train) else more, refit=costs.refit))
    else:
        if adapters.reason:
            note(listen, f"no adapters: {adapters.reason}")
        history.finishing = finishing(costs, len(adapters.layouts))
        history.write(clock.spent)  # first, so that what is decided is never without it
        write_text(file, with_adapters(text, adapters, kinds=study.baselines.kinds, seed=request.seed))
        note(listen, _written(file))
    decided = load_study(file).model_copy(update={"data": study.data})
    return plan_work(replace(work.prepared, study=decided), listen=listen, known=True)


def _embedded_rows(work: Work) -> int:
    """Training rows that the study embeds for baselines."""
    baselines, rows = work.prepared.study.baselines, len(work.prepared.splits.train)
    return min(rows, baselines.embedded_rows or rows) if FROZEN in baselines.kinds else 0


def _fitting_time(work: Work) -> float | None:
    """Seconds in which the baselines on embeddings were fitted; None where there are none."""
    folders = [work.folder.run_folder(kind) for kind, method in BASELINES.items() if method.embedded]
    facts = [Run.load(folder).facts for folder in folders if is_run(folder)]
    return sum(one.seconds - one.shared_seconds for one in facts) if facts else None


def _costs_now(work: Work, device: str) -> Costs:
    """What there is to do once baselines are there, at the speed that the encoder had in them, or has where none used it."""
    study, splits = work.prepared.study, work.prepared.splits
    rows, lengths = len(splits.train), work.prepared.encoded["train"].lengths
    seconds = observed_speed(work, _embedded_rows(work) + len(splits.validation))
    return Costs(
        rows=rows,
        validated=len(splits.validation),
        tested=sum(map(len, splits.tables().values())) - rows - len(splits.validation),
        labels=len(splits.labels),
        tokens=float(lengths.mean()),
        characters=_characters(splits.train),
        seconds_a_token=seconds or measure_speed(study.base, splits.train, study.data.max_length, device),
        refit=study.baselines.refit,
    )


def _characters(table: Table) -> float:
    """Of a text in the mean."""
    return sum(map(len, table.whole_texts)) / len(table)


def observed_speed(work: Work, embedded: int) -> float | None:
    """Seconds a token took when texts were embedded for baselines; None where none were."""
    folder = work.folder.run_folder(FROZEN)
    if not is_run(folder):
        return None
    seconds = Run.load(folder).facts.shared_seconds / embedded
    return seconds / float(work.prepared.encoded["train"].lengths.mean())


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


def _begin(
    request: Request,
    rows: Mapping[str, object],
    folder: Path,
    history: History,
    clock: Clock,
    listen: Listener,
    device: str,
) -> str:
    """Decides what is trained, and writes it down as a study; gives how the rows are read, as a user was told."""
    sweep(folder)  # an earlier call may have been killed while it wrote its first file
    if not history.exists and folder.exists() and any(entry.name != LOCK for entry in folder.iterdir()):
        raise StudyError(f"folder {folder} is not empty and holds no fit; choose another output")
    overview = look(rows.get("train", request.source), request.columns, request.base, rows.get("test", request.test))
    for sentence in overview.sentences:
        note(listen, sentence)
    speed = USUAL_SPEED
    if overview.base is not None:
        doing(listen, "measuring the speed of the encoder")
        longest = choose_lengths(overview.lengths, limit=overview.limit, minutes=request.minutes)[0]
        speed = measure_speed(overview.base, overview.sample, longest, device)
    file = folder / STUDY_FILE
    decision = decide(request, overview, seconds_a_token=speed, seconds=clock.left)
    if decision.embedded_rows == 0:
        note(listen, f"no frozen embeddings: the time suffices for too few rows{_enough(request, overview, speed, clock.spent)}")
    history.write(clock.spent)  # first, so that a folder with a study file alone is never a fit's
    if overview.base is not None:
        decision = replace(decision, adapters=None)
    write_text(file, study_text(request, overview, decision, folder))
    if decision.adapters is not None:
        note(listen, _written(file))
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


def measure_speed(base: str, some: Table, max_length: int, device: str) -> float:
    """Seconds a token takes through the frozen encoder forward: the least of a few times over some of the texts, for what else
    the machine does adds to it."""
    from ..data import Tokenizer
    from ..engine import Encoder, embed

    encoder = Encoder.load(base, head=Head(kind="mean", pooling="mean", steps=()), precision="auto", device=device)
    texts = some.take(np.arange(min(_PROBE, len(some))))
    encoded = Tokenizer.load(base, max_length).encode(texts.texts, texts.pairs)
    seconds = []
    for _ in range(_PROBES):
        start = time.perf_counter()
        embed(encoder, encoded)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / int(encoded.lengths.sum())
