"""`striata push`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Bases, Json, ModelPath

if TYPE_CHECKING:
    from ..uploads import Upload


def push(
    model: ModelPath,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The model's name on the Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Only its owner may see it; by default everyone may.")] = False,
    encoder: Annotated[
        bool, typer.Option("--with-encoder/--no-encoder", help="Whether the encoder's weights are sent as well.")
    ] = True,
    card: Annotated[Path | None, typer.Option(help="A card of your own (Markdown) in the place of the one that is made.")] = None,
    base: Bases = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Send a model to the Hugging Face Hub, where `hub:OWNER/NAME` opens it.

    It is packed as `striata pack` does, with a model card. Everything that would be sent is listed first; nothing is sent without
    --yes or a yes to the question.

    Example: striata push runs/mine/ensemble me/news --private
    """
    from ..errors import StriataError
    from ..uploads import hub_name, prepare_upload
    from .output import note, print_json, say

    with prepare_upload(model, repository, private=private, encoder=encoder, base=base, words=card) as upload:
        if not as_json:
            _list(upload)
        commit = None
        if not dry_run:
            if not yes and not sys.stdin.isatty():
                raise StriataError("nothing was sent: nobody is there to be asked; look at --dry-run, then add --yes")
            if not yes and not typer.confirm(f"Send this to {repository}, {upload.visibility}?", err=True):
                raise StriataError("nothing was sent")
            commit = upload.send()
        name = hub_name(repository)
        if as_json:
            files = [{"name": file, "bytes": size} for file, size in upload.files]
            print_json({"repository": repository, "visibility": upload.visibility, "commit": commit, "files": files})
        elif commit is None:
            note("nothing was sent")
        else:
            say(f"sent as commit {commit}")
            say(f"next: striata predict {name} FILE")


def _list(upload: Upload) -> None:
    """Prints every file, its size, and who may see them."""
    from .output import note, say, table

    files = upload.files
    table(["file", "bytes"], [(name, f"{size:,}") for name, size in files])
    say(f"{len(files)} files, {sum(size for _, size in files) / 1e6:,.1f} MB, to {upload.repository}, {upload.visibility}")
    note("the runs' files say where data and encoder lay on this machine; no texts are in them")
