"""A Hugging Face model card of a run or an ensemble: layout, data, figures and intervals."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..choices import RANKINGS
from ..demo import HUB_BASE, SHA256
from ..disk.files import named, write_text
from ..ensemble import Cascade, Ensemble, load_ensemble
from ..evidence import Worth, measure_worth
from ..evidence.sentences import speed
from ..extras import require
from ..figures.intervals import wilson
from ..figures.scores import in_words, special_figures
from ..model.packs import is_pack, open_pack, refuse_archive
from ..robustness.documents import EvaluationFacts, NumberEvaluationFacts
from ..runs import Run, StudyFolder
from ..runs.refusal import refusal_sentence, refusals
from ..runs.standings import find_model, test_metrics
from ..runs.study_folder import SETTINGS, find_run
from .contents import identities, read_evaluations
from .judged import Judged, judge_ensemble, judge_run
from .places import encoder_name, shown_path

CONFIDENCE = 0.95
_TEMPLATES = Path(__file__).parent / "templates"
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")
_FILE = re.compile(r"\.(csv|tsv|jsonl|json|parquet|pkl|txt)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a card is about.

    Args:
        folder: of the model.
        name: of the run, or of the study and its ensemble.
        members: weight of each run.
        runs: the runs, by name.
        judged: figures on the validation rows.
        test: figures on the study's test rows; empty without.
        evaluations: what `striata evaluate` measured of it as it is now.
        worth: what its study's fine-tuned encoder and ensemble gain over the best baseline; None where the study is not there.
        refused: a sentence on adapted runs that the validation check refuses, in whose place this model stands or among which it
            is; empty without.
        cascade: who answers which texts; None where all members answer all.
        packed: whether the folder is a pack, in which the model lies.
    """

    folder: Path
    name: str
    members: Mapping[str, float]
    runs: Mapping[str, Run]
    judged: Judged
    test: Mapping[str, float]
    evaluations: tuple[EvaluationFacts | NumberEvaluationFacts, ...]
    worth: Worth | None
    refused: str = ""
    cascade: Cascade | None = None
    packed: bool = False

    @property
    def note(self) -> str:
        """What flatters in the figures."""
        if len(self.runs) == 1:
            return "The checkpoint was chosen on these same rows, so the figure may flatter a little."
        return "Each row is judged by members that were chosen without it."

    @property
    def first(self) -> Run:
        """Any of the runs, for what they share."""
        return next(iter(self.runs.values()))

    @property
    def bases(self) -> list[str]:
        """The encoders of the runs, each once; MiniLM by its name on the Hub, wherever its weights lay."""
        facts = [run.facts for run in self.runs.values() if run.facts.base]
        return list(dict.fromkeys(HUB_BASE if one.base_sha256 == SHA256 else str(one.base) for one in facts))


def find_subject(path: str | Path) -> Subject:
    """The model in a folder; of a study its ensemble, or its best run where it has none; of a pack the model inside.

    Raises:
        StudyError: the study has no finished run.
        RunError, EnsembleError: the model is missing or damaged.
        StriataError: a pack is damaged, or still an archive.
    """
    refuse_archive(Path(path))
    folder = find_model(path)
    if is_pack(folder):
        inside = find_subject(open_pack(folder).model)
        name = folder.resolve().name if len(inside.members) > 1 else inside.name
        return replace(inside, folder=folder, name=name, packed=True)
    if (folder / "ensemble.json").is_file():
        ensemble = load_ensemble(folder)
        place = folder.resolve().parent
        return Subject(
            folder=folder, name=f"{place.name}-{folder.resolve().name}", members=ensemble.members, runs=ensemble.runs,
            judged=judge_ensemble(ensemble), test={}, evaluations=_evaluations(place, [], [ensemble]),
            worth=_worth(place, ensemble), refused=_refused(place, None), cascade=ensemble.cascade,
        )  # fmt: skip
    run = find_run(folder)
    study = StudyFolder(run.path.resolve().parent.parent)
    test = test_metrics(study, [run]).get(run.name, {})
    return Subject(
        folder=folder, name=run.name, members={run.name: 1.0}, runs={run.name: run}, judged=judge_run(run), test=test,
        evaluations=_evaluations(study.path, [run], []), worth=_worth(study.path, None),
        refused=_refused(study.path, run.name),
    )  # fmt: skip


def _evaluations(
    study: Path, runs: Sequence[Run], ensembles: Sequence[Ensemble]
) -> tuple[EvaluationFacts | NumberEvaluationFacts, ...]:
    """What was measured of these as they are now."""
    first = runs[0] if runs else next(iter(ensembles[0].runs.values()))
    return read_evaluations(study, identities(runs, ensembles), numeric=first.task.numeric)[0]


def _worth(folder: Path, ensemble: Ensemble | None) -> Worth | None:
    return measure_worth(StudyFolder(folder).runs(), ensemble) if (folder / SETTINGS).is_file() else None


def _refused(folder: Path, run: str | None) -> str:
    """A sentence on the runs of a study that the validation check refuses; for one run, if it is refused or stands in for one."""
    refused = refusals(StudyFolder(folder).runs()).values() if (folder / SETTINGS).is_file() else ()
    concerned = [one for one in refused if run in (None, one.run, one.twin)]
    sentence = refusal_sentence(concerned) if concerned else ""
    return f"{sentence[:1].upper()}{sentence[1:]}"


def card(subject: Subject, *, on_hub: str | None = None) -> str:
    """The card: metadata in YAML, then Markdown.

    Args:
        subject: from :func:`find_subject`.
        on_hub: OWNER/NAME, where the card is for a pack on the Hub; None for one in the model's own folder.
    """
    from huggingface_hub import ModelCard, ModelCardData

    run = subject.first
    train = str(run.facts.study.get("data", {}).get("train", ""))
    bases = [base for base in subject.bases if _on_hub(base)]
    adapter = on_hub is None and not subject.packed and len(subject.runs) == 1 and run.plan is not None
    data = ModelCardData(
        base_model=bases[0] if len(bases) == 1 else bases or None,
        datasets=[train.partition(":")[0]] if _on_hub(train) else None,
        eval_results=_results(subject),
        library_name="peft" if adapter else "striata",
        license="unknown",
        metrics=["accuracy", "f1"] if subject.judged.numbers is None else ["mse", "mae", "r_squared", "spearmanr"],
        model_name=subject.name if on_hub is None else on_hub.partition("/")[2],
        pipeline_tag="text-classification",
        tags=_tags(subject),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(subject, train, on_hub)}"))


def _tags(subject: Subject) -> list[str]:
    own = ["lora", "peft"] if subject.first.plan is not None else []
    return [*own, "striata", "text-classification", *([] if subject.judged.numbers is None else ["regression"])]


def write_card(path: str | Path, *, out: str | Path | None = None) -> Path:
    """Writes the card of a model.

    Args:
        path: folder of a run, an ensemble, a study or a pack.
        out: the file; None for `README.md` in the model's folder, or the pack's.

    Returns:
        The file.

    Raises:
        StudyError, RunError, EnsembleError: see :func:`find_subject`.
        ExtraError: jinja2 or huggingface_hub is not installed.
        StriataError: the file cannot be written.
    """
    require("a model card", "jinja2", "huggingface_hub")
    subject = find_subject(path)
    target = subject.folder / "README.md" if out is None else named(out, ".md")
    write_text(target, card(subject))
    return target


def _on_hub(source: str) -> bool:
    """Whether a source can be a data set's name on the Hub, and is no file or folder here."""
    return bool(_HUB_NAME.fullmatch(source)) and not _FILE.search(source) and not Path(source).exists()


def _results(subject: Subject) -> list[Any]:
    from huggingface_hub import EvalResult

    data = subject.first.facts.study.get("data", {})

    def source(split: str) -> str:
        """What the rows of a split come from; a number of rows is held out from the training data."""
        origin = data.get(split)
        name = origin if isinstance(origin, str) else str(data.get("train", ""))
        return name.partition(":")[0] if _on_hub(name) else Path(name).name or "unknown"

    measured = subject.judged.metrics
    parts = [("validation", source("validation"), measured.scores.to_json(), measured.rows)]
    if subject.test:
        parts.append(("test", source("test"), dict(subject.test), subject.first.facts.split.get("test", 0)))
    for tested in subject.evaluations:
        if isinstance(tested, EvaluationFacts):
            figures = {"accuracy": tested.accuracy.value, "macro_f1": tested.macro_f1, "loss": tested.loss}
        else:
            figures = {name: getattr(tested, name) for name in ("mae", "r2", "spearman", "loss")} | {"rmse": tested.rmse.value}
        parts.append(("test", Path(tested.source).name, figures, tested.rows))
    names = _METRICS if subject.judged.numbers is None else _NUMBER_METRICS
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type=name,
            dataset_name=name,
            dataset_split=split,
            metric_type=names[key][0],
            metric_name=names[key][1],
            metric_value=value,
            metric_args=_interval(value, rows) if key == "accuracy" else None,
        )
        for split, name, figures, rows in parts
        for key, value in figures.items()
        if key in names
    ]


_METRICS = {"accuracy": ("accuracy", "Accuracy"), "macro_f1": ("f1", "Macro F1"), "loss": ("log_loss", "Log loss")}
_NUMBER_METRICS = {
    "rmse": ("rmse", "RMSE"), "loss": ("mse", "MSE"), "mae": ("mae", "MAE"), "r2": ("r_squared", "R²"),
    "spearman": ("spearmanr", "Spearman"),
}  # fmt: skip
"""A card's name for a type of metric, and how people read it, by the figure's name."""


def _interval(accuracy: float, rows: int) -> dict[str, object] | None:
    """Wilson's interval, as an argument of the metric, for which a card's metadata has no field."""
    if not rows:
        return None
    interval = wilson(accuracy, rows, level=CONFIDENCE)
    return {"rows": rows, "confidence": CONFIDENCE, "interval": [round(interval.low, 6), round(interval.high, 6)]}


def _body(subject: Subject, train: str, on_hub: str | None) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    measured, facts = subject.judged.metrics, subject.first.facts
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,  # Markdown has rules of its own, which `finalize` keeps
        finalize=_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"encoder": encoder_name, "place": shown_path}
    return environment.get_template("card.md").render(
        subject=subject,
        run=subject.first,
        facts=facts,
        measured=measured,
        train=train or "unknown",
        place=subject.folder.name if on_hub is None else f"hub:{on_hub}",
        on_hub=on_hub,
        special=in_words(special_figures(measured.scores)),
        numeric=subject.judged.numbers is not None,
        kinds="classifier" if subject.judged.numbers is None else "regressor",
        interval=subject.judged.value,
        value=_amount,
        titles={name: choice.title for name, choice in RANKINGS.items()},
        shown=_SHOWN_NUMBERS,
        confidence=CONFIDENCE,
        calibration=subject.judged.calibration,
        literal=lambda text: Markup(repr(str(text))),
        speed=speed,
        adapted=sum(run.plan is not None for run in subject.runs.values()),
        trainable=sum(run.trainable for run in subject.runs.values()),
    )


_SHOWN_NUMBERS = ("rmse", "mae", "r2", "spearman")


def _amount(figures: Mapping[str, float] | NumberEvaluationFacts, name: str) -> str:
    """A figure of numbers as a card's table has it."""
    value = figures[name] if isinstance(figures, Mapping) else getattr(figures, name)
    return RANKINGS[name].shown(value if isinstance(value, float) else value.value)


def _markdown(value: object) -> object:
    """Text with nothing in it that Markdown or HTML would take for more than text."""
    if hasattr(value, "__html__"):  # markup already
        return value
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*\[\]|])", r"\\\1", text)
