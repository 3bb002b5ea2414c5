"""Models of the Hub as folders of this machine: `hub:OWNER/NAME` or `hub:OWNER/NAME@REVISION`."""

from __future__ import annotations

import glob
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from .disk.documents import parse_json
from .disk.sealed import CARD, NAME
from .errors import StriataError
from .extras import require

PREFIX = "hub:"
SAFE = (".json", ".md", ".model", ".parquet", ".safetensors", ".txt")  # endings of files that cannot run anything
_LEGAL = ("LICENSE", "NOTICE")
_PART = r"(?!.*(?:--|\.\.))[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_PART}/{_PART}", re.ASCII)
_LONGEST = 96


def check_repository(name: str) -> str:
    """A name that a model of the Hub can have, as it is.

    Raises:
        StriataError: it is none.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name) or name.endswith(".git"):
        raise StriataError(
            f"'{name}' is no name of a model on the Hub; expected OWNER/NAME of letters, digits, - _ and . inside of them"
        )
    return name


def fetch_model(path: Path) -> Path:
    """The folder of a model: one of the Hub is downloaded into its cache, or taken from there; any other path is as it was.

    What the manifest names is fetched, and the card, and nothing else of the repository.

    Args:
        path: a folder, or `hub:OWNER/NAME`, with `@` and a branch, tag or commit behind it where it is not the main branch.

    Raises:
        StriataError: there is no such model, it is none of striata's, it names files that could run something, or the Hub cannot
            be reached.
        ExtraError: huggingface_hub is not installed.
    """
    text = path.as_posix()
    if not text.startswith(PREFIX):
        return path
    repository, _, revision = text.removeprefix(PREFIX).partition("@")
    check_repository(repository)
    require("a model of the Hub", "huggingface_hub")
    from huggingface_hub import hf_hub_download, snapshot_download

    with speaking(repository, revision or None):
        manifest = Path(hf_hub_download(repository, NAME, revision=revision or None))
        names = _names(manifest, text)
        patterns = [glob.escape(name) for name in (*names, NAME, CARD)]
        return Path(snapshot_download(repository, revision=manifest.parent.name, allow_patterns=patterns, max_workers=4))


def _names(manifest: Path, text: str) -> list[str]:
    """Files that a manifest names, all of them of kinds that cannot run anything."""
    try:
        names = list(parse_json(manifest.read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise StriataError(f"{text} has a damaged {NAME}; push the model again with `striata push`") from None
    for name in names:
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or "\\" in name:
            raise StriataError(f"{text} names a file outside of it, {name}; do not use it")
        if place.suffix not in SAFE and place.name not in _LEGAL:
            expected = f"expected files that end in {', '.join(SAFE)}"
            raise StriataError(f"{text} holds {name}, which striata does not write; {expected}; nothing was downloaded")
    return names


@contextmanager
def speaking(repository: str, revision: str | None = None) -> Iterator[None]:
    """While the Hub is asked about a repository: its errors in one line, and its progress where someone sees it.

    Raises:
        StriataError: whatever the Hub, the network or the cache says.
    """
    errors: Any = import_module("huggingface_hub.errors")  # which has the errors of the HTTP library that it uses, too
    utils: Any = import_module("huggingface_hub.utils")
    silenced = not sys.stderr.isatty() and not utils.are_progress_bars_disabled()
    if silenced:
        utils.disable_progress_bars()
    try:
        yield
    except errors.GatedRepoError:
        raise StriataError(f"{repository} on the Hub is gated; ask for access on its page, then log in") from None
    except errors.RepositoryNotFoundError:
        raise StriataError(
            f"there is no model {repository} on the Hub, or this machine's token may not see it; check the name, or run: "
            "hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise StriataError(f"{repository} on the Hub has no revision '{revision}'; give a branch, a tag or a commit") from None
    except errors.LocalEntryNotFoundError:
        raise StriataError(
            f"{repository} is not in the Hub's cache on this machine, and the Hub cannot be reached; check the network, and "
            "that HF_HUB_OFFLINE is not set"
        ) from None
    except errors.EntryNotFoundError:
        raise StriataError(f"{repository} on the Hub has no {NAME}: it is no model that `striata push` wrote") from None
    except errors.HfHubHTTPError as error:
        raise StriataError(f"the Hub refused {repository}: {_reason(error)}") from None
    except (errors.OfflineModeIsEnabled, errors.HTTPError) as error:
        raise StriataError(f"the Hub cannot be reached for {repository}: {error}") from None
    finally:
        if silenced:
            utils.enable_progress_bars()


def _reason(error: Exception) -> str:
    code = getattr(getattr(error, "response", None), "status_code", None)
    message = (getattr(error, "server_message", None) or str(error).splitlines()[0]).rstrip(".")
    advice = {401: "log in with: hf auth login", 403: "the token has no right to it; take one that may write there"}
    return f"{message}{f' (status {code})' if code else ''}{f'; {advice[code]}' if code in advice else ''}"
