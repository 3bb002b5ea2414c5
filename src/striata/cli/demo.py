"""`striata demo`."""

from __future__ import annotations

from .options import Settings


def demo(
    settings: Settings = None,
) -> None:
    """Train the nine built-in depth layouts on real news topics with a real encoder, ensemble the best, predict a file.

    Needs the demo's parts, which `make demo` installs. Writes runs/demo and runs/demo-data.
    """
    import time

    from .. import demo as parts
    from .. import load, load_study
    from .. import train as train_study
    from ..model.whole_file import predict_file
    from .leaderboard import show_leaderboard
    from .output import note, say
    from .progress import counter, progress

    began = time.monotonic()
    encoder = parts.encoder_folder()
    data = parts.write_data()
    study = load_study(parts.study_file(), [f"base={encoder}", *(settings or [])])
    note(f"encoder: {encoder}\ndata: {data}\n")
    with progress() as listen:
        result = train_study(study, listen=listen)
    say()
    show_leaderboard(result.folder)
    assert result.ensemble is not None
    out = result.folder / "predictions.csv"
    model = load(result.ensemble.folder)
    note("measuring the ensemble on the official test ...")
    measured = model.evaluate(data / "r8-test.csv")
    with counter("texts") as count:
        rows = predict_file(model, data / "r8-unlabelled.csv", out, progress=count)
    say()
    say(f"runs        {result.folder / 'runs'}")
    say(f"ensemble    {result.ensemble.folder} ({', '.join(result.ensemble.members)})")
    say(f"predictions {out} ({rows:,} rows of {data / 'r8-unlabelled.csv'})")
    say(f"next        striata evaluate {result.ensemble.folder} {data / 'r8-test.csv'}")
    say(f"took        {time.monotonic() - began:.0f} s")
    say(f"ensemble test accuracy: {measured.accuracy:.4f} on the {measured.metrics.rows:,} rows of the official R8 test")
