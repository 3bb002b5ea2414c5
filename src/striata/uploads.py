"""Models sent to the Hub: packed, described, listed, and only then sent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .disk.files import write_text
from .disk.sealed import CARD
from .downloads import PREFIX, check_repository, fetch_model, speaking
from .errors import StriataError
from .extras import require
from .model.opening import Bases
from .model.packer import write_pack
from .report.model_card import card, find_subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A model that is ready to be sent.

    Args:
        repository: OWNER/NAME.
        private: whether only its owner may see it.
        folder: that becomes the repository's content.
    """

    repository: str
    private: bool
    folder: Path

    @property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Every file and its bytes, by name."""
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        return tuple((file.relative_to(self.folder).as_posix(), file.stat().st_size) for file in files)

    @property
    def visibility(self) -> str:
        """Who may see it, in a word."""
        return "private" if self.private else "public"

    def send(self) -> str:
        """Sends everything as one commit, in the place of all that the repository held, and returns the commit.

        Raises:
            StriataError: there is no token, the Hub does not accept the card, refuses, or cannot be reached, or the repository
                is there already and seen by others than was said.
        """
        from huggingface_hub import HfApi, ModelCard, get_token
        from huggingface_hub.errors import RepositoryNotFoundError

        if get_token() is None:
            raise StriataError("there is no token for the Hub on this machine; run: hf auth login, or set HF_TOKEN")
        api = HfApi()
        with speaking(self.repository):
            try:
                existing = api.model_info(self.repository)
            except RepositoryNotFoundError:
                existing = None
            if existing is not None and bool(existing.private) != self.private:
                raise StriataError(
                    f"{self.repository} is on the Hub already, and {'private' if existing.private else 'public'}; nothing was "
                    f"sent; say so, or change it on the Hub before a {self.visibility} model is sent there"
                )
            try:
                ModelCard.load(self.folder / CARD).validate(repo_type="model")
            except ValueError as error:
                raise StriataError(f"the Hub does not accept the model card: {error}; nothing was sent") from None
            if existing is None:
                api.create_repo(self.repository, private=self.private)
            commit = api.upload_folder(
                repo_id=self.repository, folder_path=self.folder, commit_message="striata push", delete_patterns="*"
            )
        return str(commit.oid)


@contextmanager
def prepare_upload(
    model: str | Path,
    repository: str,
    *,
    private: bool = False,
    encoder: bool = True,
    base: Bases | None = None,
    words: str | Path | None = None,
) -> Iterator[Upload]:
    """Packs a model and writes its card, in a temporary folder; sends nothing.

    Args:
        model: folder of a run, an ensemble, a study or a pack.
        repository: OWNER/NAME.
        private: whether only its owner may see it.
        encoder: whether the encoder's weights are sent too.
        base: where the encoder lies now; see :func:`striata.load`.
        words: a card of one's own in the place of the one that is made; None for that.

    Raises:
        StriataError: the name is none of the Hub's, or the model cannot be packed or described.
        ExtraError: jinja2 or huggingface_hub is not installed.
    """
    check_repository(repository)
    require("a model for the Hub", "huggingface_hub", "jinja2")
    source = fetch_model(Path(model))
    with tempfile.TemporaryDirectory(prefix="striata-", ignore_cleanup_errors=True) as place:
        folder = write_pack(source, Path(place) / "model", encoder=encoder, base=base)
        text = card(find_subject(source), on_hub=repository) if words is None else _read(Path(words))
        write_text(folder / CARD, text)
        yield Upload(repository=repository, private=private, folder=folder)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StriataError(f"the card {path} cannot be read ({error}); give a Markdown file", path=str(path)) from None


def hub_name(repository: str) -> str:
    """What :func:`striata.load` takes for a repository."""
    return f"{PREFIX}{repository}"
