"""What a study says of how its files are written, and what `--read` says of one."""

from __future__ import annotations

from typing import Any

import pytest

from striata.cli.options import named_columns
from striata.data import Columns, Dialect
from striata.errors import DataError, StudyError
from striata.settings import load_study
from striata.settings.data_settings import DataSettings


def study_of(**data: Any) -> DataSettings:
    return load_study({"base": "roberta-base", "data": {"train": "a.csv", **data}, "layouts": ["s8"], "output": "x"}).data


def test_how_files_are_written_can_be_stated() -> None:
    data = study_of(
        delimiter="tab", quoting="none", encoding="cp1252", header=["label", "title", 3], text=["title", 3], drop_empty=True
    )
    stated = Dialect(delimiter="\t", quoting="none", encoding="cp1252", header=("label", "title", "3"))
    assert data.columns() == Columns(text=("title", "3"), dialect=stated, drop_empty=True)
    assert data.columns().by_name == Columns(text=("title", "3"))
    again = DataSettings.model_validate(data.model_dump(mode="json"))
    assert again.columns() == data.columns()
    assert study_of(header=True).columns().dialect.header is True
    assert study_of(text="title, body").columns().text == "title, body"


def test_documents_without_it_are_as_they_were() -> None:
    assert set(study_of().model_dump(mode="json")) == {
        "train", "validation", "test", "max_length", "text", "text_pair", "label", "seed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("delimiter", "ab", "delimiter is 'ab'; expected one character"),
        ("quoting", "double", "unknown quoting 'double'; expected quoted or none"),
        ("encoding", "latin-99", "encoding 'latin-99' is not known"),
        ("header", ["a", "a"], "data.header"),
        ("header", [], "data.header"),
        ("drop_empty", "some", "data.drop_empty"),
        ("text", ["a", "a"], "data.text"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(key: str, value: Any, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        study_of(**{key: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_command_says_it_of_one_file() -> None:
    read = ["encoding=cp1252", "delimiter=;", "header=label,text", "drop_empty=true"]
    expected = Dialect(encoding="cp1252", delimiter=";", header=("label", "text"))
    assert named_columns(Columns(text="a"), label="b", read=read) == Columns(
        text="a", label="b", dialect=expected, drop_empty=True
    )
    assert named_columns(Columns(), read=["header=false"]).dialect == Dialect(header=False)
    assert named_columns(Columns(text="a")) == Columns(text="a")
    wrong = {
        "encodin=utf-8": "unknown key",
        "header": "unknown key",
        "drop_empty=1": "true or false",
        "quoting=x": "unknown quoting",
    }
    for entry, message in wrong.items():
        with pytest.raises(DataError, match=message):
            named_columns(Columns(), read=[entry])
