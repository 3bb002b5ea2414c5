"""Which rows of a pool to label next: those that a model is least sure of, those unlike the others, or both."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..choices import PREDICTIONS, SUGGESTIONS
from ..data import Columns, Table, open_source, read_texts
from ..data.carried import Pieces, carried_columns, types_by_values
from ..data.equal import equal_texts
from ..disk.files import apart, named, write_bytes
from ..errors import DataError
from ..shown import Shown
from ..tasks import check_labels
from .model import Model
from .scorers import EncoderScorer
from .writers import Rows, write_rows

CANDIDATES = 10  # rows to choose among for each row that is wanted, where sure and unlike rows are weighed against each other
SPREAD = frozenset({"mixed", "coverage"})  # ways that avoid rows like each other
_MOST = 20_000  # rows of which vectors are compared
_PORTION = 4096
_TERMS, _PARTS = 20_000, 64

Probabilities = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]


def entropy(probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """Of each row's probabilities, (rows, labels), in nats, (rows,)."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1))
    result: npt.NDArray[np.float64] = -(probabilities * logs).sum(-1)
    return result


def margin(probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """1 less the distance between the two largest of each row, (rows,): 1 where they are equal."""
    ordered = np.sort(probabilities, axis=-1)
    result: npt.NDArray[np.float64] = 1 - (ordered[..., -1] - ordered[..., -2])
    return result


def disagreement(members: Probabilities) -> npt.NDArray[np.float64]:
    """The entropy of the members' mean less the mean of their entropies (Jensen-Shannon), of (members, rows, labels), (rows,)."""
    result: npt.NDArray[np.float64] = entropy(members.mean(0)) - entropy(members).mean(0)
    return result


def cover(vectors: Vectors, count: int) -> npt.NDArray[np.int64]:
    """Rows that leave no row far from the nearest of them: greedy k-center (Sener and Savarese 2018, arXiv:1708.00489).

    The first is the one nearest to the mean; each next one the row that is farthest from all that are chosen.

    Args:
        vectors: (rows, size).
        count: of rows to choose, no more than there are.

    Returns:
        Places, (count,), in the order of the choice.
    """
    centred = vectors - vectors.mean(0)
    chosen = [int((centred**2).sum(1).argmin())]
    distances = ((vectors - vectors[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count:
        distances[chosen[-1]] = -1  # equal rows are chosen last, but never twice
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, ((vectors - vectors[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen, np.int64)


def spread_out(vectors: Vectors, scores: npt.NDArray[np.float64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """The row of the highest score in each of `count` clusters, whose centres are weighted by the scores (Zhdanov 2019,
    arXiv:1901.05954).

    Args:
        vectors: (rows, size).
        scores: not below 0, (rows,).
        count: of rows to choose, no more than there are.
        seed: of the first centres.

    Returns:
        Places, (count,), the highest score first.
    """
    from sklearn.cluster import MiniBatchKMeans

    if count == len(vectors):
        return np.argsort(-scores, kind="stable")
    weights = np.maximum(scores, 1e-9)
    cluster = MiniBatchKMeans(count, n_init=1, random_state=seed, batch_size=2048).fit(vectors, sample_weight=weights).labels_
    order = np.argsort(-scores, kind="stable")
    best = order[np.sort(np.unique(cluster[order], return_index=True)[1])]
    rest = order[~np.isin(order, best)][: count - len(best)]  # clusters of equal rows may be empty
    return np.concatenate([best, rest])


def word_vectors(texts: Sequence[str], pairs: Sequence[str] | None) -> Vectors:
    """Texts by their words, for models that read nothing else: TF-IDF in up to 64 dimensions of the most variance."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    joined = texts if pairs is None else [f"{first} {second}" for first, second in zip(texts, pairs, strict=True)]
    features = TfidfVectorizer(sublinear_tf=True, max_features=_TERMS, token_pattern=r"(?u)\b\w+\b|\S").fit_transform(joined)
    parts = min(_PARTS, features.shape[1] - 1)
    if parts < 2:
        return np.asarray(features.todense(), np.float32)
    return np.asarray(TruncatedSVD(parts, random_state=0).fit_transform(features), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedRow:
    """A row to label.

    Args:
        row: its number in the source, from 0.
        text: of the row.
        text_pair: its second text; None where there is none.
        predicted: its label by the model; `a|b` where a row may have several.
        probability: of that label, calibrated; where a row may have several, of the least sure decision about one.
        score: by which it was chosen, larger for rows that say more; for "coverage" 0.
    """

    row: int
    text: str
    text_pair: str | None
    predicted: str
    probability: float
    score: float

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {key: getattr(self, key) for key in ("row", "text", "text_pair", "predicted", "probability", "score")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion(Shown):
    """Rows to label next, those that say most first.

    Args:
        source: of the pool.
        pool: rows in it.
        by: how they were chosen, of :data:`striata.choices.SUGGESTIONS`.
        known: rows of the pool left out because the model's validation rows have their text.
        rows: the choice.
    """

    source: str
    pool: int
    by: str
    known: int
    rows: tuple[SuggestedRow, ...]

    def __repr__(self) -> str:
        return f"Suggestion({len(self.rows):,} of {self.pool:,} rows of {self.source}, by {self.by})"

    def to_json(self) -> dict[str, object]:
        """All fields."""
        return {
            "source": self.source, "pool": self.pool, "by": self.by, "known": self.known,
            "rows": [row.to_json() for row in self.rows],
        }  # fmt: skip


def score_rows(by: str, probabilities: Probabilities, members: Probabilities | None) -> npt.NDArray[np.float64] | None:
    """How much each row says, (rows,); None where only coverage counts.

    Args:
        by: of :data:`striata.choices.SUGGESTIONS`.
        probabilities: of the model, calibrated, (rows, labels), or of :func:`as_choices`, of which a row's score is the mean.
        members: likewise of each member, members first, for "disagreement".
    """
    if by == "coverage":
        return None
    if by == "disagreement":
        assert members is not None
        scores = disagreement(members)
    else:
        scores = entropy(probabilities) if by == "entropy" else margin(probabilities)
    return scores if scores.ndim == 1 else scores.mean(1)


def as_choices(probabilities: Probabilities) -> Probabilities:
    """Several labels a row as a choice between no and yes for each, (..., labels) -> (..., labels, 2)."""
    return np.stack([1 - probabilities, probabilities], -1)


def choose(
    texts: tuple[Sequence[str], Sequence[str] | None],
    scores: npt.NDArray[np.float64] | None,
    embed: Callable[[Sequence[str], Sequence[str] | None], Vectors],
    count: int,
    *,
    spread: bool,
    seed: int,
) -> npt.NDArray[np.int64]:
    """Places of rows to label, (count,) or fewer where there are fewer different texts.

    Args:
        texts: of the pool, and their second texts or None.
        scores: how much a row says, (rows,); None where only coverage counts.
        embed: gives vectors of texts.
        count: of rows.
        spread: whether rows that are like each other are to be avoided.
        seed: of samples and clusters.
    """
    places = np.unique(equal_texts(*texts))  # equal texts are labelled once
    if scores is not None:
        places = places[np.argsort(-scores[places], kind="stable")]
    elif len(places) > max(_MOST, count):
        places = np.sort(np.random.default_rng(seed).permutation(places)[: max(_MOST, count)])
    count = min(count, len(places))
    if not spread:
        return places[:count]
    if scores is not None:
        places = places[: CANDIDATES * count]
    firsts, seconds = texts
    listed = places.tolist()
    vectors = embed([firsts[at] for at in listed], None if seconds is None else [seconds[at] for at in listed])
    return places[cover(vectors, count) if scores is None else spread_out(vectors, scores[places], count, seed)]


def suggest_rows(
    model: Model, data: object, rows: int, *, by: str = "mixed", columns: Columns | None = None, seed: int = 0
) -> Suggestion:
    """Rows of a pool to label next; see :func:`striata.suggest`."""
    check_labels(model.task, "a suggestion of rows to label", DataError)
    SUGGESTIONS.check(by, DataError)
    if rows < 1:
        raise DataError(f"{rows}: expected at least 1", argument="rows")
    if by == "disagreement" and len(model.runs) < 2:
        raise DataError("disagreement: the model has one member, which agrees with itself; give an ensemble", argument="by")
    pool = read_texts(data, columns or model.columns, name="pool")
    labelled = np.concatenate([run.validation().texts for run in model.runs.values()])
    table = pool.take(np.flatnonzero(~np.isin(pool.text_hashes(), labelled)))
    if not len(table):
        raise DataError(f"{pool.source}: the validation rows have all of its {len(pool):,} texts; give texts without labels")
    members = None
    if by == "disagreement":  # of all members, also of those that a cascade would not ask
        by_member = model.member_logits(table.texts, table.pairs)
        logits = model.combiner.apply(by_member)
        members = np.stack([model.probabilities(one, calibrated=False) for one in by_member.values()]).astype(np.float64)
        members = members if model.task.one_label else as_choices(members)
    else:
        logits = model.logits(table.texts, table.pairs)
    probabilities = model.probabilities(logits).astype(np.float64)
    scores = score_rows(by, probabilities if model.task.one_label else as_choices(probabilities), members)
    embedded = any(isinstance(scorer, EncoderScorer) for scorer in model.scorers)
    embed = model.embed if embedded else word_vectors
    places = choose((table.texts, table.pairs), scores, embed, rows, spread=by in SPREAD, seed=seed)
    chosen = suggested_rows(table, model.named(logits), model.confidence(logits), scores, places)
    return Suggestion(source=pool.source, pool=len(pool), by=by, known=len(pool) - len(table), rows=chosen)


def suggested_rows(
    table: Table,
    predicted: Sequence[str],
    confidence: npt.NDArray[np.floating],
    scores: npt.NDArray[np.float64] | None,
    places: npt.NDArray[np.int64],
) -> tuple[SuggestedRow, ...]:
    """The rows of a table at some places.

    Args:
        table: the pool.
        predicted: the answer to each row, by name.
        confidence: the calibrated probability of each answer, (rows,).
        scores: of :func:`score_rows`.
        places: of the rows, in the order of the result.
    """
    return tuple(
        SuggestedRow(
            row=int(table.ids[at]),
            text=table.texts[at],
            text_pair=None if table.pairs is None else table.pairs[at],
            predicted=predicted[at],
            probability=float(confidence[at]),
            score=0.0 if scores is None else float(scores[at]),
        )
        for at in places.tolist()
    )


def write_suggestion(suggestion: Suggestion, source: str, path: Path) -> None:
    """Writes the rows with all columns of their source, behind which are `row`, `predicted`, `probability` and `score`.

    A column of the source that has one of these names keeps it, and ours is called `row_suggested` and so on.

    Args:
        suggestion: what was chosen.
        source: file, folder or Hub name of the pool.
        path: the file, in the format of its ending: .csv, .jsonl or .parquet.

    Raises:
        StriataError: the file has another ending or is the source, or cannot be written.
    """
    ending = named(path, *PREDICTIONS).suffix.lower()
    apart(path, source)
    reader = open_source(source, split="test")
    types = types_by_values(reader, carried_columns(reader))
    numbers = [row.row for row in suggestion.rows]
    values: dict[int, list[object]] = {}
    pieces, first = Pieces(reader, list(types), rows=_PORTION), 0
    while len(chunk := pieces.take(_PORTION)):
        for number in (number for number in numbers if first <= number < first + len(chunk)):
            values[number] = [column[number - first] for column in chunk.values.values()]
        first += len(chunk)
    columns = {name: [values[number][at] for number in numbers] for at, name in enumerate(types)}
    for name, kind in {"row": pa.int64(), "predicted": pa.string(), "probability": pa.float64(), "score": pa.float64()}.items():
        key = f"{name}_suggested" if name in types else name
        own = [getattr(row, name) for row in suggestion.rows]
        types[key], columns[key] = kind, [round(value, 6) for value in own] if kind == pa.float64() else own
    buffer = io.BytesIO()
    write_rows(buffer, ending, types, iter([Rows(0, columns)]), source)
    write_bytes(path, buffer.getvalue())
