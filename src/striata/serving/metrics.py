"""What a server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_TENTHS = tuple(round(0.1 * at, 1) for at in range(1, 11))
TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of one server. None of them knows a text.

    Label counts and confidences, by model, are the cheapest monitor of drift: their shares move when the texts do.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("striata_requests", "Requests by address and status.", ("path", "status"), **own)
        self.seconds = Histogram("striata_request_seconds", "From first byte to answer.", ("path",), buckets=_SECONDS, **own)
        self.texts = Counter("striata_texts", "Texts answered.", ("model",), **own)
        self.cut = Counter("striata_cut_texts", "Texts of which a member read the beginning only.", ("model",), **own)
        self.labels = Counter("striata_labels", "Answers by label; none for those left open.", ("model", "label"), **own)
        self.confidence = Histogram(
            "striata_confidence", "Calibrated probability of the label.", ("model",), buckets=_TENTHS, **own
        )
        self.waiting = Gauge("striata_queue_texts", "Texts that wait.", **own)
        self.refused = Counter("striata_refused_texts", "Texts that found the queue full.", **own)
        self.batches = Histogram("striata_batch_texts", "Texts of a batch.", buckets=_TEXTS, **own)
        self.pass_seconds = Histogram("striata_batch_seconds", "Time of a batch.", buckets=_SECONDS, **own)
        self.failures = Counter("striata_failed_batches", "Batches at which a model failed.", ("model",), **own)
        self.loads = Counter("striata_model_loads", "Models loaded, and those that could not be.", ("model", "outcome"), **own)
        self.versions = Gauge("striata_model_version", "1 for the version of each model in use.", ("model", "version"), **own)

    def count(
        self,
        model: str,
        labels: Sequence[str | None],
        confidence: npt.NDArray[np.float32],
        cut: int,
        parts: Callable[[str], Sequence[str]] = lambda label: (label,),
    ) -> None:
        """Counts the answers to some texts.

        Args:
            model: that gave them.
            labels: of the texts; None where left open.
            confidence: largest probability of each, (texts,).
            cut: texts of which a member read the beginning only.
            parts: the labels of one answer, each of which is counted.
        """
        self.count_texts(model, len(labels), cut)
        histogram = self.confidence.labels(model)
        for label, value in zip(labels, confidence.tolist(), strict=True):
            for part in ("",) if label is None else parts(label):
                self.labels.labels(model, part).inc()
            histogram.observe(value)

    def count_texts(self, model: str, texts: int, cut: int) -> None:
        """Counts texts that were answered, and those of them of which a member read the beginning only."""
        self.texts.labels(model).inc(texts)
        self.cut.labels(model).inc(cut)

    def in_use(self, model: str, version: str, before: str | None) -> None:
        """Another version of a model is in use."""
        if before is not None:
            self.versions.remove(model, before)
        self.versions.labels(model, version).set(1)
        self.loads.labels(model, "loaded").inc()

    def page(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)
