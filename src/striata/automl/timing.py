"""How a time is shared out: what costs how many seconds, and what of it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..settings.file import RaceSettings
from ..study.automatic import EPOCHS, RACING_STEPS, RATES, UNTIL, USEFUL_STEPS
from ..study.race import Race
from .choices import LEAST_EMBEDDED

BATCH = 16
FEW_STEPS = 150  # an adapter with fewer says less than more frozen embeddings would
ENOUGH_STEPS = 600  # from here on a second member is worth more than more steps
MOST_MEMBERS = 4  # each costs a pass over every text that is answered
EVALUATIONS, EVALUATED_ROWS = 3, 300  # in a member's training

USUAL_SPEED = 1.65e-4  # seconds a token takes through MiniLM forward, on two cores without AVX-512; other speeds follow it
_TRAINING = 2.8  # a token's training costs about so many times its forward pass on a usual machine
_LEAST_TRAINING = 2.0  # forward and back, at least
_BEYOND = 1.25  # times as long as a measured step is planned: other lengths, evaluations; ending early costs more than idle time
_STEPPING = 0.65  # at least this share of that where the encoder is faster: bf16 units speed up large products, not small steps
_STEEPEST = 5.0  # and at most so many times as much as a faster machine's forward pass says
_WORDS = 3e-6  # seconds a character takes when words are counted and fitted for four labels
_HARDEST = 4.0  # times as long for many labels, at most
_READING = 9e-7  # seconds a character takes when texts are read and tokenized once more
_UNITS = 0.7  # least share of the usual seconds that anything but the encoder takes: units for bf16 do nothing for it
_FITTING = 3.0  # seconds in which the baselines on few frozen embeddings are chosen and fitted
_FITTED = ((4000, 4e-3), (math.inf, 1e-3))  # seconds of each row more: of so many that choosing takes part, then of the rest
_FIXED = 13.0  # seconds for opening the encoder and for what is written at the end
_EMBEDDING = 0.6  # most of the time that frozen embeddings take where adapters are trained
_MANY_MORE = 1.25  # times as many embedded rows as before are worth fitting on them once more
_SPARE = 0.06  # share of the time that nothing is planned for


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What there is to do, and how fast this machine is.

    Args:
        rows: for training.
        validated: rows for validation.
        tested: rows for test.
        labels: how many.
        tokens: of a text in the mean, as it is cut.
        characters: of a text in the mean, uncut: words are counted in all of it.
        seconds_a_token: through the frozen encoder, forward.
        refit: whether baselines are fitted twice.
        measured_row: seconds of one text in a training step, where that was measured; None where the encoder's speed is to tell.
    """

    rows: int
    validated: int
    tested: int
    labels: int
    tokens: float
    characters: float
    seconds_a_token: float
    refit: bool
    measured_row: float | None = None

    @property
    def judged(self) -> int:
        """Rows for validation and test."""
        return self.validated + self.tested

    @property
    def slower(self) -> float:
        """How many times slower than usual this machine is."""
        return self.seconds_a_token / USUAL_SPEED

    @property
    def plainly_slower(self) -> float:
        """The same of what is not the encoder's."""
        return max(_UNITS, self.slower)

    @property
    def row(self) -> float:
        """Seconds of one text through the encoder, forward."""
        return max(self.tokens * self.seconds_a_token, 1e-9)

    @property
    def trained_row(self) -> float:
        """Seconds of one text in a training step, as they are planned."""
        if self.measured_row is not None:
            return _BEYOND * self.measured_row
        return _TRAINING * max(self.row, min(self.tokens * _STEPPING * USUAL_SPEED, _STEEPEST * self.row))

    @property
    def fits(self) -> int:
        """How often a baseline is fitted."""
        return 2 if self.refit else 1

    def embedded_row(self, fitting: float) -> float:
        """Seconds of one more training row that is embedded, and takes so many seconds of a usual machine's fit."""
        return self.row + self.fits * self.plainly_slower * fitting

    def embedding(self, rows: int) -> float:
        """Seconds in which training rows are embedded and fitted on."""
        seconds, before = 0.0, 0.0
        for end, fitting in _FITTED:
            seconds += max(0.0, min(rows, end) - before) * self.embedded_row(fitting)
            before = end
        return seconds

    @property
    def around(self) -> float:
        """Seconds for all that needs no encoder's pass."""
        harder = min(_HARDEST, 0.9 + self.labels / 40)  # more weights to fit; with very many labels another model is
        words = self.fits * harder * _WORDS * self.rows + _READING * (self.rows + self.judged)
        # words are as slow on machines with units for bf16 as on any
        return self.plainly_slower * (_FIXED + self.fits * _FITTING) + max(1.0, self.slower) * self.characters * words


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How much is trained.

    Args:
        members: trained side by side to their end.
        steps: of each.
        rates: learning rates as multiples of the usual one; more than one of them race.
        dropout: whether the frozen encoder drops as its configuration says; not while no row comes twice.
    """

    members: int
    steps: int
    rates: tuple[float, ...]
    dropout: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What is done in a time.

    Args:
        embedded: training rows whose frozen embeddings are computed.
        training: of adapters; None where the time does not suffice for steps that teach anything.
    """

    embedded: int
    training: Training | None


def share_out(costs: Costs, seconds: float) -> Shares:
    """What fits into a time: frozen embeddings first, for more neighbours are worth more than more steps, adapters for the rest.

    Args:
        costs: of the work.
        seconds: that are left.
    """
    usable = (1 - _SPARE) * seconds - costs.around - costs.judged * costs.row
    embedded = _rows_in(costs, _EMBEDDING * usable)
    training = plan_training(costs, usable - costs.embedding(embedded))
    return Shares(embedded=_rows_in(costs, usable) if training is None else embedded, training=training)


def may_train(costs: Costs, seconds: float) -> bool:
    """Whether adapters may be trained in a time, if a step is as fast as can be.

    Args:
        costs: of the work.
        seconds: that are left.
    """
    return share_rest(replace(costs, measured_row=_LEAST_TRAINING / _BEYOND * costs.row), seconds) is not None


def share_rest(costs: Costs, seconds: float, *, places: int = 1, remote: Costs | None = None) -> Training | None:
    """What is trained in the time that the baselines have left.

    Args:
        costs: of the work.
        seconds: that are left.
        places: in which members are trained at the same time; in several of them nothing races, for who races is judged together.
        remote: costs in such a place; None for those of this machine.
    """
    usable = (1 - _SPARE) * seconds - finishing(costs, 0 if places == 1 else min(places, MOST_MEMBERS))
    one = plan_training(remote or costs, usable, most_members=-(-MOST_MEMBERS // places), races=places == 1)
    return None if one is None else replace(one, members=min(MOST_MEMBERS, places * one.members))


def embed_more(costs: Costs, seconds: float, embedded: int, fitted: float | None = None) -> int | None:
    """Training rows whose frozen embeddings are computed in all, in the time that the first baselines have left.

    Args:
        costs: of the work.
        seconds: that are left.
        embedded: rows that are embedded by now; where there are any, no adapters are to have a part of the time.
        fitted: seconds that fitting on these took; None where none are.

    Returns:
        None where the time does not suffice for so many more that fitting once more on them is worth it.
    """
    again = costs.plainly_slower * _FITTING * costs.fits if fitted is None else _MANY_MORE * fitted
    usable = (1 - _SPARE) * seconds - again - finishing(costs, 0) - (0 if embedded else costs.validated * costs.row)
    more = int(usable / costs.row) if fitted is not None else _rows_in(costs, (1 if embedded else _EMBEDDING) * usable)
    rows = min(costs.rows, embedded + more)
    return rows if rows >= max(min(costs.rows, LEAST_EMBEDDED), _MANY_MORE * embedded) else None


def finishing(costs: Costs, members: int) -> float:
    """Seconds for what comes after training: a pass of the frozen encoder over the test rows, those of each member over some
    validation rows, where the time ends it, and over all rows that it is judged by, and writing.

    Args:
        costs: of the work.
        members: that are trained.
    """
    return (costs.tested + members * (costs.judged + EVALUATED_ROWS)) * costs.row + costs.plainly_slower * _FIXED / 2


def _rows_in(costs: Costs, seconds: float) -> int:
    """Rows that are embedded and fitted on in so many seconds, at least one."""
    rows, before = 0.0, 0.0
    for end, fitting in _FITTED:
        more = min(end - before, max(0.0, seconds) / costs.embedded_row(fitting))
        seconds -= more * costs.embedded_row(fitting)
        rows, before = rows + more, end
    return max(1, min(costs.rows, int(rows)))


def plan_training(costs: Costs, seconds: float, *, most_members: int = MOST_MEMBERS, races: bool = True) -> Training | None:
    """Members and steps that fit into a time.

    One member gets all the time until its steps are enough; then the time is shared by more members, which an ensemble can use.
    With steps enough for it, learning rates race first.

    Args:
        costs: of the work.
        seconds: for everything that members need: steps, evaluations, a pass over the rows they are judged by.
        most_members: the most.
        races: whether learning rates may race.

    Returns:
        None where the time does not suffice for steps that teach anything.
    """
    useful = max(USEFUL_STEPS, math.ceil(EPOCHS * costs.rows / BATCH))
    step = BATCH * costs.trained_row
    judging = (EVALUATIONS * EVALUATED_ROWS + costs.judged) * costs.row
    for members in range(most_members, 0, -1):
        for rates in (RATES, (1.0,)) if races else ((1.0,),):
            steps = min(useful, int((seconds / members - judging) / (step * _steps_a_step(members, len(rates)))))
            if steps < FEW_STEPS if members == 1 else steps < min(useful, ENOUGH_STEPS):
                continue
            if len(rates) == 1 or (members > 1 and steps >= RACING_STEPS):
                return Training(members=members, steps=steps, rates=rates, dropout=steps * BATCH > costs.rows)
    return None


def _steps_a_step(members: int, rates: int) -> float:
    """Steps of a race and of what it leaves, for each member and each step of it."""
    settings = RaceSettings(learning_rates=tuple(RATES[:rates]), survivors=members, until=UNTIL)
    return Race(settings, [str(at) for at in range(members * rates)]).total(1000) / (1000 * members)
