"""Embeddings kept on disk, so that no text is embedded twice by one encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..disk.files import write_bytes
from ..disk.workplace import sweep

Halves = npt.NDArray[np.float16]
Compute = Callable[[Sequence[str], Sequence[str] | None], npt.NDArray[np.floating]]
_CONTENT = "means of last hidden states and of tokens' embeddings"
PORTION = 16_384  # texts that are computed and written at once: an interruption loses no more


class EmbeddingCache:
    """The mean embeddings of one encoder, by the hash of each text, in a folder of safetensors files.

    A file is named by the hash of its own bytes; one that is damaged is computed again. Vectors are rounded to fp16 whether they
    are computed or read, so that a second run has the same numbers.

    Args:
        folder: of all caches of a study, `cache/`.
        encoder: SHA-256 of the encoder's weights.
        tokenizer: SHA-256 of the tokenizer's files.
        max_length: tokens at which texts were cut.
    """

    def __init__(self, folder: Path, *, encoder: str, tokenizer: str, max_length: int) -> None:
        key = hashlib.sha256("\n".join([_CONTENT, encoder, tokenizer, str(max_length)]).encode()).hexdigest()
        self.folder = folder / f"embeddings-{key[:16]}"
        self._known: dict[bytes, tuple[int, int]] | None = None
        self._parts: list[Halves] = []

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None, compute: Compute) -> Halves:
        """Embeddings of texts (or pairs of texts), (n, size) float16; what is not in the cache is computed and kept.

        Args:
            texts: n texts, at least one.
            pairs: n second texts, or None.
            compute: embeds texts and second texts, (m, size).

        Raises:
            StriataError: the folder cannot be written.
        """
        known = self._load()
        seconds = pairs if pairs is not None else [None] * len(texts)
        keys = [_key(text, second) for text, second in zip(texts, seconds, strict=True)]
        missing = [at for key, at in {key: at for at, key in reversed(list(enumerate(keys)))}.items() if key not in known]
        missing.sort()
        for start in range(0, len(missing), PORTION):
            portion = missing[start : start + PORTION]
            some = None if pairs is None else [pairs[at] for at in portion]
            vectors = np.asarray(compute([texts[at] for at in portion], some)).astype(np.float16)
            self._write([keys[at] for at in portion], vectors)
        size = self._parts[0].shape[1]
        result = np.empty((len(keys), size), np.float16)
        for row, key in enumerate(keys):
            part, at = known[key]
            result[row] = self._parts[part][at]
        return result

    def _write(self, keys: list[bytes], vectors: Halves) -> None:
        from safetensors.numpy import save

        data = save({"keys": np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1), "vectors": vectors})
        write_bytes(self.folder / f"{hashlib.sha256(data).hexdigest()}.safetensors", data)
        self._add(keys, vectors)

    def _add(self, keys: Sequence[bytes], vectors: Halves) -> None:
        assert self._known is not None
        for at, key in enumerate(keys):
            self._known.setdefault(key, (len(self._parts), at))
        self._parts.append(vectors)

    def _load(self) -> dict[bytes, tuple[int, int]]:
        if self._known is not None:
            return self._known
        from safetensors.numpy import load

        sweep(self.folder)  # a process may have been killed between giving its last file the name and clearing up
        self._known = {}
        for file in sorted(self.folder.glob("*.safetensors")):
            data = file.read_bytes()
            if hashlib.sha256(data).hexdigest() != file.stem:
                continue  # damaged: its texts are computed again
            tensors = load(data)
            self._add([key.tobytes() for key in tensors["keys"]], tensors["vectors"])
        return self._known


def _key(text: str, second: str | None) -> bytes:
    parts = [text] if second is None else [text, second]
    data = b"".join(len(part).to_bytes(8, "little") + part.encode(errors="surrogatepass") for part in parts)
    return hashlib.blake2b(data, digest_size=16).digest()
