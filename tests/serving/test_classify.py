"""`/v1` and `/v2` against the model itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striata
from striata.model import Model

from .made import client, texts


def test_an_answer_is_what_the_model_says(ensemble: Model) -> None:
    some = texts(0, 8)
    with client({"mine": ensemble}) as server:
        answer = server.post("/v1/classify", json={"texts": some, "coverage": 0.8, "abstain_below": 0.4, "votes": True})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model"] == "mine"
    rows = body["answers"]
    expected = ensemble.predict_proba(some)
    np.testing.assert_array_equal(
        np.array([[row["probabilities"][label] for label in ensemble.labels] for row in rows], np.float32), expected
    )
    assert [row["label"] for row in rows] == ensemble.predict(some, abstain_below=0.4)
    assert [np.float32(row["probability"]) for row in rows] == expected.max(1).tolist()
    assert [row["set"] for row in rows] == ensemble.predict_sets(some, 0.8)
    assert [row["cut"] for row in rows] == [len(text.split()) + 2 > 32 for text in some]
    members = ensemble.member_logits(some)
    for name, logits in members.items():
        assert [row["votes"][name]["label"] for row in rows] == [ensemble.labels[at] for at in logits.argmax(1)]
    assert any(row["cut"] for row in rows)
    assert not all(row["cut"] for row in rows)


def test_only_what_was_asked_for_is_in_an_answer(ensemble: Model) -> None:
    with client({"mine": ensemble}) as server:
        (row,) = server.post("/v1/classify", json={"texts": ["w1 w2"], "probabilities": False}).json()["answers"]
    assert set(row) == {"label", "probability", "cut"}


def test_pairs_are_read_as_pairs(ensemble: Model) -> None:
    first, second = texts(1, 3), texts(2, 3)
    with client({"mine": ensemble}) as server:
        rows = server.post("/v1/classify", json={"texts": first, "pairs": second}).json()["answers"]
    expected = ensemble.predict_proba(first, second)
    assert [[np.float32(value) for value in row["probabilities"].values()] for row in rows] == expected.tolist()
    assert expected.tolist() != ensemble.predict_proba(first).tolist()


def test_a_cascade_has_no_votes_of_members_that_it_did_not_ask(study: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from striata.ensemble import Cascade

    ensemble = striata.load(study / "ensemble", device="cpu", precision="fp32")
    early = next(name for name, run in ensemble.runs.items() if run.kind == "lexical")
    some = texts(3, 12)
    sure = np.sort(ensemble.task.probabilities(ensemble.member_logits(some)[early].astype(np.float64)).max(1))
    cascade = Cascade(
        early=early, threshold=float(sure[6]), early_temperature=1.0, late_temperature=1.0, loss=0.1, rows=40, answered=20,
        lost=0, gained=0, unproven=0.5,
    )  # fmt: skip
    ensemble.combiner = replace(ensemble.combiner, kind="cascade", cascade=cascade)
    with client({"mine": ensemble}) as server:
        rows = server.post("/v1/classify", json={"texts": some, "votes": True}).json()["answers"]
    assert [[np.float32(value) for value in row["probabilities"].values()] for row in rows] == ensemble.predict_proba(
        some
    ).tolist()
    alone = [row for row in rows if [name for name, vote in row["votes"].items() if vote is not None] == [early]]
    assert 0 < len(alone) < len(rows)
    assert all(None not in row["votes"].values() for row in rows if row not in alone)


def test_the_open_inference_protocol(ensemble: Model) -> None:
    some = texts(4, 4)
    with client({"mine": ensemble}) as server:
        assert server.get("/v2/health/live").json() == {"live": True}
        assert server.get("/v2/health/ready").json() == {"ready": True}
        assert server.get("/v2/models/mine/ready").json() == {"name": "mine", "ready": True}
        assert server.get("/v2").json()["name"] == "striata"
        metadata = server.get("/v2/models/mine").json()
        assert [tensor["name"] for tensor in metadata["inputs"]] == ["text", "pair"]
        tensor = {"name": "text", "shape": [4, 1], "datatype": "BYTES", "data": [[text] for text in some]}
        whole = server.post("/v2/models/mine/infer", json={"id": "7", "inputs": [tensor]}).json()
        flat = {**tensor, "data": some}
        labels = server.post("/v2/models/mine/infer", json={"inputs": [flat], "outputs": [{"name": "label"}]}).json()
    assert (whole["model_name"], whole["id"], whole["model_version"]) == ("mine", "7", metadata["versions"][0])
    label, probabilities = whole["outputs"]
    assert label == {"name": "label", "shape": [4], "datatype": "BYTES", "data": ensemble.predict(some)}
    assert probabilities["shape"] == [4, 3]
    assert np.array(probabilities["data"], np.float32).reshape(4, 3).tolist() == ensemble.predict_proba(some).tolist()
    assert labels["outputs"] == [label]


def test_several_models_hold_their_encoder_once(study: Path) -> None:
    runs = sorted(path for path in (study / "runs").iterdir() if "lexical" not in path.name)
    some = texts(5)
    alone = [striata.load(path, device="cpu", precision="fp32").predict_proba(some).tolist() for path in runs]
    with client([*runs, f"both={study / 'ensemble'}"]) as server:
        assert [model["name"] for model in server.get("/v1/models").json()["models"]] == [*(run.name for run in runs), "both"]
        for run, expected in zip(runs, alone, strict=True):
            rows = server.post("/v1/classify", json={"texts": some, "model": run.name}).json()["answers"]
            assert [[np.float32(value) for value in row["probabilities"].values()] for row in rows] == expected
        assert server.post("/v1/classify", json={"texts": some}).json()["code"] == "no_model"


BAD = (
    ({}, 422, "invalid", "texts"),
    ({"texts": []}, 422, "invalid", "texts"),
    ({"texts": "one"}, 422, "invalid", "texts"),
    ({"texts": ["w1", 3]}, 422, "invalid", "texts[1]"),
    ({"texts": ["w1", "  "]}, 422, "blank_text", "texts[1]"),
    ({"texts": ["\ud800"]}, 422, "invalid", "texts[0]"),
    ({"texts": ["w1"], "pairs": ["w1", "w2"]}, 422, "pairs", "pairs"),
    ({"texts": ["w1"], "secret word": 1}, 422, "invalid", None),
    ({"texts": ["w1"], "coverage": 1.0}, 422, "invalid", "coverage"),
    ({"texts": ["w1"], "coverage": 0.9999}, 409, "coverage", "coverage"),
    ({"texts": ["w1"], "abstain_below": 2}, 422, "invalid", "abstain_below"),
    ({"texts": ["w1"], "model": "secret word"}, 404, "unknown_model", "model"),
    ({"texts": ["w1"] * 40}, 413, "too_many_texts", None),
)


@pytest.mark.parametrize(("body", "status", "code", "field"), BAD)
def test_what_is_wrong_with_a_request_is_said_in_one_form(
    ensemble: Model, body: object, status: int, code: str, field: str | None
) -> None:
    import json

    with client({"mine": ensemble}, max_queue=32) as server:
        answer = server.post("/v1/classify", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert set(problem) == {"error", "code", "field"}
    assert (problem["code"], problem["field"]) == (code, field)
    assert "secret" not in answer.text
    assert "\n" not in problem["error"]


def test_bad_tensors_are_refused_by_place(ensemble: Model) -> None:
    good = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["w1"]}
    with client({"mine": ensemble}) as server:
        for changes, code in (
            ({"name": "image"}, "invalid"),
            ({"datatype": "FP32"}, "invalid"),
            ({"shape": [2]}, "shape"),
            ({"data": [7]}, "invalid"),
            ({"data": ["\ud800"]}, "invalid"),
            ({"data": [" "]}, "blank_text"),
            ({"name": "pair"}, "no_text"),
        ):
            import json

            answer = server.post(
                "/v2/models/mine/infer",
                content=json.dumps({"inputs": [{**good, **changes}]}),
                headers={"content-type": "application/json"},
            )
            assert (answer.status_code, answer.json()["code"]) == (422, code), changes
        assert server.post("/v2/models/mine/infer", json={"inputs": [good, good]}).json()["code"] == "twice"
        asked = {"inputs": [good], "outputs": [{"name": "embedding"}]}
        assert server.post("/v2/models/mine/infer", json=asked).json()["code"] == "invalid"
        assert server.post("/v2/models/other/infer", json={"inputs": [good]}).status_code == 404


def test_the_words_that_decided_are_those_of_the_model(ensemble: Model) -> None:
    text = "w1 w2 w30 w1"
    with client({"mine": ensemble}) as server:
        why = server.post("/v1/explain", json={"text": text})
        other = next(label for label in ensemble.labels if label != why.json()["label"])
        against = server.post("/v1/explain", json={"text": text, "label": other}).json()
        unknown = server.post("/v1/explain", json={"text": text, "label": "secret word"})
        blank = server.post("/v1/explain", json={"text": " "})
    assert why.status_code == 200, why.text
    expected = ensemble.explain([text])[0]
    body = why.json()
    assert (body["label"], body["method"]) == (ensemble.predict([text])[0], expected.method)
    assert [word["word"] for word in body["words"]] == text.split()
    assert [text[word["start"] : word["end"]] for word in body["words"]] == text.split()
    np.testing.assert_allclose([word["weight"] for word in body["words"]], [one.weight for one in expected.words], atol=1e-6)
    assert against["label"] == other
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_label")
    assert "secret" not in unknown.text
    assert (blank.status_code, blank.json()["code"]) == (422, "blank_text")


def test_explanations_are_few_at_a_time(ensemble: Model) -> None:
    import threading

    from starlette.testclient import TestClient

    begun, go = threading.Event(), threading.Event()
    explain = ensemble.explain

    def slow(*arguments: Any, **options: Any) -> Any:
        begun.set()
        assert go.wait(60)
        return explain(*arguments, **options)

    ensemble.explain = slow  # type: ignore[method-assign]

    def ask(server: TestClient) -> int:
        return server.post("/v1/explain", json={"text": "w1"}).status_code

    with client({"mine": ensemble}) as server, ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(ask, server) for _ in range(8)]
        begun.wait(60)
        while sum(future.done() for future in futures) < 4:
            pass
        go.set()
        assert sorted(future.result() for future in futures) == [200] * 4 + [429] * 4
