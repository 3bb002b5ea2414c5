"""What `/v1` takes and gives, as OpenAPI shows it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

_EXAMPLE: dict[str, JsonValue] = {"texts": ["Stocks rise on hopes of a deal"], "coverage": 0.9, "votes": True}


def _readable(text: str) -> str:
    """Refuses halves of surrogate pairs, which JSON can name and nothing can read or write."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError("holds half of a surrogate pair; expected Unicode")
    return text


Second = Annotated[str, AfterValidator(_readable)]
Text = Annotated[Second, Field(json_schema_extra={"pattern": "\\S"})]


class Question(BaseModel):
    """Texts to classify."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [_EXAMPLE]})

    texts: Annotated[list[Text], Field(min_length=1, description="Texts; none of them blank.")]
    pairs: Annotated[list[Second] | None, Field(min_length=1, description="As many second texts, for models of pairs.")] = None
    model: Annotated[str | None, Field(description="Name of the model; may be left out where there is one.")] = None
    coverage: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            allow_inf_nan=False,
            description="Also give `set`: labels among which is the true one at this share; of numbers `low` and `high`.",
        ),
    ] = None
    abstain_below: Annotated[
        float | None,
        Field(ge=0, le=1, allow_inf_nan=False, description="No label where its calibrated probability is smaller."),
    ] = None
    probabilities: Annotated[bool, Field(description="Whether to give the probability of every label.")] = True
    votes: Annotated[bool, Field(description="Whether to give the label of every member.")] = False


class Vote(BaseModel):
    """What one member says by itself."""

    label: str
    probability: float = Field(description="Of the label, not calibrated.")


class Answer(BaseModel):
    """What the model says of one text."""

    label: str | None = Field(description="The label, as a rule the likeliest, or several as `a|b`; null where it is left open.")
    labels: list[str] | None = Field(None, description="Of a model that gives several labels: these, in the order of all.")
    probability: float = Field(
        description="Calibrated probability of the label, also of one left open; of several that of the least sure decision."
    )
    cut: bool = Field(description="Whether a member read the beginning of the text only, since it is too long.")
    probabilities: dict[str, float] | None = Field(None, description="Calibrated, of every label.")
    set: list[str] | None = Field(None, description="Labels that the text may have, likeliest first.")
    votes: dict[str, Vote | None] | None = Field(
        None, description="Of every member by name; null for those that a cascade did not ask."
    )


class NumberVote(BaseModel):
    """What one member says by itself."""

    value: float


class NumberAnswer(BaseModel):
    """What a model of numbers says of one text."""

    value: float = Field(description="The number.")
    cut: bool = Field(description="Whether a member read the beginning of the text only, since it is too long.")
    low: float | None = Field(None, description="The true number lies between this and `high` at the share of `coverage`.")
    high: float | None = Field(None, description="See `low`.")
    votes: dict[str, NumberVote] | None = Field(None, description="Of every member by name.")


class Classified(BaseModel):
    """Answers in the order of the texts."""

    model: str
    version: str = Field(description="Changes with anything that decides an answer.")
    answers: list[Answer] | list[NumberAnswer]


class WhyQuestion(BaseModel):
    """A text of which the words that decided are wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[Text, Field(description="Not blank.")]
    pair: Annotated[Second | None, Field(description="A second text, for models of pairs.")] = None
    model: Annotated[str | None, Field(description="Name of the model; may be left out where there is one.")] = None
    label: Annotated[str | None, Field(description="The label to explain; null for the likeliest.")] = None


class Word(BaseModel):
    """A word and what it adds."""

    word: str
    weight: float = Field(description="What it adds to the label's score, the log-odds against the other labels' mean.")
    start: int = Field(description="Its first character in the text, counted from 0 in code points.")
    end: int = Field(description="The place behind its last.")
    part: int = Field(description="0 in the text, 1 in the second text.")
    read: bool = Field(description="False where the text is cut before it.")


class Why(BaseModel):
    """What decided."""

    model: str
    version: str
    label: str
    probability: float = Field(description="Of the label, calibrated.")
    method: str = Field(description="exact, gradients or leave-one-out.")
    score: float
    error: float | None = Field(None, description="How far the weights are from adding up; null where they need not.")
    words: list[Word] = Field(description="In the order of the text.")


class ModelFacts(BaseModel):
    """A model that is served."""

    name: str
    version: str
    task: str
    labels: list[str] = Field(description="None of a model of numbers.")
    members: list[str]
    temperature: float | None = Field(description="Null of a model of numbers.")


class ModelList(BaseModel):
    """The models that are served."""

    models: list[ModelFacts]
