"""What lies beside an exported model for those who open it: how to, its labels, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..disk.files import write_bytes, write_text

if TYPE_CHECKING:
    from .parts import Parts

SCRIPT = "predict.py"
_WHOLE = " transformers.js and Optimum open the folder, too."
_INSIDE = {
    False: "The temperature is inside: the softmax of the logits gives calibrated probabilities.",
    True: "The temperatures are inside: the sigmoid of a label's logit is its calibrated probability.",
}
_FROM = ", and the probability from which on each is given"
_COMPOSED = "\n`model.json` says which members there are and how their answers become one: a graph alone is not the model."

_OPENING = {
    "onnx": """```sh
pip install numpy onnxruntime tokenizers
python predict.py "a text" "another text"
```

`predict.py` reads this folder and nothing else; of each text, or each line piped in, it prints label and probabilities as a
line of JSON. `Classifier` in it is the same from Python.WHOLE""",
    "transformers": """```python
from transformers import pipeline

classify = pipeline("text-classification", model=FOLDER, top_k=None)
classify(["a text"], truncation=True)
```""",
    "sentence-transformers": """```python
from sentence_transformers import SentenceTransformer

logits = SentenceTransformer(FOLDER).encode(["a text"])
```

What it encodes a text as are the calibrated logits, in the order of the labels below.""",
}


def write_card(folder: Path, parts: Parts, *, form: str, quantization: str | None, compared: Sequence[str]) -> None:
    """Writes `README.md`, and beside an ONNX graph `predict.py`.

    Args:
        folder: of the export.
        parts: of the model.
        form: of :data:`striata.choices.EXPORTS`.
        quantization: of :data:`striata.choices.QUANTIZATIONS`, or None for fp32.
        compared: what was measured, in sentences.
    """
    opening = _OPENING[form].replace("FOLDER", '"."').replace("WHOLE", _COMPOSED if parts.graph is None else _WHOLE)
    if not parts.graphs:
        opening = opening.replace("numpy onnxruntime tokenizers", "numpy")
    cut = "" if parts.max_length is None else f" Texts are cut at {parts.max_length} tokens."
    pairs = " It reads pairs of texts, between which `predict.py` expects a tab." if parts.pairs else ""
    labels = "\n".join(
        [f"{label} {threshold:.4f}" for label, threshold in zip(parts.labels, parts.thresholds, strict=True)]
        if parts.several
        else parts.labels
    )
    measured = "".join(f"- {line[:1].upper()}{line[1:]}.\n" for line in compared)
    kind = "a cascade" if parts.combiner.cascade is not None else "an ensemble"
    members = f"{kind} of {parts.members} members" if parts.members > 1 else "one model"
    notes = "".join(f" {note}." for note in parts.notes())
    write_text(
        folder / "README.md",
        f"""---
library_name: {form}
pipeline_tag: text-classification
---

# A text classifier

It is {members}, exported by striata in {quantization or "fp32"}.{cut}{pairs}{notes}

## How to open it

{opening}

{_INSIDE[parts.several]} `striata.json` has labels, length and
figures for programs.

## Labels

In the order of the logits{_FROM if parts.several else ""}:

~~~~text
{labels}
~~~~

## Compared before it was written

{measured}""",
    )
    if form == "onnx":
        write_bytes(folder / SCRIPT, Path(__file__).with_name("standalone.py").read_bytes())
