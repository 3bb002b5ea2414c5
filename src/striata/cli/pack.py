"""`striata pack`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Bases, Json, ModelPath


def pack(
    model: ModelPath,
    out: Annotated[Path, typer.Option(help="A new folder, or an archive: NAME.zip, NAME.tar.gz or NAME.tgz.")],
    encoder: Annotated[
        bool, typer.Option("--with-encoder/--no-encoder", help="Whether the encoder's weights are packed as well.")
    ] = True,
    base: Bases = None,
    as_json: Json = False,
) -> None:
    """Write a model into one folder or archive that opens on another machine, without its study.

    It holds the runs, an ensemble's weights, the tokenizer and the encoder. An archive is unpacked before it is used.

    Example: striata pack runs/agnews/ensemble --out agnews.zip
    """
    from .. import pack as pack_model
    from .output import command, print_json, say

    path = pack_model(model, out, encoder=encoder, base=base)
    files = list(path.rglob("*")) if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files if file.is_file())
    if as_json:
        print_json({"pack": str(path), "bytes": size})
        return
    say(f"{path}: {size / 1e6:,.1f} MB")
    say(f"next: {command('predict', path, 'FILE')}" if path.is_dir() else "next: unpack it, then striata predict FOLDER FILE")
