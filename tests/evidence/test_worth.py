"""Whether the encoder and the ensemble are worth their cost beside the best baseline."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from striata.cli.app import app
from striata.ensemble import Ensemble, load_ensemble, write_ensemble
from striata.evidence import compare_study, measure_worth
from striata.figures.intervals import paired_difference
from striata.report import write_report
from striata.report.model_card import card, find_subject
from striata.runs import RunFacts, StudyFolder
from striata.runs.run import RunRecord, Validation, write_run
from striata.runs.standings import total_seconds
from striata.tasks import SINGLE_LABEL

from ..study.synthetic import LABELS, logits_of, write_synthetic_study

ROWS = 400
TRUTH = np.random.default_rng(0).integers(0, len(LABELS), ROWS)


def right(rows: int, start: int = 0) -> np.ndarray:
    """Right on so many rows from a row on, wrong on the others."""
    places = np.zeros(ROWS, np.bool_)
    places[start : start + rows] = True
    return places


def study_of(folder: Path, encoder: np.ndarray, **baselines: np.ndarray) -> StudyFolder:
    """Two seeds of one layout, the better one right where `encoder` is, and baselines."""
    worse = encoder & (np.arange(ROWS) % 50 != 0)
    study = write_synthetic_study(
        folder / "out", {("s8", 0): logits_of(worse, TRUTH), ("s8", 1): logits_of(encoder, TRUTH)}, TRUTH
    )
    like = study.runs()[0]
    for at, (kind, hits) in enumerate(baselines.items()):
        logits = logits_of(hits, TRUTH)
        changes = {
            "kind": kind, "name": kind, "title": kind, "layout": kind, "plan_hash": "", "lora": 0, "trainable": 300 + at,
            "seconds": 10.0, "shared_seconds": 8.0 * (at > 0), "texts_per_second": 1000.0,
            "metrics": SINGLE_LABEL.scores(logits, TRUTH).to_json(),
        }  # fmt: skip
        facts = RunFacts(**(like.facts.model_dump() | changes))
        seen = replace(like.validation(), logits=logits)
        write_run(study.run_folder(kind), RunRecord(facts=facts, plan=None, receipt=None, history=(), validation=seen), None)
    return study


@pytest.mark.parametrize(
    ("encoder", "verdict", "words"),
    [
        (
            right(380),
            "better",
            "is better than frozen, the best of 2 baselines, by 400 validation rows: 95.00% right against 85.00%",
        ),
        (right(342), "not told apart", "is not told apart from frozen"),
        (right(280), "worse", "is worse than frozen"),
    ],
)
def test_the_best_encoder_run_is_compared_with_the_best_baseline_on_the_same_rows(
    tmp_path: Path, encoder: np.ndarray, verdict: str, words: str
) -> None:
    bar = right(340, start=20)
    study = study_of(tmp_path, encoder, majority=right(120), frozen=bar)
    worth = measure_worth(study.runs())
    (gain,) = worth.gains
    lost, won = int((bar & ~encoder).sum()), int((encoder & ~bar).sum())
    assert gain.difference == paired_difference(lost, won, ROWS)
    assert (gain.verdict, gain.contender.name, gain.bar.name) == (verdict, "s8-seed1", "frozen")
    assert (gain.contender.number, gain.bar.number, worth.rows) == (2, 2, ROWS)
    assert words in gain.sentence
    assert "It costs 12.5 s to train" in gain.sentence
    assert worth.sentences[-1] == "frozen costs 10 s to train, 301 parameters, 1,000 texts a second."


def test_the_best_run_is_the_one_that_the_study_calls_so(tmp_path: Path) -> None:
    study = study_of(tmp_path, right(300), lexical=right(340), frozen=right(330))

    def judged(settings: dict[str, object]) -> tuple[str, str]:
        losses = {"lexical": 0.9, "frozen": 0.4, "s8-seed0": 0.3, "s8-seed1": 0.5}
        runs = [
            replace(
                run,
                facts=run.facts.model_copy(
                    update={"study": settings, "metrics": {**run.metrics, "loss": losses[run.name]}},
                ),
            )
            for run in study.runs()
        ]
        (gain,) = measure_worth(runs).gains
        assert {gain.bar.figure, gain.contender.figure} == {"accuracy"}  # which is compared all the same
        return gain.bar.name, gain.contender.name

    assert judged({}) == ("lexical", "s8-seed1")
    assert judged({"recipe": {"best_by": "loss"}}) == ("frozen", "s8-seed0")


def test_an_ensemble_is_judged_by_members_chosen_without_the_row_whatever_their_order(tmp_path: Path) -> None:
    study = study_of(tmp_path, right(330), lexical=right(340, start=60), frozen=right(320, start=40))
    ensemble = write_ensemble(study.path, size=4)
    seen = ensemble.validation()
    hits = np.empty(ROWS, np.bool_)
    hits[seen.ids] = seen.logits.argmax(1) == seen.labels
    bar = right(340, start=60)
    gain = measure_worth(study.runs(), ensemble).gains[1]
    assert gain.difference == paired_difference(int((bar & ~hits).sum()), int((hits & ~bar).sum()), ROWS)
    assert gain.contender.seconds == pytest.approx(sum(run.facts.seconds for run in ensemble.runs.values()))
    assert gain.contender.texts_per_second is None  # that of the adapters was not measured

    class Turned:
        runs = ensemble.runs

        def validation(self) -> Validation:
            return replace(seen, **{name: getattr(seen, name)[::-1] for name in ("ids", "texts", "labels", "logits")})

    assert measure_worth(study.runs(), Turned()).gains[1] == gain


def test_what_baselines_share_is_counted_once_in_a_total(tmp_path: Path) -> None:
    study = study_of(tmp_path, right(330), lexical=right(300), frozen=right(320), neighbours=right(310))
    by_name = {run.name: run.facts for run in study.runs()}
    assert total_seconds(by_name.values()) == pytest.approx(2 * 12.5 + 10 + (10 - 8) + (10 - 8) + 8)
    assert total_seconds([]) == 0


def test_a_study_without_baselines_says_so_and_how_to_have_them(tmp_path: Path) -> None:
    study = study_of(tmp_path, right(330))
    worth = measure_worth(study.runs())
    assert (worth.bar, worth.gains) == (None, ())
    (sentence,) = worth.sentences
    assert "this study has no baselines" in sentence
    assert "`baselines: auto`" in sentence
    shown = CliRunner().invoke(app, ["leaderboard", str(study.path)])
    assert shown.stdout.startswith("Whether the encoder is worth its cost is not known")


def test_baselines_alone_are_told_to_be_alone(tmp_path: Path) -> None:
    study = study_of(tmp_path, right(330), lexical=right(300))
    worth = measure_worth([run for run in study.runs() if run.kind == "lexical"])
    assert worth.sentences[0] == "No encoder is fine-tuned here; the best baseline is lexical: 75.00% right."
    for run in study.runs():
        if run.kind != "lexical":
            shutil.rmtree(run.path)
    comparison = compare_study(study)
    assert (len(comparison.layouts), comparison.differences) == (1, ())
    assert "baselines only" in comparison.reference
    page = write_report(study.path).read_text()
    assert 'id="leaderboard"' in page
    assert not [name for name in ("trained", "layouts", "training", "differences") if f'id="{name}"' in page]


def test_leaderboard_report_and_card_say_it_and_show_what_all_cost(tmp_path: Path) -> None:
    study = study_of(tmp_path, right(330), lexical=right(300), frozen=right(310))
    ensemble: Ensemble = write_ensemble(study.path, size=3)
    sentences = measure_worth(study.runs(), load_ensemble(ensemble.folder)).sentences
    runner = CliRunner()
    shown = runner.invoke(app, ["leaderboard", str(study.path)])
    assert shown.stdout.splitlines()[: len(sentences)] == list(sentences)
    for command in (["leaderboard"], ["leaderboard", "--runs"]):
        table = runner.invoke(app, [*command, str(study.path)]).stdout
        row = next(line for line in table.splitlines() if line.startswith("lexical "))
        assert {"300", "10.0", "1,000"} <= set(row.split())
    page = write_report(study.path).read_text()
    assert page.index(sentences[0].split(",")[0]) < page.index("First is")
    assert "texts/s" in page
    text = card(find_subject(study.path))
    assert sentences[0].split(",")[0] in text
    assert "| 10 | 1,000 | frozen |" in text


def test_baselines_are_listed_and_make_no_comparison_of_layouts_stricter(tmp_path: Path) -> None:
    study = study_of(tmp_path, right(330), lexical=right(300), frozen=right(310))
    comparison = compare_study(study)
    assert {row.layout for row in comparison.layouts} == {"s8", "lexical", "frozen"}
    assert comparison.differences == ()
    assert not [note for note in comparison.notes if "lexical" in note]
    against = compare_study(study, reference="lexical")
    assert {one.layout for one in against.differences} == {"s8", "frozen"}
