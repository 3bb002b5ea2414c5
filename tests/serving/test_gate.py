"""Keys, bytes, time, metrics, headers, and errors that nobody foresaw."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from striata.errors import StriataError
from striata.model import Model
from striata.serving.keys import Keys
from striata.serving.limits import Limits

from .made import Held, client, texts

KEY, OTHER = "a-key-that-is-long-enough", "another-key-of-some-length"
SECRET = "w1 confidential-word w2"


def test_a_key_opens_what_has_to_be_opened(ensemble: Model) -> None:
    question = {"texts": ["w1"]}
    with client({"mine": ensemble}, keys=[KEY, OTHER]) as server:
        for path in ("/", "/page.css", "/page.js", "/openapi.json", "/v2/health/live", "/v2/health/ready"):
            assert server.get(path).status_code == 200, path
        for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": KEY}, {"X-API-Key": ""}):
            for path in ("/metrics", "/v1/models", "/v2/models/mine", "/nowhere"):
                refused = server.get(path, headers=headers)
                assert (refused.status_code, refused.json()["code"]) == (401, "no_key"), (path, headers)
                assert refused.headers["www-authenticate"] == "Bearer"
            assert server.post("/v1/classify", json=question, headers=headers).status_code == 401
        for headers in ({"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {OTHER}"}, {"X-API-Key": OTHER}):
            assert server.post("/v1/classify", json=question, headers=headers).status_code == 200
        schema = server.get("/openapi.json").json()
        assert schema["paths"]["/v1/classify"]["post"]["security"] == [{"key": []}]
        assert "security" not in schema["paths"]["/v2/health/live"]["get"]


def test_every_key_is_compared_whatever_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    keys = Keys([KEY, OTHER])
    for shown, right in ((KEY.encode(), True), (OTHER.encode(), True), (b"", False), (b"\xff" * 1000, False)):
        compared.clear()
        assert keys.accept(shown) is right
        assert len(compared) == 2
        assert {len(digest) for pair in compared for digest in pair} == {32}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no key"), (b"# only this\n\n", "holds no key"), (b"short\n", "line 1: the key has 5 characters"),
        ("schlüssel-der-lang-genug-ist".encode(), "is no ASCII text"), (None, "cannot read"),
    ],
)  # fmt: skip
def test_a_key_file_that_is_of_no_use_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StriataError, match=message):
        Keys.read(path)


def test_a_key_file_has_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the shop's\n{KEY}\n\n  {OTHER}  \n")
    keys = Keys.read(path)
    assert keys.accept(KEY.encode())
    assert keys.accept(OTHER.encode())
    assert not keys.accept(b"# the shop's")


def test_a_body_is_not_read_beyond_its_limit(ensemble: Model) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b'{"texts": ["'
        while taken < 10_000_000:
            taken += 1000
            yield b"w" * 1000

    with client({"mine": ensemble}, max_bytes=5000) as server:
        long = server.post("/v1/classify", json={"texts": ["w1 " * 2000]})
        assert (long.status_code, long.json()["code"]) == (413, "too_long")
        chunked = server.post("/v1/classify", content=endless(), headers={"content-type": "application/json"})
        assert (chunked.status_code, chunked.json()["code"]) == (413, "too_long")
        assert server.post("/v1/classify", json={"texts": ["w1 " * 1000]}).status_code == 200


def test_what_is_no_json_is_no_error_of_the_server(ensemble: Model) -> None:
    with client({"mine": ensemble}) as server:
        for body, kind, statuses in (
            (b"{", "application/json", (422,)),
            (b"", "application/json", (422,)),
            (b"\xff\xfe", "application/json", (400, 422)),
            (b"[" * 100_000, "application/json", (400, 422)),
            (json.dumps({"texts": ["w1"]}).encode(), "text/plain", (422,)),
            (b'{"texts": ["w1"], "coverage": NaN}', "application/json", (422,)),
            (b'{"texts": ["w1"], "coverage": 1e999}', "application/json", (422,)),
        ):
            answer = server.post("/v1/classify", content=body, headers={"content-type": kind})
            assert answer.status_code in statuses, (body[:20], answer.text)
            assert set(answer.json()) == {"error", "code", "field"}
        assert server.get("/nowhere").json()["code"] == "not_found"
        wrong = server.get("/v1/classify")
        assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (405, "wrong_method", "POST")


def test_a_model_that_fails_loses_only_the_texts_it_fails_at(ensemble: Model, caplog: pytest.LogCaptureFixture) -> None:
    answer = ensemble.with_members

    def fail(some: Any, pairs: Any = None) -> Any:
        if SECRET in some:
            raise ValueError(f"cannot read {SECRET}")
        return answer(some, pairs)

    ensemble.with_members = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.DEBUG), client({"mine": ensemble}) as server:
        bad = server.post("/v1/classify", json={"texts": [SECRET]})
        assert (bad.status_code, bad.json()["code"]) == (500, "model_failed")
        assert server.post("/v1/classify", json={"texts": ["w1"]}).status_code == 200
        page = server.get("/metrics").text
    assert 'striata_failed_batches_total{model="mine"} 1.0' in page
    assert "confidential" not in bad.text + caplog.text + page
    assert "ValueError at test_gate.py" in caplog.text


def test_texts_are_in_no_log_and_no_metric(ensemble: Model, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    with caplog.at_level(logging.DEBUG), client({"mine": ensemble}) as server:
        server.post("/v1/classify", json={"texts": [SECRET]})
        server.post("/v1/classify", json={"texts": [SECRET, 3]})
        server.post("/v1/classify", json={"texts": [SECRET], SECRET: 1})
        server.post(f"/v1/{SECRET}", json={})
        page = server.get("/metrics").text
    logged = [record.getMessage() for record in caplog.records if record.name != "httpx2"]  # the client's own
    assert "confidential" not in " ".join([*logged, page, *capfd.readouterr()])


def test_an_error_that_nobody_foresaw_has_the_same_form(
    ensemble: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with client({"mine": ensemble}) as server:
        monkeypatch.setattr(Model, "probabilities", lambda *_, **__: 1 / 0)
        answer = server.post("/v1/classify", json={"texts": [SECRET]})
    assert (answer.status_code, answer.json()["code"]) == (500, "failed")
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError at test_gate.py" in caplog.text


def test_what_takes_too_long_is_given_up(ensemble: Model) -> None:
    with client({"mine": ensemble}, timeout=0.2) as server:
        held = Held(ensemble)
        late = server.post("/v1/classify", json={"texts": ["w1"]})
        held.go.set()
        assert (late.status_code, late.json()["code"]) == (504, "late")
        page = server.get("/metrics").text
    assert "striata_queue_texts 0.0" in page
    assert 'striata_requests_total{path="/v1/classify",status="504"} 1.0' in page


def test_the_metrics_count_what_was_answered(ensemble: Model) -> None:
    some = texts(0, 9)
    with client({"mine": ensemble}) as server:
        server.post("/v1/classify", json={"texts": some})
        server.post("/v1/classify", json={"texts": some, "abstain_below": 1.0})
        server.post("/v1/classify", json={})
        answer = server.get("/metrics")
        models = server.get("/v1/models").json()["models"]
    assert answer.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert lines['striata_texts_total{model="mine"}'] == "18.0"
    for label in ensemble.labels:
        count = ensemble.predict(some).count(label)
        assert float(lines.get(f'striata_labels_total{{label="{label}",model="mine"}}', 0)) == count
    assert lines['striata_labels_total{label="",model="mine"}'] == "9.0"
    confident = sum(ensemble.predict_proba(some).max(1) <= 0.5)
    assert float(lines['striata_confidence_bucket{le="0.5",model="mine"}']) == 2 * confident
    assert float(lines['striata_cut_texts_total{model="mine"}']) == 2 * ensemble.truncated(some).sum()
    assert lines['striata_requests_total{path="/v1/classify",status="200"}'] == "2.0"
    assert lines['striata_requests_total{path="/v1/classify",status="422"}'] == "1.0"
    assert lines["striata_batch_texts_sum"] == "18.0"
    assert lines[f'striata_model_version{{model="mine",version="{models[0]["version"]}"}}'] == "1.0"


def test_the_page_may_load_nothing_from_elsewhere(ensemble: Model) -> None:
    with client({"mine": ensemble}) as server:
        for path in ("/", "/page.css", "/page.js"):
            headers = server.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
        answer = server.post("/v1/classify", json={"texts": ["w1"]})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_queue", 0), ("max_batch", 0), ("max_bytes", 0), ("wait_ms", -1.0), ("timeout", 0.0), ("timeout", float("nan"))],
)
def test_limits_that_are_none_are_refused(name: str, value: float) -> None:
    with pytest.raises(StriataError, match=name):
        Limits(**{name: value})
