"""How text files are written is determined from them, shown, and can be stated; what is not certain is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striata.data import Columns, Dialect, read_table, read_texts
from striata.errors import DataError

ROWS = [
    ("the match was lost, again", "sport"),
    ('a film; with "stars"', "film"),
    ("der Ärger | über Öl – „so“", "sport"),
    ("x", "film"),
]


def write(path: Path, rows: list[tuple[str, ...]], encoding: str = "utf-8", **how: object) -> str:
    with open(path, "w", encoding=encoding, newline="") as file:
        csv.writer(file, **how).writerows(rows)  # type: ignore[arg-type]
    return str(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
def test_the_delimiter_is_found_whatever_the_file_is_called(tmp_path: Path, delimiter: str, ending: str) -> None:
    source = write(tmp_path / f"x.{ending}", [("text", "label"), *ROWS], delimiter=delimiter)
    table = read_table(source, Columns())
    assert list(zip(table.texts, table.labels or (), strict=True)) == ROWS
    usual = {"csv": ",", "tsv": "\t", "txt": "\t"}[ending]
    assert ("separated by" in table.reading) == (delimiter != usual)


def test_a_line_of_excel_names_the_delimiter(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("sep=;\r\ntext;label\r\na, b;c\r\n\r\n", newline="")
    table = read_table(str(tmp_path / "x.csv"), Columns())
    assert (table.texts, table.labels) == (["a, b"], ["c"])
    (tmp_path / "x.csv").write_text("sep=;\ntext;label\na, b;c\nd\n")
    with pytest.raises(DataError, match=r"row 1 \(counted from 0; line 4\) has 1 fields; expected 2"):
        read_table(str(tmp_path / "x.csv"), Columns())


fields = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\t"), min_size=1).filter(lambda text: not text.isspace())


@given(st.lists(st.tuples(fields, st.sampled_from("abc")), min_size=1, max_size=8))
@settings(max_examples=80, deadline=None)
def test_a_table_without_quoting_comes_back_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "unquoted.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8", newline="")
    theirs = pd.read_csv(
        path, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False, dtype=str, encoding="utf-8", lineterminator="\n"
    )
    for stated in (Dialect(quoting="none"), Dialect()):
        quoted = all(text.startswith('"') and text.endswith('"') and len(text) > 1 for text, _ in rows)
        if stated.quoting or not (quoted or any('""' in text for text, _ in rows)):  # a column in quotes is quoted
            assert read_table(str(path), Columns(dialect=stated)).texts == theirs["text"].tolist()


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), st.sampled_from("abc")),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=80, deadline=None)
def test_what_python_quotes_in_a_tsv_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    rows = [(text, label) for text, label in rows if not text.isspace()]
    if not rows:
        return
    path = tmp_path_factory.getbasetemp() / "quoted.tsv"
    write(path, [("text", "label"), *rows], delimiter="\t")
    try:
        assert read_table(str(path), Columns()).texts == [text for text, _ in rows]
    except DataError as error:
        assert "has a row inside of it" in str(error)
    assert read_table(str(path), Columns(dialect=Dialect(quoting="quoted"))).texts == [text for text, _ in rows]


def test_quotes_in_a_tsv_are_part_of_the_text_where_they_are_not_consistent(tmp_path: Path) -> None:
    lines = ['"Hi" she said\tham', 'it is 5" long\tspam', '"whole"\tham', "plain\tspam"]
    (tmp_path / "x.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n")
    table = read_table(str(tmp_path / "x.tsv"), Columns())
    assert table.texts == [line.split("\t")[0] for line in lines]
    assert "quotes are part of the text" in table.reading
    (tmp_path / "x.tsv").write_text('text\tlabel\n"whole"\tham\nplain\tspam\n')  # quotes that no writer needs
    assert read_table(str(tmp_path / "x.tsv"), Columns()).texts == ['"whole"', "plain"]
    assert read_table(str(tmp_path / "x.tsv"), Columns(dialect=Dialect(quoting="quoted"))).texts == ["whole", "plain"]
    (tmp_path / "x.tsv").write_text('"text"\t"label"\n"whole"\t"ham"\n"all"\t"spam"\n')
    assert read_table(str(tmp_path / "x.tsv"), Columns()).texts == ["whole", "all"]


def test_a_row_that_swallowed_others_is_an_error(tmp_path: Path) -> None:
    lines = ["a,ham", "b,spam", '"c,ham', "d,spam", 'e",ham', "f,spam"]
    (tmp_path / "x.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"row 2 \(counted from 0; line 4\) runs to line 6 and has a row inside of it, 'd,spam'"):
        read_table(str(tmp_path / "x.csv"), Columns())
    whole = read_table(str(tmp_path / "x.csv"), Columns(dialect=Dialect(quoting="quoted")))
    assert whole.texts == ["a", "b", "c,ham\nd,spam\ne", "f"]
    assert read_table(str(tmp_path / "x.csv"), Columns(dialect=Dialect(quoting="none"))).texts == ["a", "b", '"c', "d", 'e"', "f"]
    (tmp_path / "x.tsv").write_text("text\tlabel\n" + "\n".join(line.replace(",", "\t") for line in lines) + "\n")
    assert read_table(str(tmp_path / "x.tsv"), Columns()).texts == ["a", "b", '"c', "d", 'e"', "f"]
    (tmp_path / "x.csv").write_text('text,label\na,ham\n"yes, sir\nno, sir\nbye",ham\n')  # lines of a text that are no rows
    assert read_table(str(tmp_path / "x.csv"), Columns()).texts[1] == "yes, sir\nno, sir\nbye"
    (tmp_path / "x.csv").write_text('text,label\na,ham\n"b,spam\nc,ham\n')
    with pytest.raises(DataError, match=r"row 1 .*line 3\): the file ends inside of a field that a quote opens here"):
        read_table(str(tmp_path / "x.csv"), Columns())


WESTERN = "Müller’s café – 5 € “quoted” naïve façade Œuvre Ærø señor ÜBER … it’s"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", ""), ("utf-8-sig", ""), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16-LE"), ("utf-16-be", "UTF-16-BE"),
     ("utf-32", "UTF-32"), ("cp1252", "cp1252 (Windows), because line 3 is no UTF-8: 'Müller’s'")],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_the_encoding_is_found_and_shown(tmp_path: Path, encoding: str, shown: str, ending: str) -> None:
    head = '{"text": "plain", "label": "a"}\n' * 2 if ending == "jsonl" else "text,label\nplain,a\n"
    row = f'{{"text": "{WESTERN}", "label": "b"}}\n' if ending == "jsonl" else f"{WESTERN},b\n"
    (tmp_path / f"x.{ending}").write_bytes((head + row).encode(encoding))
    table = read_table(str(tmp_path / f"x.{ending}"), Columns())
    assert table.texts[-1] == WESTERN
    assert shown in table.reading
    assert ("UTF" in table.reading) == bool(shown)


FOREIGN = {
    "cp1251": "Спасибо за быстрый ответ и помощь", "koi8-r": "Спасибо за быстрый ответ", "cp1253": "Ευχαριστώ για την απάντηση",
    "shift_jis": "ありがとうございます", "gb18030": "谢谢你们的帮助和支持", "euc-kr": "감사합니다 여러분",
    "mac-roman": "café über naïve señor", "cp437": "café über naïve señor", "cp1250": "Żółta łódź płynie przez śluzę",
    "cp1256": "شكرا جزيلا لكم",
}  # fmt: skip


@pytest.mark.parametrize("encoding", FOREIGN)
def test_other_encodings_are_refused_until_they_are_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("".join(["text,label\n", *(f"{FOREIGN[encoding]} {i},a\n" for i in range(5))]).encode(encoding))
    with pytest.raises(
        DataError, match=r"line 2: byte 0x.. is not UTF-8; expected a file in UTF-8; name its encoding with `data\.enc"
    ):
        read_table(str(path), Columns())
    table = read_table(str(path), Columns(dialect=Dialect(encoding=encoding)))
    assert table.texts[0] == f"{FOREIGN[encoding]} 0"
    assert f"in {encoding}, as stated" in table.reading


def test_a_file_of_two_encodings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("text,label\ncafé,a\n".encode() + "naïve,b\n".encode("cp1252"))
    with pytest.raises(DataError, match="line 3: byte 0xef is not UTF-8"):
        read_table(str(tmp_path / "x.csv"), Columns())
    with pytest.raises(DataError, match="line 2: byte 0xc3 is not ASCII"):
        read_table(str(tmp_path / "x.csv"), Columns(dialect=Dialect(encoding="ascii")))


def test_a_header_is_told_from_a_row(tmp_path: Path) -> None:
    lines = [f"text number {i}\t{'sport' if i % 2 else 'film'}" for i in range(8)]
    (tmp_path / "x.tsv").write_text("\n".join(lines) + "\n")
    table = read_table(str(tmp_path / "x.tsv"), Columns())
    assert (len(table), table.texts[0], (table.labels or [""])[0]) == (8, "text number 0", "film")
    assert "no header" in table.reading
    (tmp_path / "x.tsv").write_text("\n".join(["what\tgroup", *lines]) + "\n")
    assert len(read_table(str(tmp_path / "x.tsv"), Columns(text="what", label="group"))) == 8
    (tmp_path / "x.csv").write_text("".join(f"{i % 3},Title {i},Description {i}\n" for i in range(9)))
    with pytest.raises(
        DataError, match=r"has no header: '0' stands in column 1 of its first line and of others; name its 3 columns"
    ):
        read_table(str(tmp_path / "x.csv"), Columns())
    named = Columns(text=("title", "description"), dialect=Dialect(header=("label", "title", "description")))
    table = read_table(str(tmp_path / "x.csv"), named)
    assert (table.texts[0], (table.labels or [])[:3]) == ("Title 0 Description 0", ["0", "1", "2"])
    assert table.reading == "text from columns 'title' and 'description', label from 'label', no header"
    with pytest.raises(DataError, match="has 3 fields in its first line, and header names 2 columns"):
        read_table(str(tmp_path / "x.csv"), Columns(dialect=Dialect(header=("label", "text"))))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"delimiter": "ab"}, "delimiter is 'ab'; expected one character"),
        ({"quoting": "double"}, "unknown quoting 'double'; expected quoted or none"),
        ({"encoding": "latin-99"}, "encoding 'latin-99' is not known"),
        ({"encoding": "base64"}, "encoding 'base64' is not known"),
        ({"header": ("a", "a")}, "header names a column twice"),
    ],
)
def test_a_wrong_dialect_is_refused(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dialect(**wrong)  # type: ignore[arg-type]


def test_words_stand_for_delimiters() -> None:
    assert [Dialect(delimiter=word).delimiter for word in ("tab", "semicolon", "|")] == ["\t", ";", "|"]


USUAL = (
    ("Tweet", "sentiment"), ("comment_text", "intent"), ("Review Text", "Stars"), ("headline", "is_sarcastic"),
    ("utterance", "y"), ("body", "tag"), ("message", "whatever"), ("unheard of", "Category"), ("review-text", "Rating"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "label"), USUAL)
def test_usual_names_and_the_other_of_two(text: str, label: str) -> None:
    rows = {text: ["a", "b"], label: ["x", "y"]}
    table = read_table(rows, Columns())
    assert (table.texts, table.labels) == (["a", "b"], ["x", "y"])


def test_the_commoner_name_is_read_and_the_others_are_shown() -> None:
    table = read_table({"id": ["1"], "title": ["t"], "text": ["a"], "rating": ["5"], "label": ["x"]}, Columns())
    assert (table.texts, table.labels) == (["a"], ["x"])
    assert table.reading == "text from column 'text', label from 'label'; left alone: id, title, rating"
    with pytest.raises(
        DataError, match=r"more than one text column \('title', 'description'\).*join them with `data\.text: \[title"
    ):
        read_table({"title": ["t"], "description": ["a"], "label": ["x"]}, Columns())
    with pytest.raises(DataError, match="no label column among 'text', 'id'"):
        read_table({"text": ["t"], "id": ["1"]}, Columns())


def test_texts_are_joined() -> None:
    rows = {"title": ["t", None, "u"], "description": ["a", "b", " "], "label": ["x", "y", "x"]}
    for names in (("title", "description"), "title,description", "Title, Description"):
        assert read_table(rows, Columns(text=names)).texts == ["t a", "b", "u"]
    assert read_texts(["t a"], Columns(text=("title", "description"))).texts == ["t a"]
    with pytest.raises(DataError, match="a text column is named twice"):
        read_table(rows, Columns(text=("title", "Title")))


def test_rows_without_a_text_are_refused_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,x\n,x\n  ,y\nb,y\n")
    with pytest.raises(DataError, match=r"2 rows have no text, the first is row 1 .*`data\.drop_empty: true`"):
        read_table(str(tmp_path / "x.csv"), Columns(label="label"))
    (tmp_path / "x.csv").write_text("text,label\na,x\n,\n  ,y\nb,y\n")
    table = read_table(str(tmp_path / "x.csv"), Columns(drop_empty=True))
    assert (table.texts, table.labels, table.ids.tolist(), table.dropped) == (["a", "b"], ["x", "y"], [0, 3], 2)
    assert read_texts(str(tmp_path / "x.csv"), Columns(drop_empty=True)).ids.tolist() == [0, 3]


def test_rows_without_a_label_are_refused_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,x\nb,\n,y\nc,y\n")
    with pytest.raises(DataError, match=r"row 1 .*missing label; .* leave such rows out with `data\.drop_empty: true`"):
        read_table(str(tmp_path / "x.csv"), Columns())
    table = read_table(str(tmp_path / "x.csv"), Columns(drop_empty=True))
    assert (table.texts, table.labels, table.ids.tolist(), table.dropped) == (["a", "c"], ["x", "y"], [0, 3], 2)
    assert read_texts(str(tmp_path / "x.csv"), Columns(drop_empty=True)).texts == ["a", "b", "c"]
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": 0.5}\n')
    with pytest.raises(DataError, match="expected a string or an integer"):  # what is wrong is not left out
        read_table(str(tmp_path / "x.jsonl"), Columns(drop_empty=True))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_lines_of_any_kind_end_a_row(tmp_path: Path, ending: str) -> None:
    (tmp_path / "x.csv").write_bytes(f'text,label{ending}a,b{ending}"c{ending}d",e{ending}'.encode())
    table = read_table(str(tmp_path / "x.csv"), Columns())
    assert (table.texts, table.labels) == (["a", f"c{ending}d"], ["b", "e"])
