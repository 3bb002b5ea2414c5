"""What an ensemble's file says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ..disk.documents import Document, Exact, strictly
from ..errors import EnsembleError
from ..runs.facts import Figures
from .combiner import CASCADE, Cascade

FILE = "ensemble.json"


class _Member(Exact):
    weight: float
    folder: str
    checksum: str


class _Stacking(Exact):
    intercept: dict[str, float]
    coefficients: dict[str, dict[str, dict[str, float]]]


class _Cascade(Exact):
    early: str
    cheap: str | None
    threshold: Annotated[float, Field(ge=0, le=1)] | None
    early_temperature: Annotated[float, Field(gt=0)]
    late_temperature: Annotated[float, Field(gt=0)]
    loss: Annotated[float, Field(gt=0, lt=1)]
    rows: Annotated[int, Field(gt=0)]
    answered: Annotated[int, Field(ge=0)]
    lost: Annotated[int, Field(ge=0)]
    gained: Annotated[int, Field(ge=0)]
    unproven: Annotated[float, Field(ge=0, le=1)]

    def restored(self) -> Cascade:
        """What it says of a cascade."""
        return Cascade(**self.model_dump(exclude={"cheap"}))


class Content(Exact):
    """What `ensemble.json` says; the fields are those of :class:`striata.ensemble.folder.Ensemble` and of
    :class:`striata.ensemble.rule.Rule`.

    Args:
        members: weight, place and checksum of each run, by name.
        folds: of the nested estimate.
        stacking: the regression, for that method.
        cascade: who answers which texts, likewise.
    """

    method: str
    combination: str
    by: str
    size: int
    budget: int | None
    members: dict[str, _Member]
    labels: tuple[str, ...]
    studies: dict[str, int]
    rows: int
    folds: int
    metrics: Figures
    nested: Figures
    single: Figures
    stacking: _Stacking | None = None
    cascade: _Cascade | None = None

    @model_validator(mode="after")
    def _early_is_a_member(self) -> Content:
        if self.cascade is not None and self.cascade.early not in self.members:
            raise ValueError(f"cascade.early is {self.cascade.early}; expected a member")
        if (self.cascade is not None) != (self.combination == CASCADE):
            raise ValueError(f"combination is {self.combination}; expected {CASCADE} with, and only with, a cascade")
        return self


ENSEMBLE = Document(
    kind="ensemble",
    parse=strictly(Content),
    error=EnsembleError,
    advice="make it again with `striata ensemble`",
    sealed=True,
)
