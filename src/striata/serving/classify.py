"""`/v1`: texts in, labels or numbers out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from .bodies import Classified, ModelFacts, ModelList, Question
from .refusals import Problem, Refusal
from .served import Answers, Floats
from .service import Service

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is no JSON."},
    401: {"model": Problem, "description": "No key that is known."},
    404: {"model": Problem, "description": "No such model."},
    408: {"model": Problem, "description": "The body did not come in time."},
    409: {"model": Problem, "description": "The model has too few validation rows to promise this coverage."},
    413: {"model": Problem, "description": "The body is too long, or there are too many texts."},
    422: {"model": Problem, "description": "Something in the body is not as expected."},
    429: {"model": Problem, "description": "The queue is full; `Retry-After` says when to come again."},
    500: {"model": Problem, "description": "The model failed."},
    503: {"model": Problem, "description": "The models are being loaded."},
    504: {"model": Problem, "description": "It was not answered in time."},
}


def routes(service: Service) -> APIRouter:
    """The addresses below `/v1`."""
    router = APIRouter(prefix="/v1", tags=["striata"])

    @router.post("/classify", response_model=Classified, responses=PROBLEMS)
    async def classify(question: Question) -> JSONResponse:
        """Labels, probabilities, sets and votes for texts, or numbers. Texts of several requests are answered in one pass."""
        served = service.model(question.model)
        answers = await service.answer(served, question.texts, question.pairs, coverage=question.coverage)
        return JSONResponse(
            {"model": served.name, "version": served.version, "answers": list(_answers(service, answers, question))}
        )

    @router.get("/models", response_model=ModelList, responses={401: PROBLEMS[401]})
    async def models() -> ModelList:
        """The models that are served, with their labels and members."""
        facts = [
            ModelFacts(
                name=served.name,
                version=served.version,
                task=served.model.task.name,
                labels=[] if served.model.task.numeric else list(served.model.labels),
                members=list(served.model.runs),
                temperature=None if served.model.task.numeric else float(served.model.calibration.temperature),
            )
            for served in service.library.models.values()
        ]
        return ModelList(models=facts)

    return router


def _answers(service: Service, answers: Answers, question: Question) -> Iterator[dict[str, Any]]:
    """What is said of each text; counted."""
    model, name = answers.served.model, answers.served.name
    if model.task.numeric:
        yield from _numbers(service, answers, question)
        return
    probabilities = model.probabilities(answers.logits)
    if not model.task.one_label:
        yield from _several(service, answers, question)
        return
    top = model.confidence(answers.logits)
    labels: list[str | None] = [model.labels[at] for at in model.decide(answers.logits)]
    if question.abstain_below is not None:
        labels = [label if value >= question.abstain_below else None for label, value in zip(labels, top, strict=True)]
    service.metrics.count(name, labels, top, int(answers.cut.sum()))
    votes = _votes(answers) if question.votes else None
    for at, label in enumerate(labels):
        answer: dict[str, Any] = {"label": label, "probability": float(top[at]), "cut": bool(answers.cut[at])}
        if question.probabilities:
            answer["probabilities"] = dict(zip(model.labels, probabilities[at].tolist(), strict=True))
        if answers.sets is not None:
            answer["set"] = list(answers.sets[at])
        if votes is not None:
            answer["votes"] = votes[at]
        yield answer


def _numbers(service: Service, answers: Answers, question: Question) -> Iterator[dict[str, Any]]:
    """As :func:`_answers` where a text has a number."""
    model, name = answers.served.model, answers.served.name
    if question.abstain_below is not None:
        message = f"abstain_below is for models with one label a text, and {name} gives numbers; leave it out"
        raise Refusal(422, "a_number", message, field="abstain_below")
    service.metrics.count_texts(name, len(answers.logits), int(answers.cut.sum()))
    for at, value in enumerate(model.answered(answers.logits)):
        answer: dict[str, Any] = {"value": value, "cut": bool(answers.cut[at])}
        if answers.intervals is not None:
            answer["low"], answer["high"] = answers.intervals[at].tolist()
        if question.votes:
            answer["votes"] = {
                member: {"value": own}
                for member, logits in answers.members.items()
                for own in model.answered(logits[at : at + 1])
            }
        yield answer


def _several(service: Service, answers: Answers, question: Question) -> Iterator[dict[str, Any]]:
    """As :func:`_answers` where a text has several labels."""
    model, name = answers.served.model, answers.served.name
    if question.abstain_below is not None:
        message = f"abstain_below is for models with one label a text, and {name} gives several; leave it out"
        raise Refusal(422, "several_labels", message, field="abstain_below")
    probabilities, decided = model.probabilities(answers.logits), model.decide(answers.logits)
    names = model.task.spell(decided, model.labels)
    confidence = model.confidence(answers.logits)
    service.metrics.count(name, names, confidence, int(answers.cut.sum()), parts=model.task.parts)
    for at, label in enumerate(names):
        answer: dict[str, Any] = {"label": label, "probability": float(confidence[at]), "cut": bool(answers.cut[at])}
        answer["labels"] = list(model.task.parts(label))
        if question.probabilities:
            answer["probabilities"] = dict(zip(model.labels, probabilities[at].tolist(), strict=True))
        if answers.sets is not None:
            answer["set"] = list(answers.sets[at])
        if question.votes:
            answer["votes"] = {
                member: {"label": vote, "probability": float(np.maximum(own, 1 - own).min())}
                for member, logits in answers.members.items()
                for vote, own in [
                    (
                        model.task.spell(model.task.decide(logits[at : at + 1]), model.labels)[0],
                        model.task.probabilities(logits[at]),
                    )
                ]
            }
        yield answer


def _votes(answers: Answers) -> list[dict[str, dict[str, Any] | None]]:
    """The label of every member, for each text."""
    model = answers.served.model
    votes: list[dict[str, dict[str, Any] | None]] = [{} for _ in answers.logits]
    for name, logits in answers.members.items():
        probabilities: Floats = model.task.probabilities(logits)
        for vote, own, decided in zip(votes, probabilities, model.task.decide(logits), strict=True):
            answered = not np.isnan(own).any()
            vote[name] = {"label": model.labels[decided], "probability": float(own[decided])} if answered else None
    return votes
