"""`striata predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..choices import DATA_HELP, FORMS, PREDICTIONS
from .options import Bases, Cores, Device, Json, ModelPath, Precision, Ray, Read, Text, TextPair, named_columns, readable

if TYPE_CHECKING:
    from ..model import Model
    from ..model.finished import File
    from ..model.priors import LabelShares, Priors


def _readable(source: str) -> str:
    """Texts, looked for before anything that takes long is loaded; of several files as many as there are."""
    if any(mark in source for mark in "*?["):
        from ..model.many_files import is_pattern

        if is_pattern(source):
            return source
    return readable(source)


Files = Annotated[
    str, typer.Argument(help=f"Texts: {DATA_HELP}; or several files in quotes: 'data/*.parquet'.", callback=_readable)
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help=f"File to write: {PREDICTIONS.names}; without it NAME.predicted.csv beside FILE. Of several files the folder, or an "
        "address such as s3://bucket/answers.",
    ),
]
Form = Annotated[str, typer.Option("--format", help=f"What is written: {FORMS.help}.")]
Probabilities = Annotated[bool, typer.Option("--probabilities", help="Also write p_LABEL for every label.")]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Keep only this column of the input; several with commas, or repeated."),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="COLUMN",
        help="With --format id-label: the column that is the ID; else the one called id, or row numbers.",
    ),
]
Uncalibrated = Annotated[
    bool, typer.Option("--uncalibrated", help="With --probabilities: as they are without the model's temperature.")
]
Intervals = Annotated[
    float | None,
    typer.Option(metavar="COVERAGE", help="Of numbers: also write `low` and `high`, between which this share of them lies."),
]
Sets = Annotated[
    float | None,
    typer.Option(metavar="COVERAGE", help="Also write `labels`: lists of labels, of which this share holds the true one."),
]
AbstainBelow = Annotated[
    float | None, typer.Option(metavar="P", help="Leave the label out where its calibrated probability is below P.")
]
PrecisionAtLeast = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Likewise, with the P from which on SHARE of the validation rows' labels are right."),
]
Shares = Annotated[
    str | None,
    typer.Option(
        "--priors",
        metavar="FILE",
        help="Shares of the labels among these rows, where they are other than among the validation rows: a YAML or JSON file of "
        "LABEL: SHARE, or estimate for those that these rows show.",
    ),
]


def predict(
    model: ModelPath,
    file: Files,
    out: Out = None,
    form: Form = "labels",
    probabilities: Probabilities = False,
    only: Only = None,
    id_column: IdColumn = None,
    uncalibrated: Uncalibrated = False,
    sets: Sets = None,
    intervals: Intervals = None,
    abstain_below: AbstainBelow = None,
    precision_at_least: PrecisionAtLeast = None,
    priors: Shares = None,
    text: Text = None,
    text_pair: TextPair = None,
    read: Read = None,
    base: Bases = None,
    device: Device = "auto",
    precision: Precision = "auto",
    ray: Ray = None,
    cores: Cores = None,
    as_json: Json = False,
) -> None:
    """Predict the labels of a file: its rows with all their columns, and `label`; of a regression `prediction`, a number.

    A column of the input that is called `label` is kept, and ours is then `label_predicted`. Cut off and run again, it goes on
    where it was. Of several files each is predicted into a file of its own, and what is finished is not predicted again; with
    --ray the machines of a cluster share them.

    Example: striata predict runs/mine/ensemble new.csv --probabilities
    """
    _check(form, probabilities, uncalibrated, sets, intervals, abstain_below, precision_at_least)
    _check_names(form, only, id_column)
    from ..evidence.sentences import counted
    from ..model.many_files import is_pattern
    from .inputs import coverage_of, open_model
    from .output import note, print_json, say

    many = is_pattern(file)
    target = _target(file, out, many, ray, cores)
    opened = open_model(model, base=base, device=device, precision=precision)
    shares = _shares(priors, opened.labels)
    columns = replace(named_columns(opened.columns, text=text, text_pair=text_pair, read=read), label=None)
    abstain_below = _threshold(opened, abstain_below, precision_at_least)
    options: dict[str, Any] = {
        "columns": columns, "probabilities": probabilities, "only": tuple(only or ()), "id_label": form == "id-label",
        "id_column": id_column, "calibrated": not uncalibrated, "coverage": coverage_of(opened.task, sets, intervals),
        "abstain_below": abstain_below, "priors": shares,
    }  # fmt: skip
    if many:
        place = (str(model), tuple(base) if base else None, device, precision)
        document = _predict_many(opened, file, options, target, place, ray, cores)
    else:
        document = _predict_one(opened, file, options, Path(target))
    if opened.combiner.cascade is not None and opened.texts:
        note(f"{opened.combiner.cascade.early} answered {opened.early / opened.texts:.1%} of {opened.texts:,} texts alone")
    if as_json:
        print_json({"predictions": str(target), "members": len(opened.runs), "abstain_below": abstain_below, **document})
        return
    of_files = f" of {document['files']:,} files" if many else ""
    say(f"{counted(document['rows'], 'row')}{of_files} predicted by {counted(len(opened.runs), 'member')}, in {target}")


def _threshold(model: Model, abstain_below: float | None, precision_at_least: float | None) -> float | None:
    """The probability from which on a label is written, found on validation rows where a share of right ones is asked for."""
    from .output import note

    if precision_at_least is None:
        return abstain_below
    answers = model.answers(precision_at_least)
    note(
        f"answers from a probability of {answers.threshold:.4f} on: {answers.answered:.1%} of the validation rows, of which "
        f"{precision_at_least:.1%} are right with 90 % confidence"
    )
    return answers.threshold


def _target(file: str, out: str | None, many: bool, ray: str | None, cores: int | None) -> Path | str:
    """Where is written, looked at before the model is loaded."""
    from ..data.remote import is_remote
    from ..errors import DataError
    from ..model.whole_file import check_target, default_target

    if many:
        if out is None:
            raise DataError(f"{file} stands for several files, and there is no folder for what is predicted; name one with --out")
        if ray is None and cores is not None:
            raise DataError("--cores says how a cluster is used; give its address with --ray, or leave it out")
        return out if is_remote(out) else Path(out)
    if out is not None and is_remote(out):
        raise DataError(
            f"--out {out} is an address, to which the files of a pattern are written, and {file} is one file; name a file here"
        )
    if ray is not None or cores is not None:
        raise DataError(
            f"--ray shares several files out, and {file} is one; leave it out, or give a pattern such as 'data/*.csv'"
        )
    return check_target(default_target(file) if out is None else Path(out), file)


def _predict_one(model: Model, file: str, options: dict[str, Any], out: Path) -> dict[str, Any]:
    from ..model.whole_file import predict_file
    from .output import note
    from .progress import counter

    told: list[LabelShares] = []
    with counter("texts") as progress:
        rows = predict_file(model, file, out, progress=progress, remark=note, estimated=told.append, **options)
    for line in [line for estimate in told for line in estimate.lines()]:
        note(line)
    return {"rows": rows, "priors": told[0].to_json() if told else options["priors"]}


def _predict_many(
    model: Model,
    pattern: str,
    options: dict[str, Any],
    out: Path | str,
    place: tuple[str, tuple[str, ...] | None, str, str],
    ray: str | None,
    cores: int | None,
) -> dict[str, Any]:
    from ..model.many_files import files_of
    from .output import note
    from .progress import counter

    files: list[File] = files_of(pattern, out)
    with counter("texts") as progress:
        if ray is None:
            from ..model.many_files import predict_files

            rows = predict_files(model, files, options, progress=progress, remark=note)
        else:
            from ..scale.predicting import Place, predict_on_cluster, weights_of

            opened = Place(*place, weights=weights_of(model))
            rows = predict_on_cluster(opened, files, options, ray, out=out, cores=cores or 1, progress=progress, remark=note)
    return {"rows": rows, "files": len(files), "priors": options["priors"]}


def _shares(priors: str | None, labels: Sequence[str]) -> Priors | None:
    """The labels' shares that a file says; what says that they are to be estimated, as it is."""
    from ..model.priors import ESTIMATE, read_shares

    return priors if priors in (None, ESTIMATE) else read_shares(Path(priors), labels)


def _check(
    form: str,
    probabilities: bool,
    uncalibrated: bool,
    sets: float | None,
    intervals: float | None,
    abstain_below: float | None,
    precision_at_least: float | None,
) -> None:
    """Refuses options that exclude each other, and shares that are none, before anything is loaded."""
    from ..calibration import check_share
    from ..errors import DataError

    FORMS.check(form, DataError)
    id_label = form == "id-label"
    if probabilities and id_label:
        raise DataError("--format id-label has the columns ID and Label only; leave --probabilities out")
    if id_label and (sets is not None or abstain_below is not None or precision_at_least is not None):
        raise DataError("--format id-label has one label for every row; leave --sets, --abstain-below, --precision-at-least out")
    if uncalibrated and not probabilities:
        raise DataError("--uncalibrated says which probabilities to write; give it with --probabilities")
    if abstain_below is not None and precision_at_least is not None:
        raise DataError("--abstain-below and --precision-at-least were both given; each sets the same threshold, give one")
    for share, option in ((sets, "sets"), (intervals, "intervals"), (precision_at_least, "precision_at_least")):
        if share is not None:
            check_share(share, option)


def _check_names(form: str, only: list[str] | None, id_column: str | None) -> None:
    """Refuses names of columns that the format has no use for."""
    from ..errors import DataError

    if form == "id-label" and only:
        raise DataError("--format id-label has the columns ID and Label only; leave --only out, and name the ID with --id")
    if form != "id-label" and id_column is not None:
        raise DataError("--id names the ID of --format id-label; the other format keeps every column, or those of --only")
