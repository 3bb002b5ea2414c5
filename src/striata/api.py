"""The Python interface; the command line calls these same functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import StudyError
from .extras import require
from .layout import Layout, Plan, make_plan

if TYPE_CHECKING:
    from .automl.verdict import Fitted
    from .data import Columns, Dialect
    from .exports import Exported
    from .model.model import Model
    from .model.suggestions import Suggestion
    from .settings import Study
    from .steps import Trained
    from .training.events import Listener


def plan(layout: str | Layout | Path, *, base: str, labels: int, head: str = "native", budget: int | None = None) -> Plan:
    """Resolves a layout against an encoder's shape, without weights and without torch.

    Args:
        layout: a built-in name (`s8`, `s8:uniform`), a text form, a YAML file, or a :class:`Layout`.
        base: a Hub name or a local model folder.
        labels: number of labels.
        head: of :data:`striata.choices.HEADS`.
        budget: most trainable parameters, head included.

    Raises:
        LayoutError: the layout itself is wrong.
        PlanError: it does not fit the encoder.
        BudgetError: it has more parameters than the budget.
        EncoderError: the encoder's shape cannot be found.
    """
    return make_plan(layout, base=base, labels=labels, head=head, budget=budget)


def train(
    study: Study | str | Path | Mapping[str, Any],
    *,
    data: object = None,
    weights: object = None,
    listen: Listener | None = None,
    track: Iterable[str] = (),
    device: str = "auto",
    ray: str | None = None,
    stacks: int | None = None,
    cores: int | None = None,
) -> Trained:
    """Trains a study: every member, or every trial of its search, that is not finished yet, then the ensemble of the best.

    Takes the four steps of :mod:`striata.steps` one after the other.

    Args:
        study: a study file's path, its content as a mapping, or a loaded study.
        data: rows in the place of `data.train`: a pandas or polars DataFrame, a `datasets.Dataset`, a pyarrow Table, a dict of
            columns, a list of dicts, or a tuple (texts, labels); or a mapping of `train`, `validation` and `test` to such rows.
            Their checksum stands in the folder; the same call with the same rows goes on.
        weights: how much each training row of `data` counts, (rows,), numbers above 0 of which only the ratios matter; None
            weighs all alike. Rows with a column of weights name it in the study, as `data.weight`.
        listen: told of every step, evaluation and ending, and in notes what the data and the plans are
            (:class:`striata.training.events.Event`); None draws them in a notebook, and is silent elsewhere.
        track: experiment trackers: tensorboard, wandb, mlflow, trackio.
        device: "cpu", "cuda" or "auto".
        ray: address of a Ray cluster that trains the stacks: "local" for one of this machine, "auto" for the one that runs
            here, or HOST:PORT; None for this process. All machines have to see the study's folder and the encoder.
        stacks: with `ray` into how many stacks the members are dealt; None for one a GPU, or a machine without GPUs, and more
            where memory is short. Of a search, without `ray` too: so many processes may make the same call at one time, each
            trains a stack of its own, and all learn from each other's trials.
        cores: with `ray` how many of a machine a stack has; None for all, or a GPU's share.

    Raises:
        ClusterError: no cluster answers, a machine of it lacks something, or its workers die without progress.
        StriataError: anything in the study, its data, its encoder or its folder is wrong, or what a search or a tracker needs is
            not installed.
        KeyboardInterrupt: after Ctrl-C, with everything saved; the same call goes on from there.
    """
    from .data.read import weighted_rows
    from .settings import Study, load_study

    settings = study if isinstance(study, Study) else load_study(study)
    if weights is not None:
        if data is None:
            raise StudyError("go with rows in `data`; of a file, name the column as `data.weight`", argument="weights")
        data = weighted_rows(data, weights, settings.columns)
    if settings.search is not None:
        require("a study with `search`", "optuna", "sqlalchemy")
    # What follows may load torch, for which a mistake in the study file need not wait.
    from .progress import usual_listener
    from .steps import check_device, choose, collect, plan_study, train_stacks

    tell, names = listen or usual_listener(), tuple(track)
    check_device("auto" if ray else device, names)
    if ray is None:
        if cores is not None:
            raise StudyError("say how a cluster is used (`ray`), and none is named; leave them out", argument="cores")
        if stacks is not None and settings.search is None:
            raise StudyError(
                "are for a search, or for a cluster (`ray`), and there is neither; leave them out, or see `striata.steps`",
                argument="stacks",
            )
        work = plan_study(settings, data=data, stacks=stacks, listen=tell)
        train_stacks(work, listen=tell, track=names, device=device)
        return choose(work, collect(work), listen=tell, device=device)
    from .scale.training import train_on_cluster

    shares = {"stacks": stacks, "cores": cores}
    work = train_on_cluster(settings, ray, data=data, listen=tell, track=names, device=device, **shares)
    return choose(work, collect(work), listen=tell)


def fit(
    data: object,
    *,
    text: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    weight: str | None = None,
    dialect: Dialect | None = None,
    drop_empty: bool = False,
    task: str = "single-label",
    order: Sequence[str] | None = None,
    test: object = None,
    base: str | None = None,
    minutes: float = 5.0,
    budget: int | None = 1_000_000,
    output: str | Path | None = None,
    seed: int = 0,
    listen: Listener | None = None,
    device: str = "auto",
    ray: str | None = None,
    cores: int | None = None,
) -> Fitted:
    """Finds the best classifier for labelled texts within a time: baselines that cost seconds, adapters, an ensemble of all.

    Args:
        data: labelled texts: a file, folder or Hub name, or rows in memory: a pandas or polars DataFrame, a `datasets.Dataset`, a
            pyarrow Table, a dict of columns, a list of dicts, or a tuple (texts, labels).
        text: name of the text column, or of several that are joined; None finds it by its usual names, as the next two.
        text_pair: name of the second text's column.
        label: name of the label column.
        weight: name of a column that says how much each row counts in training, in numbers above 0 of which only the ratios
            matter; None weighs all alike.
        dialect: how files are written, where that is not to be determined from them (:class:`striata.data.Dialect`).
        drop_empty: whether rows without a text or a label are left out instead of refused.
        task: what a label is, of :data:`striata.choices.TASKS`.
        order: all labels, lowest first, as `data.order` of a study has them; None where numbers or the source say it.
        test: labelled texts for the last word, likewise; None holds some rows out where there are at least 4,000.
        base: encoder, a folder or a Hub name; None for MiniLM.
        minutes: time for everything, over all calls with the same output.
        budget: most trainable parameters of a member, head included; None for no limit.
        output: folder for everything that comes out; None for `runs/NAME` of the data, or `runs/fit` of rows in memory.
        seed: of held-out rows and members.
        listen: told of everything in events and notes; None draws them in a notebook, and is silent elsewhere.
        device: "cpu", "cuda" or "auto".
        ray: address of a Ray cluster that trains the adapters, as :func:`train` has it; None trains them here.
        cores: of a member's place in it, as :func:`train` has it.

    Raises:
        DataError: the texts or labels cannot be used.
        StudyError: the folder holds the fit of another request, or something else, or another process fits in it.
        ClusterError: no cluster answers, a machine of it lacks something, or workers die without progress.
        StriataError: the encoder cannot be used, or the folder cannot be written.
        KeyboardInterrupt: after Ctrl-C, with everything saved; the same call goes on, and the time spent counts.
    """
    from .automl.fitting import Request, default_output, fit_file
    from .choices import TASKS
    from .data import Columns, Dialect, read_table
    from .progress import usual_listener

    names = text if text is None or isinstance(text, str) else tuple(text)
    TASKS.check(task, StudyError)
    columns = Columns(
        text=names, text_pair=text_pair, label=label, weight=weight, order=None if order is None else tuple(order),
        dialect=dialect or Dialect(), drop_empty=drop_empty, task=task,
    )  # fmt: skip
    parts = {"train": data} | ({} if test is None else {"test": test})
    parts = {name: str(part) if isinstance(part, Path) else part for name, part in parts.items()}
    read_by = {"train": columns, "test": columns.unweighted}
    sources = {
        name: part if isinstance(part, str) else read_table(part, read_by[name], split=name).reference
        for name, part in parts.items()
    }
    in_memory = any(not isinstance(part, str) for part in parts.values())
    request = Request(
        source=sources["train"],
        columns=columns,
        test=sources.get("test"),
        base=base,
        minutes=minutes,
        budget=budget,
        output=str(output or default_output(sources["train"])),
        seed=seed,
    )
    return fit_file(
        request, rows=parts if in_memory else None, listen=listen or usual_listener(), device=device, ray=ray, cores=cores
    )


def export(
    model: Model | str | Path,
    out: str | Path,
    *,
    to: str = "onnx",
    quantize: str | None = None,
    data: object = None,
    columns: Columns | None = None,
    agreement: float = 0.98,
) -> Exported:
    """Writes a model for another tool, whole or not at all: a folder that does not answer as the model does is not left behind.

    Args:
        model: any, or its folder; for tools other than ONNX a run with an encoder. It is opened in fp32, whatever it is open in.
        out: the folder; must not exist.
        to: of :data:`striata.choices.EXPORTS`.
        quantize: of :data:`striata.choices.QUANTIZATIONS`, for ONNX; None for fp32.
        data: labelled rows to compare on, as for :meth:`striata.Model.evaluate`; None for the study's validation rows, and where
            these cannot be read, texts of the tokenizer's own words.
        columns: names of their columns; those of the study by default.
        agreement: smallest share of the rows that must get the same label when quantized.

    Raises:
        ExportError: the model cannot be written for the tool, or does not answer the same there, or `out` exists.
        ExtraError: a package that it takes is not installed.
        StriataError: the model or the rows cannot be read.
    """
    from .exports import export_model

    exact = {"device": "cpu", "precision": "fp32"}
    opened = load(model, **exact) if isinstance(model, str | Path) else model.reopened(**exact)
    return export_model(opened, out, to=to, quantize=quantize, data=data, columns=columns, agreement=agreement)


def pack(
    folder: str | Path,
    out: str | Path,
    *,
    encoder: bool = True,
    base: str | Path | Sequence[str | Path] | None = None,
) -> Path:
    """Writes a model into one folder or archive that opens on another machine, without its study: whole or not at all.

    It holds the runs, an ensemble's weights, tokenizer and configuration of the encoder and, unless left out, its weights. It
    gives the model's predictions bit for bit. :func:`load` opens the folder; an archive has to be unpacked first.

    Args:
        folder: of a run, an ensemble, a study (its ensemble, or its best run where it has none), or of another pack.
        out: a new folder, or an archive by its ending: .zip, .tar.gz or .tgz; it unpacks into a folder of its name.
        encoder: whether the encoder's weights are packed; without, :func:`load` takes them from where they were, or its `base`.
        base: where the encoder lies now; see :func:`load`.

    Returns:
        The folder or the archive.

    Raises:
        RunError, EnsembleError: a run or the ensemble is missing or damaged, or the encoder is another one.
        EncoderError: the encoder is not there.
        StriataError: `out` is there already, or cannot be written.
    """
    from .model.packer import write_pack

    return write_pack(folder, out, encoder=encoder, base=base)


def suggest(
    model: Model | str | Path,
    data: object,
    rows: int = 100,
    *,
    by: str = "mixed",
    columns: Columns | None = None,
    seed: int = 0,
) -> Suggestion:
    """Rows of an unlabelled pool to label next; equal texts once, and none that the model's validation rows have.

    Args:
        model: a run or an ensemble, or its folder.
        data: the pool, as :func:`train` takes rows, or a list of strings; labels in it are not looked at.
        rows: how many; fewer come where the pool has no more different texts.
        by: of :data:`striata.choices.SUGGESTIONS`.
        columns: names of columns; those of the study by default.
        seed: of samples and clusters.

    Raises:
        DataError: the pool cannot be read or holds nothing new, `rows` or `by` is wrong, or `by` needs more members.
        StriataError: the model cannot be opened.
    """
    from .model.suggestions import suggest_rows

    opened = load(model) if isinstance(model, str | Path) else model
    return suggest_rows(opened, data, rows, by=by, columns=columns, seed=seed)


def load(
    folder: str | Path, *, base: str | Path | Sequence[str | Path] | None = None, device: str = "auto", precision: str = "auto"
) -> Model:
    """Opens a model to predict with.

    Args:
        folder: of a run, an ensemble, or a study (its ensemble, or its best run where it has none), or what :func:`pack` wrote;
            or `hub:OWNER/NAME` for what `striata push` sent to the Hub, with `@` and a branch, tag or commit for another than its
            latest.
        base: where the encoder lies now, a folder or a Hub name, or a list of them for runs on several encoders; None for where
            it lay when the runs were trained, or in the pack. Its weights and tokenizer must be the very same ones (SHA-256).
        device: "cpu", "cuda" or "auto".
        precision: "fp32", "bf16" or "auto": bf16 where the hardware multiplies in it and no run's study says fp32, else fp32.

    Raises:
        StudyError: the study has no finished run.
        RunError: a run is missing, unfinished, damaged, or belongs to another encoder.
        EnsembleError: the ensemble or one of its members is.
        EncoderError: the encoder is not there, or cannot be loaded.
    """
    from .model.model import Model

    return Model.load(folder, base=base, device=device, precision=precision)
