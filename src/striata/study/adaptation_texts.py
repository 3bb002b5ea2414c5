"""Texts without labels that a study's adapters learn from before they learn labels (`adapt`), found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Encoded, Table, Tokenizer, read_texts
from ..data.copies import find_copies
from ..data.equal import equal_texts
from ..disk.documents import Document, Exact, strictly
from ..errors import StudyError
from ..layout import shape_of
from ..settings import AdaptationSettings, Recipe
from ..settings.file import Study
from .adaptation import CONTRASTIVE, MASKED, Adaptation
from .automatic import usual_rate
from .preparation import Prepared

_SEARCHED = 50_000  # texts, and rows held out, among which near copies are looked for: some ten seconds
_GENTLE = 10  # times lower is the rate of contrasting, which moves an encoder whose means are good already


class _Request(Exact):
    texts: str


_REQUEST = Document(
    kind="adaptation",
    parse=strictly(_Request),
    error=StudyError,
    advice="restore it, or delete the study's folder to train anew",
)
_FILE = "adaptation.json"


def find_adaptation(prepared: Prepared) -> Adaptation | None:
    """What a study's `adapt` asks for; None where it has none.

    A text is learned from once, however often it is there, and not at all if a validation or test row has it. Where there are
    more texts than the steps can read, a part is drawn. Of what is left from elsewhere, near copies of validation and test rows
    go too.

    Raises:
        DataError: the texts without labels cannot be read.
        StudyError: they do not go with the training rows, or the objective does not go with the encoder or the recipe.
        EncoderError: the encoder's tokenizer is not there.
    """
    study, settings = prepared.study, prepared.study.adapt
    if settings is None:
        return None
    tokenizer = Tokenizer.load(study.base, study.data.max_length)
    objective = _objective(study, settings, tokenizer)
    recipe = _recipe(study, settings, objective)
    others = None if settings.unlabelled is None else read_texts(settings.unlabelled, study.columns.unweighted)
    train, held = prepared.splits.train, [prepared.splits.validation, prepared.splits.test]
    if others is not None and (others.pairs is None) != (train.pairs is None):
        raise StudyError(
            f"of {others.source} and the training rows one has second texts; expected the same of both", key="adapt.unlabelled"
        )
    parts = [part for part in (*held, train, others) if part is not None]
    first = equal_texts([text for part in parts for text in part.texts], _pairs(parts))
    number, begin = len(first), sum(len(part) for part in held if part is not None)
    new = np.flatnonzero(first == np.arange(number))
    new = new[new >= begin]
    if not len(new):
        raise StudyError("the study has no text that is in no validation or test row, and nothing to adapt to", key="adapt")
    most = recipe.max_steps * recipe.batch_size
    if len(new) > most:
        new = np.sort(np.random.default_rng(study.data.seed).permutation(new)[:most])
    near, searched = _near_copies(new[new >= begin + len(train)] - begin - len(train), others, held, study.data.seed)
    new = new[~np.isin(new - begin - len(train), near)]
    if not len(new):
        raise StudyError("every text is nearly that of a validation or test row, and there is nothing to adapt to", key="adapt")
    return Adaptation(
        settings=settings,
        objective=objective,
        recipe=recipe,
        texts=_encoded(new - begin, train, others, tokenizer),
        unlabelled=int((new >= begin + len(train)).sum()),
        copies=int((first[begin + len(train) :] < begin).sum()),
        near_copies=len(near),
        searched=searched,
        source=None if others is None else others.source,
        checksum=None if others is None else others.reference,
        mask=tokenizer.mask,
        special=tokenizer.special,
        vocabulary=tokenizer.vocabulary,
    )


def _near_copies(
    rows: npt.NDArray[np.int64], others: Table | None, held: Sequence[Table | None], seed: int
) -> tuple[npt.NDArray[np.int64], float]:
    """Which rows of texts without labels are near copies of rows that are held out, and the share of all pairs of both that was
    looked at."""
    known = [text for part in held if part is not None for text in part.whole_texts]
    if others is None or not len(rows):
        return rows[:0], 1.0
    random = np.random.default_rng(seed)
    some, few = (np.sort(random.permutation(number)[:_SEARCHED]) for number in (len(rows), len(known)))
    copies = find_copies(others.take(rows[some]).whole_texts, [known[at] for at in few])
    return rows[some[[copy.row for copy in copies]]], len(some) * len(few) / (len(rows) * len(known))


def _pairs(parts: Sequence[Table]) -> list[str] | None:
    return None if parts[0].pairs is None else [pair for part in parts for pair in part.pairs or ()]


def _encoded(rows: np.ndarray, train: Table, others: Table | None, tokenizer: Tokenizer) -> Encoded:
    """Of rows that are counted through the training rows and then the others."""
    own = train.take(rows[rows < len(train)])
    parts = [tokenizer.encode(own.texts, own.pairs)]
    if others is not None:
        new = others.take(rows[rows >= len(train)] - len(train))
        parts.append(tokenizer.encode(new.texts, new.pairs))
    return Encoded.join(parts)


def check_same_texts(adaptation: Adaptation, folder: Path) -> None:
    """Refuses other texts than those that the study in a folder was begun with; the first call writes them down.

    Raises:
        StudyError: they are others.
    """
    texts = hashlib.sha256(json.dumps([adaptation.checksum, adaptation.objective]).encode()).hexdigest()
    if (folder / _FILE).exists():
        if _REQUEST.read(folder / _FILE).texts != texts:
            raise StudyError(
                f"the texts that {folder} was adapted to are not those that `adapt` names now; restore them, or choose another "
                "`output`",
                key="adapt.unlabelled",
            )
        return
    _REQUEST.write(folder / _FILE, {"texts": texts})


def _objective(study: Study, settings: AdaptationSettings, tokenizer: Tokenizer) -> str:
    """What a study's adapters learn, by what its encoder's checkpoint holds."""
    lacks = _lacks_for_masking(study.base, tokenizer)
    objective = settings.objective if settings.objective != "auto" else MASKED if lacks is None else CONTRASTIVE
    if objective == MASKED and lacks is not None:
        raise StudyError(f"adapt.objective masked: {lacks}; take contrastive, or another encoder", key="adapt.objective")
    if objective == CONTRASTIVE and settings.batch_size < 2:
        raise StudyError("adapt.batch_size is 1, and objective contrastive tells texts of one step apart", key="adapt")
    return objective


def _lacks_for_masking(base: str, tokenizer: Tokenizer) -> str | None:
    """What keeps an encoder from guessing masked tokens, in words; None where nothing does."""
    from safetensors import SafetensorError, safe_open

    from ..engine.loading import weight_files

    family = shape_of(base).family
    if tokenizer.mask is None:
        return f"the tokenizer of {base} has no token for the mask"
    if not family.masked_head:
        return f"for encoders of type {family.name} no masked-language head is known"
    names: set[str] = set()
    for file in weight_files(base):
        try:
            with safe_open(file, "numpy") as weights:
                names |= set(weights.keys())
        except (SafetensorError, OSError):
            continue  # whoever loads it says what is wrong
    if family.masked_head not in names:
        return f"the checkpoint of {base} has no masked-language head (no weight {family.masked_head})"
    return None


def _recipe(study: Study, settings: AdaptationSettings, objective: str) -> Recipe:
    rate = usual_rate(shape_of(study.base).hidden) / (1 if objective == MASKED else _GENTLE)
    return Recipe.model_validate(
        {
            "optimizer": "adamw",
            "learning_rate": settings.learning_rate or rate,
            "weight_decay": 0.01,
            "schedule": "linear",
            "batch_size": settings.batch_size,
            "max_steps": settings.steps,
        }
    )
