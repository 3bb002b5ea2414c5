"""What every address of a server shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .batching import Batcher
from .limits import Limits
from .metrics import Metrics
from .refusals import Refusal
from .served import Answers, Library, Served


@dataclass(slots=True, kw_only=True)
class Service:
    """Models, the queue in front of them, and what is counted.

    Args:
        library: the models.
        limits: of requests.
        metrics: that count.
        batcher: the queue.
        draining: whether the server is about to end.
    """

    library: Library
    limits: Limits
    metrics: Metrics = field(default_factory=Metrics)
    batcher: Batcher = field(init=False)
    draining: bool = False

    def __post_init__(self) -> None:
        self.batcher = Batcher(self.limits, self.metrics, self.library.tell)
        self.library.changed = self._changed
        self.library.failed = lambda name: self.metrics.loads.labels(name, "failed").inc()

    def _changed(self, new: Served, old: Served | None) -> None:
        self.metrics.in_use(new.name, new.version, None if old is None else old.version)

    @property
    def is_ready(self) -> bool:
        """Whether every model is loaded and the server is not about to end."""
        return self.library.whole and not self.draining

    def model(self, name: str | None) -> Served:
        """The model of a name, or the only one.

        Raises:
            Refusal: there is none, or no name was given and there are several, or the models are still being loaded.
        """
        models = self.library.models
        if not self.library.whole:
            raise Refusal(503, "loading", "the models are being loaded; come again soon", headers={"Retry-After": "1"})
        names = ", ".join(models)
        if name is None:
            if len(models) > 1:
                raise Refusal(422, "no_model", f"several models are served; name one of {names}", field="model")
            return next(iter(models.values()))
        if name not in models:
            raise Refusal(404, "unknown_model", f"there is no such model; expected one of {names}", field="model")
        return models[name]

    async def answer(
        self,
        served: Served,
        texts: Sequence[str],
        pairs: Sequence[str] | None,
        *,
        coverage: float | None = None,
        where: tuple[str, str] = ("texts", "pairs"),
    ) -> Answers:
        """What a model says of texts, once it is their turn.

        Args:
            served: the model.
            texts: to answer.
            pairs: second texts, or None.
            coverage: of the label sets; None for none.
            where: what the two are called in the body.

        Raises:
            Refusal: a text is blank, there are not as many second texts, or as :meth:`Batcher.answer`.
        """
        if pairs is not None and len(pairs) != len(texts):
            counts = f"{len(texts):,} in {where[0]}, {len(pairs):,} in {where[1]}"
            raise Refusal(422, "pairs", f"expected as many second texts as texts; there are {counts}", field=where[1])
        for at, text in enumerate(texts):
            check_text(text, f"{where[0]}[{at}]")
        return await self.batcher.answer(served, texts, pairs, coverage=coverage)


def check_text(text: str, field: str) -> None:
    """Refuses a blank text.

    Raises:
        Refusal: it is blank.
    """
    if not text.strip():
        raise Refusal(422, "blank_text", f"{field} is blank; expected a text", field=field)
