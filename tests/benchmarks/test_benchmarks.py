"""The benchmark gives both sides the same work and says rightly what it measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel

from benchmarks import adaptation, memory, peer, prediction
from benchmarks.__main__ import arguments, main
from benchmarks.cost import of_length, plot
from benchmarks.measure import quotients, row
from benchmarks.opening import write_runs
from benchmarks.ours import Study
from benchmarks.quality import shown
from benchmarks.rows import GROUPS, Effort, training
from benchmarks.table import cells, machine, markdown, plain
from benchmarks.work import LABELS, Work
from striata.layout import make_plan
from striata.runs import leaderboard

from ..engine.models import make_encoder, random_texts

LAYOUT = "0-3 r16 a4 d0.1 query"


def work_of(folder: Path, family: str = "roberta") -> Work:
    texts = random_texts(np.random.default_rng(0), 40)
    base = make_encoder(folder, family, dropout=0.1)
    return Work(base=base, texts=texts, targets=np.arange(40) % LABELS, longest=80)


@pytest.mark.parametrize("family", ["roberta", "modernbert", "albert", "distilbert"])
def test_the_limit_counts_the_arithmetic_of_the_encoders_matrices(tmp_path: Path, family: str) -> None:
    """Against torch's own count of a forward pass, without the attention's products."""
    work = work_of(tmp_path, family)
    model = AutoModel.from_pretrained(work.base, attn_implementation="eager").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.arange(3, 23)[None])
    counts = counter.get_flop_counts()["Global"]
    matrices = sum(count for operation, count in counts.items() if "bmm" not in str(operation))
    extra = 2 * 32 * 32 if family in ("roberta", "albert") else 0  # the pooler, for one token
    extra += 20 * 2 * 16 * 32 if family == "albert" else 0  # from the embeddings' size to the encoder's
    assert matrices - extra == 20 * work.flop_per_token() / 2


def test_both_sides_train_the_same_parameters(tmp_path: Path) -> None:
    work = work_of(tmp_path)
    plan = make_plan(LAYOUT, base=str(work.base), labels=LABELS)
    theirs = peer.adapted(work.base)
    assert sum(p.numel() for p in theirs.parameters() if p.requires_grad) == plan.trainable
    rates = {m.p for name, m in theirs.named_modules() if isinstance(m, torch.nn.Dropout) and "lora_dropout" in name}
    assert rates == {site.dropout for site in plan.sites}


def test_our_side_counts_the_tokens_it_read(tmp_path: Path) -> None:
    """40 texts in batches of 16: three steps are one epoch of each member."""
    work = work_of(tmp_path)
    study = Study(work, [LAYOUT, LAYOUT], "fp32")
    assert study.steps(3) > 0
    assert study.tokens == 2 * int(work.texts.lengths.sum())


class OneFlop:
    """Stands in for the large product."""

    def rate(self) -> float:
        return 1.0


def test_the_two_sides_alternate_and_the_share_is_that_of_the_time(tmp_path: Path) -> None:
    work = work_of(tmp_path)
    effort = Effort(alternations=2, steps=2, texts=0, threads=1, source=tmp_path)
    study = Study(work, [LAYOUT, LAYOUT], "fp32")
    found = training(work, effort, "fp32", {"two": (study, 3)}, OneFlop())
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(("peer", "product", "two", "two FLOP/s"), 2)
    seconds = 3 * 2 * found["two"][-1]
    assert found["two FLOP/s"][-1] * seconds == pytest.approx(study.tokens * work.flop_per_token())
    assert min(found["peer"]) > 0


def test_the_peers_memory_is_of_the_process_it_trains_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = work_of(tmp_path)
    monkeypatch.setattr(memory.shared, "load", lambda *_, **__: work)
    monkeypatch.setattr(peer.multiprocessing, "get_context", lambda _: pytest.fail("another process would hold it"))
    steps = []
    monkeypatch.setattr(peer.Trainer, "train", lambda trainer: steps.append(trainer.args.max_steps))
    memory.main("peer", str(work.base), "texts.csv", "40", "2", str(torch.get_num_threads()))
    assert steps == [peer.WARMUP + 2]
    assert int(capsys.readouterr().out.split()[-1]) > 10_000_000


def test_texts_of_one_length(tmp_path: Path) -> None:
    texts = of_length(random_texts(np.random.default_rng(0), 5), 64, 7)
    assert texts.lengths.tolist() == [64] * 7


def report() -> dict[str, object]:
    speed = row("one-bf16", "one", "s a step and member", [1, 2, 4], [5, 8, 12], quotients([5, 8, 12], [1, 2, 4]),
                versus="peer", target=4)  # fmt: skip
    held = row("memory", "peak", "GB", [1.0], [4.0], [0.25], versus="nine", target=0.2, better="lower")
    points = [{"at": at, "seconds": at / 10, "lowest": at / 12, "highest": at / 9, "tokens": 800 * at} for at in (1, 3)]
    return {
        "rows": [speed.to_json(), held.to_json()],
        "curves": {"members": points},
        "skipped": ["gpu-study: no GPU."],
        "machine": machine(2),
        "settings": {"alternations": 3, "steps": 1},
    }


def test_medians_ranges_and_targets() -> None:
    speed, held = report()["rows"]  # type: ignore[misc]
    assert (speed["ours"], speed["peer"], speed["ratio"], speed["lowest"], speed["highest"]) == (2, 8, 4, 3, 5)
    assert speed["met"]
    assert not held["met"]
    assert cells(speed)[4:] == ("4.00 (3.00-5.00)", "≥ 4", "met")
    assert cells(held)[4:] == ("0.25 (0.25-0.25)", "≤ 0.2", "not met")


def test_the_report_is_shown_without_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report()))
    main(["--json", str(file), "--markdown", "--plot", str(tmp_path)])
    shown = capsys.readouterr().out
    assert markdown(report()) in shown
    assert "gpu-study: no GPU." in shown
    assert (tmp_path / "cost-members.svg").read_text().startswith("<?xml")
    assert "125 us a token" in plain(report())
    assert plot({}, tmp_path) == []


def test_a_row_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments(["study-bf61"])
    assert "there is no row 'study-bf61'; expected some of study-bf16" in capsys.readouterr().err
    names = [name for group in GROUPS for name in group.rows]
    assert len(set(names)) == len(names)


def test_quality_shows_differences_in_points_with_their_error() -> None:
    sides = {"fp32": {"accuracy": [0.90, 0.92], "seconds": 1.0}, "bf16": {"accuracy": [0.91, 0.92], "seconds": 1.0}}
    text = shown({"sides": sides, "settings": {"seeds": 2}})
    error = math.sqrt((2.0 + 0.5) / 2)
    assert f"striata, bf16 minus striata, fp32: +0.50 points (standard error over seeds {error:.2f}), outside 0.3." in text
    assert "peft" not in text


def test_the_runs_that_are_opened_are_as_many_as_asked_for(tmp_path: Path) -> None:
    rows = leaderboard(write_runs(tmp_path / "out", 11))
    assert len({row.run for row in rows}) == 11
    assert {row.seed for row in rows} == {0, 1}


def test_what_adaptation_gains_is_paired_by_draw() -> None:
    lines = [{"adapted": x, "checked": y, "without": 0.8, "seconds": 2.0} for x, y in ((0.81, 0.8), (0.83, 0.83))]
    whole = adaptation.summary(lines)
    means = {"draws": 2, "adapted": 0.82, "checked": 0.815, "without": 0.8, "seconds": 2.0}
    # the quantile of Student's t with one degree of freedom, times the standard error of +1 and +3, and of 0 and +3
    gains = {"adapted, gained points": 2.0, "adapted, +-": 12.71, "checked, gained points": 1.5, "checked, +-": 19.06}
    assert whole == means | gains
    assert "adapted, +-" not in adaptation.summary(lines[:1])


def test_every_row_of_prediction_is_measured_where_its_peer_is_there() -> None:
    sides = ("ours", "loop", "onnx", "openvino", "pipeline", "own int8", "int8", "products", "four", "distilled")
    measured = {side: [10.0 * at, 11.0 * at, 12.0 * at] for at, side in enumerate(sides, 1)}
    latency = {side: np.full(5, 3.0 * at) for at, side in enumerate(("ours", "loop", "products"), 1)}
    rows = {row.name: row for row in prediction._rows(measured, latency, ["at 1 GFLOP/s", "at 2 GFLOP/s"])}
    assert tuple(rows) == prediction.ROWS_OF_PREDICTION
    assert (rows["predict-loop"].ratio, rows["predict-share"].ratio) == (0.5, 1 / 8)
    assert (rows["latency"].ratio, rows["latency-share"].ratio) == (0.5, 1 / 3)
    assert (rows["four-members"].ratio, rows["distilled"].ratio) == (1 / 9, 1 / 10)
    assert "at 1 GFLOP/s" in rows["predict-share"].versus
    assert "at 2 GFLOP/s" in rows["latency-share"].versus
