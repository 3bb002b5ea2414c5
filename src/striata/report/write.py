"""A report written: the page, the figures beside it, and the same figures sent to trackers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ..disk.files import named, write_text
from ..extras import require
from .contents import Curve, History, Report, collect


def write_report(
    folder: str | Path,
    *,
    out: str | Path | None = None,
    png: str | Path | None = None,
    track: Sequence[str] = (),
    texts: bool = True,
    words: bool = False,
    title: str = "",
    author: str = "",
    note: str = "",
) -> Path:
    """Writes a study's report as one HTML file.

    Args:
        folder: of the study.
        out: the file; None for `report.html` in the study's folder.
        png: folder for all figures as PNG and SVG; None for none.
        track: trackers to send curves and figures to: tensorboard, wandb, mlflow, trackio.
        texts: whether validation texts are shown: the most confident errors, the least certain rows, typical ones.
        words: whether the words that decided the errors are marked, for which the model and its encoder are loaded; where no
            encoder is needed, they always are.
        title: of the page; empty for the name of the folder.
        author: who made it; empty for none.
        note: a paragraph below the title; empty for none.

    Returns:
        The file.

    Raises:
        StudyError: the folder is no study's, has no finished run or cannot be read, or a tracker is unknown or not installed.
        RunError, EnsembleError: a run or the ensemble is damaged.
        ExtraError: jinja2, or for `png` matplotlib, or what a tracker needs, is not installed.
        StriataError: a file cannot be written.
    """
    if track:
        from ..training.trackers import check_trackers

        check_trackers(track)
    require("a report", "jinja2")
    if png is not None:
        require("drawing PNG files", "matplotlib")
    from .examples import find_examples
    from .page import About, render
    from .png import write_figures

    report = collect(folder)
    target = report.folder / "report.html" if out is None else named(out, ".html")
    about = About(title=title, author=author, note=note, date=date.today().isoformat())
    page = render(report, about, find_examples(report, words=words) if texts else None)
    if png is not None:
        write_figures(report, Path(png))
    write_text(target, page)
    if track:
        send(report, track)
    return target


def send(report: Report, track: Sequence[str]) -> None:
    """Sends every run's curves, and the figures of the kept checkpoints as settings, to trackers.

    Args:
        report: from :func:`striata.report.contents.collect`.
        track: names of trackers.

    Raises:
        StudyError: a tracker is unknown or not installed.
    """
    from ..training.events import Event
    from ..training.trackers import tracking

    with tracking(track, f"{report.name}-report", report.folder / "trackers", _figures(report)) as listen:
        for history in report.histories:
            for step, seen in sorted(_by_step(history).items()):
                names = {"accuracy": "accuracy", history.best_by: "deciding"}
                event = Event(
                    kind="step",
                    member=history.run,
                    step=int(step),
                    loss=seen.get("loss"),
                    learning_rate=seen.get("learning_rate"),
                    validation_loss=seen.get("validation_loss"),
                    figures={name: seen[curve] for name, curve in names.items() if curve in seen},
                )
                listen(event)


def _figures(report: Report) -> dict[str, str | int | float]:
    figures: dict[str, str | int | float] = {}
    for row in report.standings:
        shown = row.figures if report.numeric else {name: row.figures[name] for name in ("accuracy", "loss", "macro_f1")}
        figures |= {f"{row.run}/{name}": value for name, value in shown.items()}
        figures |= {f"{row.run}/trainable": row.trainable, f"{row.run}/seconds": row.seconds}
        if row.test is not None:
            figures[f"{row.run}/test_{report.comparison.figure}"] = row.test[report.comparison.figure]
    if report.ensemble_judged is not None:
        figures[f"ensemble/{report.ensemble_judged.figure}"] = report.ensemble_judged.value.value
    return figures


def _by_step(history: History) -> dict[float, dict[str, float]]:
    curves: dict[str, Curve] = {
        "loss": history.loss,
        "learning_rate": history.learning_rate,
        "accuracy": history.accuracy,
        "validation_loss": history.validation_loss,
        "deciding": history.deciding,
    }
    values: dict[float, dict[str, float]] = {}
    for name, curve in curves.items():
        for step, value in curve:
            values.setdefault(step, {})[name] = value
    return values
