"""Rows made by chance, with and without anything to learn."""

from __future__ import annotations

import numpy as np

from striata.baselines import Rows

WORDS = np.array([f"word{i}" for i in range(400)])


def made(count: int, labels: int, seed: int, *, random: bool = False, letters: str = "") -> tuple[Rows, np.ndarray]:
    """Texts of 12 words, 6 of them of their label, and embeddings around their label's point; or anything with any label."""
    draws = np.random.default_rng([seed, count, labels])
    targets = np.concatenate([np.arange(labels), draws.integers(0, labels, max(0, count - labels))])[:count]
    own = np.random.default_rng(labels).integers(0, len(WORDS), (labels, 8))
    points = np.random.default_rng(labels + 1).standard_normal((labels, 16))
    topics = draws.integers(0, labels, count) if random else targets
    texts = []
    for topic in topics:
        chosen = [*draws.choice(own[topic], 6), *draws.integers(0, len(WORDS), 6)]
        texts.append("".join(letters[i] for i in chosen) if letters else " ".join(WORDS[chosen]))
    vectors = points[topics] + 0.5 * draws.standard_normal((count, 16))
    return Rows(texts=texts, vectors=vectors.astype(np.float32)), targets
