"""`/v2`: the Open Inference Protocol, version 2, over JSON (https://github.com/kserve/open-inference-protocol)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..model import Model
from .bodies import Second
from .classify import PROBLEMS
from .refusals import Refusal
from .served import Answers
from .service import Service

T = TypeVar("T")
_HAS_A_TEXT: dict[str, JsonValue] = {"contains": {"properties": {"name": {"const": "text"}}}}
_Some = Annotated[list[T], Field(min_length=1)]


class Tensor(BaseModel):
    """A tensor of texts: `BYTES`, its data nested or flat."""

    model_config = ConfigDict(strict=True)

    name: Annotated[Literal["text", "pair"], Field(description="`pair` is the second texts.")]
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=2)]
    datatype: Literal["BYTES"]
    data: Annotated[_Some[Second] | _Some[list[Second]], Field(description="As many texts as the shape says.")]
    parameters: dict[str, Any] | None = None


class OutputName(BaseModel):
    """The name of an output."""

    model_config = ConfigDict(strict=True)

    name: Literal["label", "probabilities", "value"]
    parameters: dict[str, Any] | None = None


class Inference(BaseModel):
    """A request for an inference."""

    model_config = ConfigDict(strict=True)

    inputs: Annotated[list[Tensor], Field(min_length=1, max_length=2, json_schema_extra=_HAS_A_TEXT)]
    outputs: list[OutputName] | None = None
    id: Second | None = None
    parameters: dict[str, Any] | None = None


class Output(BaseModel):
    """A tensor of the response."""

    name: str
    shape: list[int]
    datatype: str
    data: list[str] | list[float]


class Inferred(BaseModel):
    """What comes of an inference."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Output]


class Signature(BaseModel):
    """Name, type and shape of an input or output; -1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Signature]
    outputs: list[Signature]


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """Whether the process answers."""

    live: bool


class Ready(BaseModel):
    """Whether models answer."""

    ready: bool


class ModelReady(BaseModel):
    """Whether one model answers."""

    name: str
    ready: bool


_UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": Ready, "description": "The models are being loaded."}}
_NAMED: dict[int | str, dict[str, Any]] = {status: PROBLEMS[status] for status in (401, 404, 422, 503)}


def routes(service: Service) -> APIRouter:
    """The addresses below `/v2`."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @router.get("/health/live", response_model=Live)
    async def live() -> Live:
        """Whether the process answers at all; restart it where it does not."""
        return Live(live=True)

    @router.get("/health/ready", response_model=Ready, responses=_UNREADY)
    async def ready() -> JSONResponse:
        """Whether every model is loaded; send no requests where it is not."""
        return JSONResponse({"ready": service.is_ready}, 200 if service.is_ready else 503)

    @router.get("", response_model=ServerMetadata, responses={401: PROBLEMS[401]})
    async def server() -> ServerMetadata:
        """What the server is."""
        return ServerMetadata(name="striata", version=version("striata"), extensions=[])

    @router.get("/models/{name}", response_model=ModelMetadata, responses=_NAMED)
    async def metadata(name: str) -> ModelMetadata:
        """What a model takes and gives."""
        served = service.model(name)
        return ModelMetadata(
            name=served.name,
            versions=[served.version],
            platform="striata",
            inputs=[Signature(name="text", datatype="BYTES", shape=[-1]), Signature(name="pair", datatype="BYTES", shape=[-1])],
            outputs=_signatures(served.model),
        )

    @router.get("/models/{name}/ready", response_model=ModelReady, responses=_NAMED)
    async def model_ready(name: str) -> ModelReady:
        """Whether a model is loaded."""
        return ModelReady(name=service.model(name).name, ready=True)

    @router.post("/models/{name}/infer", response_model=Inferred, response_model_exclude_none=True, responses=PROBLEMS)
    async def infer(name: str, inference: Inference) -> JSONResponse:
        """Labels and calibrated probabilities, or numbers, for a tensor of texts."""
        served = service.model(name)
        names = _output_names(inference, served.model)
        texts, pairs = _texts(inference.inputs)
        answers = await service.answer(served, texts, pairs, where=("inputs", "inputs[1]"))
        outputs = _outputs(service, answers)
        body: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
        if inference.id is not None:
            body["id"] = inference.id
        return JSONResponse(body | {"outputs": [outputs[name] for name in names]})

    return router


def _signatures(model: Model) -> list[Signature]:
    """What a model gives."""
    if model.task.numeric:
        return [Signature(name="value", datatype="FP64", shape=[-1])]
    return [
        Signature(name="label", datatype="BYTES", shape=[-1]),
        Signature(name="probabilities", datatype="FP32", shape=[-1, len(model.labels)]),
    ]


def _output_names(inference: Inference, model: Model) -> Sequence[str]:
    """What is asked for; everything where nothing is named.

    Raises:
        Refusal: the model does not give it.
    """
    possible = [signature.name for signature in _signatures(model)]
    names = tuple(dict.fromkeys(output.name for output in inference.outputs or ())) or possible
    for at, name in enumerate(names):
        if name not in possible:
            message = f"the model gives no {name}; expected {' or '.join(possible)}"
            raise Refusal(422, "no_output", message, field=f"outputs[{at}].name")
    return names


def _texts(inputs: Sequence[Tensor]) -> tuple[list[str], list[str] | None]:
    """The texts and second texts of the tensors.

    Raises:
        Refusal: a tensor has a name twice or another shape than it says.
    """
    named: dict[str, list[str]] = {}
    for at, tensor in enumerate(inputs):
        where = f"inputs[{at}]"
        if tensor.name in named:
            raise Refusal(422, "twice", f"{where} has the name of another input; expected one of each", field=f"{where}.name")
        data = [text for part in tensor.data for text in ([part] if isinstance(part, str) else part)]
        if math.prod(tensor.shape) != len(data):
            message = f"{where} has {len(data):,} texts; expected as many as its shape says"
            raise Refusal(422, "shape", message, field=f"{where}.shape")
        named[tensor.name] = data
    if "text" not in named:
        raise Refusal(422, "no_text", "no input is called text", field="inputs")
    return named["text"], named.get("pair")


def _outputs(service: Service, answers: Answers) -> dict[str, dict[str, Any]]:
    model = answers.served.model
    if model.task.numeric:
        values = list(model.answered(answers.logits))
        service.metrics.count_texts(answers.served.name, len(values), int(answers.cut.sum()))
        return {"value": {"name": "value", "shape": [len(values)], "datatype": "FP64", "data": values}}
    probabilities = model.probabilities(answers.logits)
    labels, confidence = model.named(answers.logits), model.confidence(answers.logits)
    service.metrics.count(answers.served.name, labels, confidence, int(answers.cut.sum()), parts=model.task.parts)
    return {
        "label": {"name": "label", "shape": [len(labels)], "datatype": "BYTES", "data": labels},
        "probabilities": {
            "name": "probabilities",
            "shape": list(probabilities.shape),
            "datatype": "FP32",
            "data": probabilities.ravel().tolist(),
        },
    }
