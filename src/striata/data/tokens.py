"""Texts as token ids, without padding."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from ..disk.files import sha256_file
from ..errors import DataError, EncoderError
from ..layout.shapes import Shape, shape_of

_CHUNK = 2048  # texts handed to the tokenizer at once: bounds the memory of its own objects
_SANE = 1_000_000  # tokenizers without a maximum claim one of 1e30
_ALWAYS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_FILES = re.compile(r"tokenizer\.json|vocab\.(txt|json)|.*\.(model|spm|tiktoken)|tekken\.json|.*\.bpe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Token ids of texts, laid one behind the other.

    Args:
        ids: token ids of all texts, (tokens,) int32.
        starts: where each text begins, and the end, (n + 1,) int64.
        types: token types of pairs of texts, (tokens,) int8, or None where all are 0.
        truncated: whether a text was longer than the limit, (n,) bool.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    types: npt.NDArray[np.int8] | None
    truncated: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, (n,) int64."""
        return np.diff(self.starts)

    def take(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> Encoded:
        """The texts at `indices`, in that order."""
        chosen = np.asarray(indices, np.int64)
        begins = self.starts[:-1][chosen]
        lengths = self.starts[1:][chosen] - begins
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        places = np.arange(starts[-1]) + np.repeat(begins - starts[:-1], lengths)
        types = None if self.types is None else self.types[places]
        return Encoded(ids=self.ids[places], starts=starts, types=types, truncated=self.truncated[chosen])

    def tokens_at(self, places: npt.NDArray[np.bool_]) -> Encoded:
        """The same texts with the tokens at `places`, (tokens,), only."""
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(places)])[self.starts]
        types = None if self.types is None else self.types[places]
        return Encoded(ids=self.ids[places], starts=starts, types=types, truncated=self.truncated)

    @classmethod
    def join(cls, parts: Sequence[Encoded]) -> Encoded:
        """The texts of several, one behind the other."""
        lengths = [part.lengths for part in parts]
        typed = any(part.types is not None for part in parts)
        types = [np.zeros(len(part.ids), np.int8) if part.types is None else part.types for part in parts]
        return cls(
            ids=np.concatenate([np.zeros(0, np.int32), *(part.ids for part in parts)]),
            starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([np.zeros(0, np.int64), *lengths]))]),
            types=np.concatenate(types) if typed else None,
            truncated=np.concatenate([np.zeros(0, np.bool_), *(part.truncated for part in parts)]),
        )


class _Encoding(Protocol):
    ids: list[int]
    type_ids: list[int]
    offsets: list[tuple[int, int]]
    sequence_ids: list[int | None]
    overflowing: list[_Encoding]


class _Backend(Protocol):
    def enable_truncation(self, max_length: int) -> None: ...
    def no_truncation(self) -> None: ...
    def no_padding(self) -> None: ...
    def num_special_tokens_to_add(self, is_pair: bool) -> int: ...
    def get_vocab(self, with_added_tokens: bool = True) -> dict[str, int]: ...
    def get_vocab_size(self, with_added_tokens: bool = True) -> int: ...
    def encode_batch(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[_Encoding]: ...


class Tokenizer:
    """An encoder's own fast tokenizer, cutting texts at a fixed number of tokens.

    Get one with :meth:`load`.

    Attributes:
        base: a Hub name or a local model folder.
        max_length: most tokens of a text, special tokens included.
        files: that it was read from, by name.
        sha256: over the names and bytes of these files.
        mask: id of the token that stands for a hidden one; None without.
        special: ids of tokens that are no text.
    """

    def __init__(
        self,
        backend: _Backend,
        *,
        base: str,
        max_length: int,
        typed: bool,
        files: Mapping[str, Path],
        mask: int | None = None,
        special: Sequence[int] = (),
    ) -> None:
        self._backend, self._typed = backend, typed
        self.mask, self.special = mask, tuple(special)
        self.base, self.max_length, self.files, self.sha256 = base, max_length, files, _sha256(files)

    @classmethod
    def load(cls, base: str, max_length: int) -> Tokenizer:
        """Loads the tokenizer of an encoder.

        Args:
            base: a Hub name or a local model folder.
            max_length: most tokens of a text (or a pair), special tokens included.

        Raises:
            EncoderError: the tokenizer is missing or damaged, or has tokens that the encoder has not.
            DataError: `max_length` is more than the model takes, or leaves no room for a text.
        """
        folder = Path(base).expanduser()
        if folder.is_dir() and not any(_FILES.fullmatch(file.name) for file in folder.iterdir()):
            raise EncoderError(
                f"{base} has no tokenizer: expected tokenizer.json, vocab.txt, vocab.json or a sentencepiece model "
                "in the folder; copy the model's tokenizer files there"
            )
        from transformers import AutoTokenizer

        try:
            loaded = AutoTokenizer.from_pretrained(
                str(folder) if folder.is_dir() else base, use_fast=True, trust_remote_code=False
            )
        except Exception as error:  # transformers raises OSError, ValueError, KeyError, and tokenizers plain Exception
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise EncoderError(
                f"the tokenizer of {base} cannot be loaded ({reason}); expected a local model folder "
                "or a Hub name that can be reached"
            ) from error
        backend = getattr(loaded, "backend_tokenizer", None)
        if backend is None or backend.get_vocab_size(with_added_tokens=False) < 2:
            raise EncoderError(f"{base} has no fast tokenizer with a vocabulary; expected a tokenizer.json in it")
        tokenizer = cls(
            cast(_Backend, backend),
            base=base,
            max_length=max_length,
            typed="token_type_ids" in loaded.model_input_names,
            files=_files(base, dict.fromkeys((*_ALWAYS, *loaded.vocab_files_names.values()))),
            mask=loaded.mask_token_id,
            special=loaded.all_special_ids,
        )
        tokenizer._check(int(min(loaded.model_max_length, 2**62)))
        if not folder.is_dir() or (folder / "config.json").is_file():
            tokenizer._compare(shape_of(base))
        backend.no_padding()
        backend.enable_truncation(max_length=max_length)
        return tokenizer

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def _check(self, most: int) -> None:
        if most < _SANE and self.max_length > most:
            raise DataError(
                f"max_length {self.max_length} is more than the {most} tokens {self.base} takes; lower data.max_length"
            )
        least = self._backend.num_special_tokens_to_add(False) + 1
        if self.max_length < least:
            raise DataError(
                f"max_length {self.max_length} leaves no room for a text; expected at least {least}; raise data.max_length"
            )

    def _compare(self, shape: Shape) -> None:
        """What the tokenizer delivers with what the encoder takes."""
        if shape.positions is not None and self.max_length > shape.positions:
            raise DataError(
                f"max_length {self.max_length} is more than the {shape.positions} positions of {self.base}; lower data.max_length"
            )
        last = max(self._backend.get_vocab(with_added_tokens=True).values())
        if shape.vocabulary is not None and last >= shape.vocabulary:
            raise EncoderError(
                f"the tokenizer of {self.base} has token numbers up to {last}, the encoder embeddings of {shape.vocabulary} "
                "tokens, numbered from 0; expected the tokenizer that the encoder was trained with"
            )

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Encoded:
        """Token ids of texts, or of pairs of texts, special tokens included.

        Args:
            texts: n texts.
            pairs: n second texts; the longer of the two is cut first.

        Raises:
            DataError: there are not as many second texts as texts, or no room for both.
        """
        if pairs is not None:
            if len(pairs) != len(texts):
                raise DataError(f"{len(texts)} texts have {len(pairs)} second texts; expected as many of both")
            least = self._backend.num_special_tokens_to_add(True) + 2
            if self.max_length < least:
                raise DataError(f"max_length {self.max_length} leaves no room for pairs; raise it to at least {least}")
        return Encoded.join(
            [
                self._encode(texts[i : i + _CHUNK], None if pairs is None else pairs[i : i + _CHUNK])
                for i in range(0, len(texts), _CHUNK)
            ]
        )

    def whole_lengths(self, encoded: Encoded, texts: Sequence[str], pairs: Sequence[str] | None = None) -> npt.NDArray[np.int64]:
        """Tokens of each text, special tokens included, had none been cut, (n,) int64. Not while another thread encodes.

        Args:
            encoded: of these texts, from :meth:`encode`.
            texts: n texts.
            pairs: n second texts.
        """
        lengths = encoded.lengths.copy()
        cut = np.flatnonzero(encoded.truncated).tolist()
        self._backend.no_truncation()
        try:
            for at in range(0, len(cut), _CHUNK):
                rows = cut[at : at + _CHUNK]
                part = self._encode([texts[i] for i in rows], None if pairs is None else [pairs[i] for i in rows])
                lengths[rows] = part.lengths
        finally:
            self._backend.enable_truncation(max_length=self.max_length)
        return lengths

    def spans(self, text: str, pair: str | None = None) -> list[tuple[int, int, int] | None]:
        """Which characters each token of :meth:`encode` stands for: 0 for the text or 1 for the second text, the first character,
        and the place behind the last; None for special tokens."""
        (encoding,) = self._backend.encode_batch([text] if pair is None else [(text, pair)])
        tokens = zip(encoding.sequence_ids, encoding.offsets, strict=True)
        return [None if part is None else (part, start, end) for part, (start, end) in tokens]

    def _encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Encoded:
        inputs = list(texts) if pairs is None else list(zip(texts, pairs, strict=True))
        try:
            encodings = self._backend.encode_batch(inputs)
        except Exception as error:  # tokenizers raises nothing more special, for a vocabulary without its unknown word
            raise EncoderError(
                f"the tokenizer of {self.base} fails at a text ({' '.join(str(error).split())[:200]}); copy the model's "
                "tokenizer files again"
            ) from error
        lengths = np.array([len(encoding.ids) for encoding in encodings], np.int64)
        types = None
        if self._typed and pairs is not None:
            flat = np.concatenate([np.array(encoding.type_ids, np.int8) for encoding in encodings])
            types = flat if flat.any() else None
        return Encoded(
            ids=np.concatenate([np.array(encoding.ids, np.int32) for encoding in encodings]),
            starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
            types=types,
            truncated=np.array([bool(encoding.overflowing) for encoding in encodings], np.bool_),
        )


def _files(base: str, names: Iterable[str]) -> dict[str, Path]:
    """Those of a tokenizer's files that are there, in the order of their names."""
    folder = Path(base).expanduser()
    places = {name: folder / name if folder.is_dir() else _cached(base, name) for name in sorted(names)}
    return {name: file for name, file in places.items() if file is not None and file.is_file()}


def _sha256(files: Mapping[str, Path]) -> str:
    lines = [f"{name} {sha256_file(file)}\n" for name, file in files.items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _cached(base: str, name: str) -> Path | None:
    """Where a file of the Hub lies that has been loaded; None where the model has none of this name."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(base, name)
    return Path(path) if isinstance(path, str) else None
