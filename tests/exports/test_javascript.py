"""transformers.js opens a folder with one graph. STRIATA_TRANSFORMERS_JS is a folder in whose node_modules it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import striata

from ..study.small import LABELS
from .made import load, needs_open_sizes, run_of, texts_of

PLACE = os.environ.get("STRIATA_TRANSFORMERS_JS", "")
SCRIPT = """
import { pipeline, env } from "@huggingface/transformers";
const [place, name, dtype, texts] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = place;
const classify = await pipeline("text-classification", name, { dtype });
const rows = [];
for (const text of JSON.parse(texts)) rows.push(await classify(text, { top_k: null }));
console.log(JSON.stringify(rows));
"""


@pytest.mark.filterwarnings("ignore")  # of the exporter, about itself
@pytest.mark.skipif(not (PLACE and shutil.which("node")), reason="no node, or no STRIATA_TRANSFORMERS_JS")
def test_transformers_js_gives_our_probabilities(mean: Path, tmp_path: Path) -> None:
    needs_open_sizes()
    model, texts = load(run_of(mean)), texts_of(mean)[:10]
    for name, quantize, dtype, difference in (("whole", None, "fp32", 1e-5), ("small", "int8", "q8", 0.2)):
        striata.export(model, tmp_path / name, quantize=quantize, data=mean / "test.csv", agreement=0.5)
        script = Path(PLACE) / "striata-test.mjs"
        script.write_text(SCRIPT)
        done = subprocess.run(
            ["node", str(script), str(tmp_path), name, dtype, json.dumps(texts)], capture_output=True, text=True, check=False
        )
        script.unlink()
        assert done.returncode == 0, done.stderr
        rows = [{one["label"]: one["score"] for one in row} for row in json.loads(done.stdout.splitlines()[-1])]
        answers = np.array([[row[label] for label in LABELS] for row in rows])
        np.testing.assert_allclose(answers, model.predict_proba(texts), atol=difference)
