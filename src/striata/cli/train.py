"""`striata train`."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Cores, Device, Json, Ray, Settings, StudyFile, Track

Stacks = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="With --ray: into how many stacks members are dealt; without it by GPUs, cores and memory. Of a search also without "
        "--ray: how many processes may give this command at one time.",
    ),
]


def train(
    study: StudyFile,
    settings: Settings = None,
    track: Track = None,
    device: Device = "auto",
    ray: Ray = None,
    stacks: Stacks = None,
    cores: Cores = None,
    as_json: Json = False,
) -> None:
    """Train every member of a study on one frozen encoder, keep the best of each, and combine the best into an ensemble.

    A study with `search` proposes its layouts itself; each trial of the search becomes a run.

    Interrupted at any moment, the same command goes on from the last checkpoint; finished members are kept. With --ray the
    machines of a cluster train, a stack of members each, and a worker that dies costs its steps since the last checkpoint.

    Example: striata train study.yaml --set recipe.max_steps=500
    """
    from .. import train as train_study
    from ..choices import BASELINES, RANKINGS
    from ..errors import StudyError
    from ..runs import StudyFolder, leaderboard
    from ..runs.standings import deciding_figure
    from .inputs import open_study
    from .leaderboard import show_leaderboard
    from .output import command, note, print_json, say
    from .progress import progress

    spec = open_study(study, settings or [], track or [])
    if ray is None and (cores or (stacks and spec.search is None)):
        raise StudyError("--stacks and --cores say how a cluster is used; give its address with --ray, or leave them out")
    with progress() as listen:
        result = train_study(spec, listen=listen, track=track or (), device=device, ray=ray, stacks=stacks, cores=cores)
    if as_json:
        print_json(result.to_json())
        raise typer.Exit(1 if result.failed else 0)
    if not result.runs:
        for name, reason in result.failed.items():
            note(f"{name} failed: {reason}")
        say(f"no member finished a run in {result.folder}, so there is nothing to compare or to combine")
        raise typer.Exit(1)
    show_leaderboard(result.folder)
    trials = sum(run.kind not in BASELINES for run in result.runs.values())
    if spec.search is not None and trials:
        rows = leaderboard(StudyFolder.open(result.folder))
        best = result.runs[next(row.run for row in rows if row.kind not in BASELINES)]
        rate = best.facts.recipe["learning_rate"]
        say(f"best of {trials} trials: {best.name}, learning rate {rate:g}, layout '{best.adapter_plan.text}'")
    if result.ensemble is not None:
        by = deciding_figure(spec.model_dump(mode="json"))
        title, shown = RANKINGS[by].title, RANKINGS[by].shown
        say(
            f"ensemble of {len(result.ensemble.members)}: validation {title} {shown(result.ensemble.metrics[by])}, chosen "
            f"without the rows {shown(result.ensemble.nested[by])}, in {result.ensemble.folder}"
        )
        if "ensemble" in result.test:
            say(f"ensemble test {title}: {shown(result.test['ensemble'][by])}")
        say(f"next: {command('predict', result.ensemble.folder, 'FILE')}")
    if result.failed:
        raise typer.Exit(1)
