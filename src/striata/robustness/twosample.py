"""Whether two sets of vectors come from one distribution: a classifier two-sample test with a permutation p-value.

The classifier is a linear discriminant (ridge regression on the membership), fitted on four fifths and applied to the rest in
turn. Its predictions are linear in the memberships, so that the whole cross-fitting is done again for a thousand permutations
of them in a few products of matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
LEAST = 30  # rows on either side
_FOLDS = 5
_RIDGE = 0.1  # added to the diagonal of the correlation matrix
_LEVEL = 0.05
_AT_ONCE = 100  # columns of memberships


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoSample:
    """Result of a test.

    Args:
        rows: of the first and the second set.
        auc: of the classifier on rows it was not fitted on; 0.5 when it cannot tell the sets apart.
        p_value: share of permutations with as large an AUC, the observed one counted among them.
        permutations: how many.
        foreign: at least this share of the second set is not of the first one's distribution, with 95 % confidence.
        scores: how much each row looks like one of the second set, (rows of both,).
    """

    rows: tuple[int, int]
    auc: float
    p_value: float
    permutations: int
    foreign: float
    scores: Floats

    def to_json(self) -> dict[str, object]:
        """All figures, without the scores."""
        return {
            "rows": list(self.rows),
            "auc": self.auc,
            "p_value": self.p_value,
            "permutations": self.permutations,
            "foreign_at_least": self.foreign,
        }


def two_sample(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating], *, permutations: int, seed: int) -> TwoSample:
    """Tests whether two sets of vectors come from one distribution (Lopez-Paz and Oquab 2017, with the AUC as statistic).

    The statistic, and the first permutations, are the same however many permutations there are.

    Args:
        first: (n, size), n at least 30.
        second: (m, size), m at least 30.
        permutations: of the memberships.
        seed: of folds and permutations.
    """
    rng = np.random.default_rng(seed)
    x = np.concatenate([first, second]).astype(np.float64)
    spread = x.std(0)
    x = (x - x.mean(0)) / np.where(spread > 0, spread, 1.0)
    member = np.zeros(len(x))
    member[len(first) :] = 1
    # The folds do not look at the memberships, without which the permutations would not be exchangeable with what was observed.
    # They are drawn before the permutations, or they, and with them the observed AUC, would depend on the permutations' number.
    fold = rng.permutation(np.arange(len(x)) % _FOLDS)
    columns = _AT_ONCE * math.ceil((1 + permutations) / _AT_ONCE)  # the surplus is not counted, see _fit_and_apply
    members = np.column_stack([member, *(rng.permutation(member) for _ in range(columns - 1))])
    wins, pairs, scores = np.zeros(columns), np.zeros(columns), np.zeros(len(x))
    for at in range(_FOLDS):
        inside, outside = fold == at, fold != at
        predicted = _fit_and_apply(x[outside], members[outside], x[inside])
        won, met = _wins(predicted, members[inside])
        wins, pairs = wins + won, pairs + met
        scores[inside] = predicted[:, 0]
    auc = (wins / pairs)[: 1 + permutations]
    return TwoSample(
        rows=(len(first), len(second)),
        auc=float(auc[0]),
        p_value=float((1 + (auc[1:] >= auc[0] - 1e-12).sum()) / (1 + permutations)),
        permutations=permutations,
        foreign=_foreign(scores[: len(first)], scores[len(first) :]),
        scores=scores,
    )


def _fit_and_apply(x: Floats, members: Floats, new: Floats) -> Floats:
    """Ridge regressions of all columns of `members` on `x`, applied to `new`: (new rows, columns).

    A hundred columns at a time: in products of other shapes the last digits are others, and near-ties fall otherwise.
    """
    from scipy.linalg import cho_factor, cho_solve

    middle, level = x.mean(0), members.mean(0)
    centred = x - middle
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += _RIDGE * len(x)
    factor = cho_factor(gram)
    result = np.empty((len(new), members.shape[1]))
    for start in range(0, members.shape[1], _AT_ONCE):
        at = slice(start, start + _AT_ONCE)
        result[:, at] = (new - middle) @ cho_solve(factor, centred.T @ (members[:, at] - level[at])) + level[at]
    return result


def _wins(predicted: Floats, members: Floats) -> tuple[Floats, Floats]:
    """For each column, pairs of a row of each set in which the second's is above, and all pairs (Mann and Whitney)."""
    from scipy.stats import rankdata

    ranks = rankdata(predicted.T, axis=1)
    inside = members.T > 0.5
    second = inside.sum(1).astype(np.float64)
    wins = (ranks * inside).sum(1) - second * (second + 1) / 2
    return wins, second * (members.shape[0] - second)


def _foreign(first: Floats, second: Floats) -> float:
    """Were a share s of the second set foreign, the distribution functions of any score would differ by at most s.

    The largest observed difference less the Dvoretzky-Kiefer-Wolfowitz bounds of both is therefore a lower bound of s.
    """
    grid = np.concatenate([first, second])
    below_first = np.searchsorted(np.sort(first), grid, "right") / len(first)
    below_second = np.searchsorted(np.sort(second), grid, "right") / len(second)
    reach = math.sqrt(math.log(2 / _LEVEL) / 2)
    return max(0.0, float((below_first - below_second).max()) - reach / math.sqrt(len(first)) - reach / math.sqrt(len(second)))
