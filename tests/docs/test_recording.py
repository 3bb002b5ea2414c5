"""A recording is drawn line by line at the times of its lines."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from .pages import load

recording = load("recording")
SVG = "{http://www.w3.org/2000/svg}"


def cast_of(*events: tuple[float, str]) -> str:
    header = {"version": 2, "width": recording.WIDTH, "height": 9, "command": "striata fit x.csv"}
    return "\n".join(map(json.dumps, [header, *([at, "o", text] for at, text in events)]))


def test_lines_come_when_they_were_printed_and_none_is_wider_than_the_drawing() -> None:
    long = "a word " * 40
    drawing = recording.draw(
        cast_of((10.0, "first <b> & line\n"), (30.0, long + "\n"), (40.0, "best: 90 % (88% to 92%) right on 9 rows\n"))
    )
    root = ElementTree.fromstring(drawing)
    groups = root.findall(f"{SVG}g")
    delays = [float(re.search(r"([\d.]+)s$", group.attrib["style"])[1]) for group in groups]  # type: ignore[index]
    assert delays == pytest.approx([0, 0.5 + recording.PLAYED / 4, 0.5 + recording.PLAYED * 3 / 4, 0.5 + recording.PLAYED])
    texts = [[line.text or "" for line in group.findall(f"{SVG}text")] for group in groups]
    assert texts[0] == ["$ striata fit x.csv"]
    assert texts[1] == ["first <b> & line"]
    assert " ".join("".join(texts[2]).split()) == long.strip()
    assert max(len(line) for lines in texts for line in lines) <= recording.WIDTH
    places = [float(line.attrib["y"]) for line in root.iter(f"{SVG}text")]
    assert places == sorted(set(places))
    assert places[-1] < float(root.attrib["height"])
    assert groups[3].find(f"{SVG}text").attrib["class"] == "last"  # type: ignore[union-attr]


def test_a_command_is_recorded_with_times_and_one_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "CAST", tmp_path / "new.cast")
    recording.record([sys.executable, "-c", "import sys; print('out'); print('note', file=sys.stderr, flush=True)"])
    header, *events = map(json.loads, (tmp_path / "new.cast").read_text().splitlines())
    assert header["command"].endswith("flush=True)'")
    assert sorted(text for *_, text in events) == ["note\n", "out\n"]
    assert all(at >= 0 and kind == "o" for at, kind, _ in events)
    with pytest.raises(SystemExit, match="ended with 3"):
        recording.record([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_drawing_in_the_docs_is_of_the_recording() -> None:
    cast = recording.CAST.read_text()
    assert recording.DRAWING.read_text() == recording.draw(cast)
    assert "/work" not in cast
    assert "striata fit" in cast.splitlines()[0]
