"""`/v1/explain`: the words that decided."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from .bodies import Why, WhyQuestion
from .classify import PROBLEMS
from .refusals import Refusal
from .service import Service, check_text


def routes(service: Service) -> APIRouter:
    """The address."""
    router = APIRouter(prefix="/v1", tags=["striata"])

    @router.post("/explain", response_model=Why, responses=PROBLEMS)
    async def explain(question: WhyQuestion) -> JSONResponse:
        """What every word of a text adds to a label's score. Takes as long as dozens of texts; few may wait."""
        served = service.model(question.model)
        check_text(question.text, "text")
        if served.model.task.numeric:
            raise Refusal(422, "a_number", "words are explained for models with labels", field="model")
        if question.label is not None and question.label not in served.model.labels:
            raise Refusal(404, "unknown_label", "the model has no such label; /v1/models lists them", field="label")
        pairs = None if question.pair is None else [question.pair]
        (why,) = await service.batcher.alone(served, lambda: served.model.explain([question.text], pairs, label=question.label))
        return JSONResponse(
            {
                "model": served.name,
                "version": served.version,
                "label": why.label,
                "probability": why.probability,
                "method": why.method,
                "score": why.score,
                "error": why.error,
                "words": [asdict(word) for word in why.words],
            }
        )

    return router
