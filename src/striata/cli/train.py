"""`striata train`."""

from __future__ import annotations

import typer

from .options import Device, Json, Settings, StudyFile, Track


def train(
    study: StudyFile,
    settings: Settings = None,
    track: Track = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train every member of a study on one frozen encoder, keep the best of each, and combine the best into an ensemble.

    A study with `search` proposes its layouts itself; each trial of the search becomes a run.

    Interrupted at any moment, the same command goes on from the last checkpoint; finished members are kept.

    Example: striata train study.yaml --set recipe.max_steps=500
    """
    from .. import train as train_study
    from ..choices import BASELINES
    from ..runs import StudyFolder, leaderboard
    from .inputs import open_study
    from .leaderboard import show_leaderboard
    from .output import note, print_json, say
    from .progress import progress

    spec = open_study(study, settings or [], track or [])
    with progress() as listen:
        result = train_study(spec, listen=listen, track=track or (), device=device)
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
        say(
            f"ensemble of {len(result.ensemble.members)}: validation accuracy "
            f"{result.ensemble.metrics['accuracy']:.4f}, chosen without the rows {result.ensemble.nested['accuracy']:.4f}, "
            f"in {result.ensemble.folder}"
        )
        if "ensemble" in result.test:
            say(f"ensemble test accuracy: {result.test['ensemble']['accuracy']:.4f}")
        say(f"next: striata predict {result.ensemble.folder} FILE")
    if result.failed:
        raise typer.Exit(1)
