"""`striata export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..choices import DATA_HELP, EXPORTS, QUANTIZATIONS
from .options import Bases, Json, Label, ModelPath, Read, Text, TextPair, named_columns


def export(
    model: ModelPath,
    out: Annotated[Path, typer.Option(help="The folder to write; must not exist.")],
    to: Annotated[str, typer.Option(help=f"For which tool: {EXPORTS.help}.")] = "onnx",
    quantize: Annotated[str | None, typer.Option(help=f"With --to onnx: {QUANTIZATIONS.help}.")] = None,
    data: Annotated[
        str | None, typer.Option(help=f"Labelled texts to compare on, else the study's validation rows: {DATA_HELP}.")
    ] = None,
    agreement: Annotated[float, typer.Option(help="Share of these that must get the same label when quantized.")] = 0.98,
    base: Bases = None,
    text: Text = None,
    text_pair: TextPair = None,
    label: Label = None,
    read: Read = None,
    as_json: Json = False,
) -> None:
    """Write a model for another tool, if it answers there as it does here.

    Every run, ensemble and cascade goes to onnx: an ensemble on one encoder becomes one graph in which its weights lie once;
    members that count words or look up rows lie beside the graph, and `predict.py` in the folder puts them together. The
    temperature is inside: softmax of the logits gives calibrated probabilities; of several labels a text the sigmoid, and the
    threshold of each label lies in striata.json.

    Example: striata export runs/mine/ensemble --to onnx --quantize int8 --out exported
    """
    from ..calibration import check_share
    from ..exports import export_model
    from .inputs import open_model
    from .output import print_json, say

    check_share(agreement, "agreement")
    opened = open_model(model, data, base=base, device="cpu", precision="fp32")
    columns = named_columns(opened.columns, text=text, text_pair=text_pair, label=label, read=read)
    exported = export_model(opened, out, to=to, quantize=quantize, data=data, columns=columns, agreement=agreement)
    if as_json:
        print_json(exported.to_json())
        return
    for line in exported.lines():
        say(line)
    say(f"wrote {exported.folder}")
