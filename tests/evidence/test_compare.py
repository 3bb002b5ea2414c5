"""Studies compared: who against whom, joined by name, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from striata.errors import RunError, StudyError
from striata.evidence import Comparison, Noise, compare_pair, compare_study, foresee, measured_noise
from striata.evidence.paired import compare_crossed
from striata.evidence.sentences import sentence
from striata.figures.spread import seed_parts
from striata.report.contents import collect
from striata.runs import StudyFolder
from striata.settings import Recipe, load_study
from striata.study import plan_members

from ..study.synthetic import LABELS, logits_of, write_synthetic_run, write_synthetic_study
from .simulated import draw

ROWS = 300
RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, ROWS)


def study(folder: Path, right: dict[tuple[str, int], np.ndarray], **settings: Any) -> StudyFolder:
    logits = {key: logits_of(table, TRUTH) for key, table in right.items()}
    return write_synthetic_study(folder / "out", logits, TRUTH, **settings)


def rights(layouts: tuple[str, ...], seeds: int, **model: Any) -> dict[tuple[str, int], np.ndarray]:
    table = draw(np.random.default_rng(1), len(layouts), seeds, ROWS, **model)
    return {(name, seed): table[at, seed] for at, name in enumerate(layouts) for seed in range(seeds)}


def pairs(found: Comparison) -> set[tuple[str, str]]:
    return {(one.layout, one.reference) for one in found.differences}


def test_the_figures_are_those_of_the_tables(tmp_path: Path) -> None:
    right = rights(("s8", "s8:uniform", "s5"), 3)
    found = compare_study(study(tmp_path, right))
    tables = {name: np.stack([right[name, seed] for seed in range(3)]) for name in ("s8", "s8:uniform", "s5")}
    for row in found.layouts:
        assert row.accuracy == pytest.approx(tables[row.layout].mean())
        assert row.low < row.accuracy < row.high
        assert row.macro_f1_low < row.macro_f1 < row.macro_f1_high
        assert row.seconds == 12.5
    parts = seed_parts([list(table.mean(1)) for table in tables.values()])
    one = next(d for d in found.differences if d.layout == "s8")
    expected = compare_crossed(tables["s8"], tables["s8:uniform"], (parts[0], parts[1]), 0.95)
    assert (one.difference, one.low, one.high, one.p) == pytest.approx((expected.value, expected.low, expected.high, expected.p))
    assert one.p_adjusted >= one.p
    assert found.to_json()["rows"] == ROWS


def test_the_layouts_together_against_their_controls(tmp_path: Path) -> None:
    names = ("s8", "s5", "s1", "s8:uniform", "s5:uniform", "s5:reversed")
    right = rights(names, 3)
    found = compare_study(study(tmp_path, right))
    (one,) = found.together  # only s5 has a reversed control
    assert (one.control, one.layouts, one.seeds) == ("uniform", ("s5", "s8"), (0, 1, 2))
    mean = {name: np.mean([right[name, seed].mean() for seed in range(3)]) for name in names}
    assert one.difference == pytest.approx((mean["s8"] + mean["s5"] - mean["s8:uniform"] - mean["s5:uniform"]) / 2)
    assert one.low < one.difference < one.high
    assert one.verdict == "not told apart"
    assert one.sentence.startswith("the mean of 2 layouts is not told apart from that of their :uniform controls by 300 rows")
    assert found.to_json()["together"]


def test_what_adaptation_gained_is_said_in_a_sentence(tmp_path: Path) -> None:
    """Against the same layout without; with a uniform control beside it, that stays the reference of layouts."""

    def compared(place: str, *layouts: str, without: float, seeds: int = 3) -> Comparison:
        table = {seed: np.arange(ROWS) < 240 - seed for seed in range(seeds)}
        folder = study(tmp_path / place, {(name, seed): table[seed] for name in layouts for seed in range(seeds)})
        for name in layouts:
            if ":" not in name:
                for seed in range(seeds):
                    right = (np.arange(ROWS) + seed) % ROWS < ROWS * without
                    facts = {"title": f"{name}-no-adapt", "control": "no-adapt", "control_of": {"no-adapt": (name,)}}
                    recipe = Recipe(max_steps=7).model_dump(mode="json")  # else it would be one plan and recipe
                    write_synthetic_run(folder.path, name, seed, logits_of(right, TRUTH), TRUTH, recipe=recipe, **facts)
        return compare_study(folder)

    better = compared("better", "s8", without=0.6)
    assert better.reference == "each layout's own :no-adapt control"
    (pair,), (whole,) = better.differences, better.together
    assert (pair.layout, pair.reference) == ("s8", "s8-no-adapt")
    assert (whole.difference, whole.low, whole.high, whole.p) == (pair.difference, pair.low, pair.high, pair.p)
    assert whole.sentence.startswith("adaptation to texts without labels gained 19.67 points (difference +")
    assert compared("worse", "s8", without=0.95).together[0].sentence.startswith("adaptation to texts without labels lost 15")
    same = compared("same", "s8", "s5", without=0.8, seeds=1).together[0]
    assert same.sentence.startswith(
        "adaptation to texts without labels is not told apart from none: +0.00 points in the mean of 2 layouts (difference"
    )
    both = compared("both", "s8", "s8:uniform", without=0.6)
    assert [(one.layout, one.reference) for one in both.differences] == [("s8", "s8:uniform")]
    assert [one.control for one in both.together] == ["no-adapt"]


def test_a_layout_whose_seeds_scatter_is_named_where_it_is_shown(tmp_path: Path) -> None:
    right = rights(("s1", "s5", "s8", "s2"), 3)
    right |= {("s9", seed): np.random.default_rng(seed).random(ROWS) < share for seed, share in enumerate((0.95, 0.3, 0.6))}
    folder = study(tmp_path, right)
    note = "seeds of s9 scatter more than the other layouts'; they are judged by their own"
    assert note in compare_study(folder).notes
    assert note in compare_pair(folder, "s1", "s9").notes
    assert not any("scatter" in each for each in compare_pair(folder, "s1", "s5").notes)


def test_references(tmp_path: Path) -> None:
    layouts = ("s5", "s8", "s8:uniform", "s8:reversed")
    folder = study(tmp_path, rights(layouts, 2))
    found = compare_study(folder)
    assert pairs(found) == {("s8", "s8:uniform"), ("s8:reversed", "s8:uniform")}  # s5 is the first layout
    assert found.reference == "each layout's own :uniform control"
    assert pairs(compare_study(folder, reference="reversed")) == {("s8", "s8:reversed")}
    assert pairs(compare_study(folder, reference="s8-uniform")) == {(name, "s8:uniform") for name in layouts} - {
        ("s8:uniform", "s8:uniform")
    }
    (tmp_path / "other").mkdir()
    other = study(tmp_path / "other", rights(("s8", "s5", "s1"), 2))
    assert pairs(compare_study(other)) == {("s5", "s8"), ("s1", "s8")}
    with pytest.raises(StudyError, match=r"has no :reversed control of any layout; add `controls: \[reversed\]`"):
        compare_study(other, reference="reversed")


def test_rows_are_joined_by_number_and_labels_by_name(tmp_path: Path) -> None:
    right = rights(("s8", "s5"), 2)
    plain = compare_study(study(tmp_path, right))
    mixed = tmp_path / "mixed"
    folder = study(mixed, {key: table for key, table in right.items() if key != ("s5", 1)})
    order, names = np.random.default_rng(2).permutation(ROWS), (LABELS[2], LABELS[0], LABELS[1])
    labels = (TRUTH[order] + 1) % 3  # the same labels, named in another order
    logits = logits_of(right["s5", 1][order], labels)
    write_synthetic_run(folder.path, "s5", 1, logits, labels, ids=order, names=names)
    found = compare_study(folder)
    assert found.differences == plain.differences
    assert [row.accuracy for row in found.layouts] == [row.accuracy for row in plain.layouts]


def test_one_seed_is_mcnemar_and_says_what_it_is(tmp_path: Path) -> None:
    right = rights(("s8", "s5"), 1)
    found = compare_study(study(tmp_path, right))
    (one,) = found.differences
    b, c = ((right[x, 0] & ~right[y, 0]).sum() for x, y in (("s5", "s8"), ("s8", "s5")))
    assert one.p == pytest.approx(stats.binomtest(int(b), int(b + c)).pvalue)
    assert "McNemar" in one.method
    assert one.seeds_needed is None
    assert any("one seed only" in note for note in found.notes)
    wilson = stats.binomtest(int(right["s8", 0].sum()), ROWS).proportion_ci(method="wilson")
    s8 = next(row for row in found.layouts if row.layout == "s8")
    assert (s8.low, s8.high) == pytest.approx((wilson.low, wilson.high))


def test_the_sentence_says_how_much_would_tell(tmp_path: Path) -> None:
    (one,) = compare_study(study(tmp_path, rights(("s8", "s8:uniform"), 3, accuracy=[0.92, 0.91], by_seed=0.0))).differences
    assert one.verdict == "not told apart"
    assert one.sentence.startswith("s8 is not told apart from s8:uniform by 300 rows and 3 seeds: ")
    assert "corrected" not in one.sentence
    assert one.sentence.endswith(" would be needed") == (one.rows_needed is not None or one.seeds_needed is not None)
    same = study(tmp_path / "same", {key: np.arange(ROWS) > 20 for key in rights(("s8", "s8:uniform"), 2)})
    (equal,) = compare_study(same).differences
    assert (equal.p, equal.difference, equal.rows_needed, equal.seeds_needed) == (1, 0, None, None)
    assert "nothing to tell" in equal.sentence


@pytest.mark.parametrize(
    ("seeds", "comparisons", "needed", "expected"),
    [
        (
            3, 1, (61_234, 9),
            "a is not told apart from b by 5,000 rows and 3 seeds: +0.12 points (-0.31 to +0.55), p = 0.58; "
            "about 61,000 rows or 9 seeds would be needed",
        ),
        (3, 9, (None, 9), "p = 0.58, 1 corrected for 9 comparisons; about 9 seeds would be needed"),
        (3, 1, (None, None), "p = 0.58; no number of rows or of seeds alone would tell so little"),
        (
            1, 1, (612, None),
            "and 1 seed: +0.12 points (-0.31 to +0.55), p = 0.58; about 610 rows would be needed to tell these two runs apart; "
            "one seed says nothing about how much seeds scatter",
        ),
        (0, 1, (7, None), "by 5,000 rows: +0.12 points (-0.31 to +0.55), p = 0.58; about 7 rows would be needed"),
    ],
)  # fmt: skip
def test_sentences(seeds: int, comparisons: int, needed: tuple[int | None, int | None], expected: str) -> None:
    p = (0.58, min(1.0, 0.58 * comparisons))
    said = sentence(
        ("a", "b"), "not told apart", (0.0012, -0.0031, 0.0055), p, rows=5000, seeds=seeds, comparisons=comparisons, needed=needed
    )
    assert said.endswith(expected)


def test_missing_seeds_are_named_and_only_common_ones_are_used(tmp_path: Path) -> None:
    right = rights(("s8", "s8:uniform", "s5"), 3)
    for key in (("s8:uniform", 2), ("s5", 0), ("s5", 1)):
        del right[key]
    found = compare_study(study(tmp_path, right))
    one = next(d for d in found.differences if d.layout == "s8")
    assert one.seeds == (0, 1)
    assert "by 300 rows and 2 seeds" in one.sentence
    assert "s8:uniform has no run of seed 2; it is compared by the seeds that both sides have" in found.notes
    assert any(note.startswith("s5 has no run of seed 0, 1;") for note in found.notes)
    with pytest.raises(StudyError, match="s5 has seeds 2 and s8:uniform 0, 1: none in common; train both with the same"):
        compare_pair(StudyFolder.open(tmp_path / "out"), "s5", "s8:uniform")


def test_what_is_the_same_plan_is_not_compared(tmp_path: Path) -> None:
    found = compare_study(study(tmp_path, rights(("as-run-s2", "as-run-s3", "as-run-s5"), 2)))
    assert pairs(found) == {("as-run-s5", "as-run-s2")}
    assert "as-run-s3 and as-run-s2 are one and the same plan and recipe and are not compared" in found.notes


def test_a_shared_control_is_found_by_its_other_name(tmp_path: Path) -> None:
    folder = study(tmp_path, rights(("s2", "s3"), 2))
    right = rights(("s2:uniform",), 2, accuracy=0.85)
    for seed in (0, 1):
        logits = logits_of(right["s2:uniform", seed], TRUTH)
        write_synthetic_run(
            folder.path, "s2:uniform", seed, logits, TRUTH, aliases=("s3:uniform",), control_of={"uniform": ("s2", "s3")}
        )
    found = compare_study(folder)
    assert pairs(found) == {("s2", "s2:uniform"), ("s3", "s2:uniform")}
    assert any(note.startswith("s2:uniform stands for s3:uniform too") for note in found.notes)
    assert pairs(compare_pair(folder, "s3", "s3:uniform")) == {("s3", "s2:uniform")}


def test_a_layout_is_no_control_by_its_name(tmp_path: Path) -> None:
    folder = study(tmp_path, rights(("s1",), 2))
    for layout, title in (("s8", "mine"), ("s5", "mine-uniform")):
        for (_, seed), table in rights((layout,), 2).items():
            write_synthetic_run(folder.path, layout, seed, logits_of(table, TRUTH), TRUTH, title=title)
    assert pairs(compare_study(folder)) == {("mine", "s1"), ("mine-uniform", "s1")}
    with pytest.raises(StudyError, match="has no :uniform control of any layout"):
        compare_study(folder, reference="uniform")
    (report,) = [group for group in collect(folder.path).groups if group.title == "mine-uniform"]
    assert report.control == ""
    assert len({group.family for group in collect(folder.path).groups}) == 3


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"ids": np.arange(ROWS) + 10}, RunError, r"validated on different rows: row 0 is in one of them only \(20 such rows\)"),
    ({"names": ("Business", "Sports", "Weather")}, RunError, r"have different labels \(Weather, World in one of them only\)"),
    (
        {"labels": np.where(np.arange(ROWS) == 5, (TRUTH + 1) % 3, TRUTH)},
        RunError,
        "different true labels for validation row 5 ",
    ),
    ({"data_fingerprint": "2" * 64}, RunError, "were trained on different data"),
    ({"logits": np.full((ROWS, 3), np.nan)}, RunError, "logits that are not finite for 300 validation rows"),
    ({"logits": np.full((ROWS, 3), np.inf)}, RunError, "logits that are not finite"),
    ({"ids": np.zeros(ROWS, np.int64)}, RunError, "has a validation row twice"),
    ({"title": "s8", "layout": "s1"}, StudyError, "the runs of s8 have different plans or recipes"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG, ids=[message.replace("\\", "")[:30] for _, _, message in WRONG])
def test_a_run_that_does_not_belong_is_named(tmp_path: Path, wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    folder = study(tmp_path, rights(("s8", "s5"), 1))
    given = {"layout": "s8", "seed": 1, "labels": TRUTH, "logits": logits_of(np.ones(ROWS, bool), TRUTH), **wrong}
    write_synthetic_run(folder.path, **given)
    with pytest.raises(error, match=message) as caught:
        compare_study(folder)
    assert "\n" not in str(caught.value)


def test_a_study_with_one_run_or_none(tmp_path: Path) -> None:
    folder = study(tmp_path, rights(("s8",), 1))
    found = compare_study(folder)
    assert (len(found.layouts), found.differences) == (1, ())
    assert found.reference == "none: there is nothing to compare with"
    with pytest.raises(StudyError, match="has only one finished run, s8-seed0, and nothing to compare it with"):
        compare_pair(folder, "s8", "s5")
    empty = study(tmp_path / "empty", rights(("s8",), 1))
    for file in sorted((empty.path / "runs").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    with pytest.raises(StudyError, match="has no finished run yet"):
        compare_study(empty)


def test_the_noise_of_a_finished_study_is_measured(tmp_path: Path) -> None:
    """Runs that err independently, each seed at its own rate: rows have no lasting part, and the rest is in closed form."""
    rng, rates = np.random.default_rng(4), (0.70, 0.80, 0.90)
    right = {(f"s{at}", seed): rng.random(ROWS) < rate for at in range(1, 7) for seed, rate in enumerate(rates)}
    found = measured_noise(study(tmp_path, right))
    assert found.by_seed**0.5 == pytest.approx(0.1, rel=0.15)
    assert found.rest == pytest.approx(float(np.mean([2 * rate * (1 - rate) for rate in rates])), rel=0.05)
    assert found.by_row < 0.05 * found.rest
    (tmp_path / "one").mkdir()
    with pytest.raises(StudyError, match="no two layouts with two seeds in common"):
        measured_noise(study(tmp_path / "one", rights(("s1", "s8"), 1)))


def test_what_is_foreseen_counts_the_comparisons_that_will_be_made(tmp_path: Path) -> None:
    layouts = ["s1", "s5", "s8", "s0"]
    asked = {"base": "roberta-base", "head": "linear", "data": {"train": "a.csv"}, "output": "x", "seeds": [0, 1]}
    foreseen = foresee(plan_members(load_study({**asked, "layouts": layouts, "controls": ["uniform", "reversed"]}), 3), ROWS)
    with_controls = [f"{name}{end}" for name in layouts[:3] for end in ("", ":uniform", ":reversed")]
    right = rights((*with_controls, "s0"), 2)
    found = compare_study(study(tmp_path, right))
    assert foreseen.comparisons == len(found.differences) == 7
    assert foreseen.reference == found.reference
    calm = foresee(
        plan_members(load_study({**asked, "layouts": layouts}), 3), ROWS, noise=Noise(by_seed=0, by_row=0.001, rest=0.001)
    )
    assert calm.resolvable is not None
    assert foreseen.resolvable is not None
    assert calm.resolvable < foreseen.resolvable
    assert "0.00 points from seed to seed" in calm.assumptions
    assert "differ in being right on 0.2% of the rows, on 50% of these whatever the seed" in calm.assumptions


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_a_confidence_of_nothing_or_of_certainty_is_refused(tmp_path: Path, confidence: float) -> None:
    folder = study(tmp_path, rights(("s1", "s5"), 1))
    with pytest.raises(StudyError, match="confidence"):
        compare_study(folder, confidence=confidence)
