"""Pickles of real libraries are read, and hostile ones are refused before anything in them runs."""

from __future__ import annotations

import copyreg
import os
import pickle
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, DatasetInfo, Features, Value, concatenate_datasets
from datasets.table import ConcatenationTable, InMemoryTable
from hypothesis import given, settings
from hypothesis import strategies as st

from striata.data import machine, open_source
from striata.data.files import DataFile
from striata.data.pickles import PickleReader
from striata.errors import DataError

TEXTS = ["Stocks rise", "Win für Köln 🏆", 'a, "b"', "x" * 100, "last"]
LABELS = [2, 1, 0, 3, 1]
NAMES = ["World", "Sports", "Business", "Sci/Tech"]
OLD = sorted((Path(__file__).parent / "pickles").glob("*.pkl"))


def frames() -> dict[str, pd.DataFrame]:
    frame = pd.DataFrame({"text": TEXTS, "label": LABELS})
    words = ["b", "s", "w", "t", "s"]
    return {
        "plain": frame,
        "text only": frame[["text"]],
        "string labels": frame.assign(label=words),
        "categories": frame.assign(label=pd.Categorical(words)),
        "slice": frame.iloc[1:4],
        "filtered": frame[frame.label != 1],
        "floats": frame.assign(label=frame.label.astype(float)),
        "other columns": frame.assign(weight=0.1, when=pd.Timestamp("2024-01-01"), sure=True),
        "named index": frame.set_index(pd.Index(list("abcde"))),
        "extension types": frame.astype({"text": "string", "label": "Int64"}),
        "small integers": frame.astype({"label": "int8"}),
        "objects": frame.astype({"text": object}),
        "other order": frame[["label", "text"]],
        "no rows": frame.iloc[:0],
    }


def data_sets() -> dict[str, Dataset]:
    features = Features({"text": Value("string"), "label": ClassLabel(names=NAMES)})
    labelled = Dataset.from_dict({"text": TEXTS, "label": LABELS}, features=features)
    return {
        "contest": Dataset.from_dict({"text": TEXTS}),
        "labelled": labelled,
        "selected": labelled.select([3, 1]),
        "shuffled": labelled.shuffle(seed=0),
        "from pandas": Dataset.from_pandas(frames()["plain"]),
        "concatenated": concatenate_datasets([labelled, labelled]),
        "formatted": labelled.with_format("numpy"),
        "large strings": Dataset.from_dict({"text": TEXTS}, features=Features({"text": Value("large_string")})),
    }


def rows(path: Path) -> dict[str, list[object]]:
    reader = PickleReader(DataFile.of(path))
    wanted = [name for name in reader.columns if name in ("text", "label")]
    parts = list(reader.chunks(wanted, rows=2))
    return {name: [value for part in parts for value in part.values[name]] for name in wanted}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", frames())
def test_data_frames(tmp_path: Path, kind: str, protocol: int) -> None:
    frame = frames()[kind]
    path = tmp_path / "frame.pkl"
    path.write_bytes(pickle.dumps(frame, protocol))
    found = rows(path)
    assert found == {name: frame[name].tolist() for name in frame.columns if name in ("text", "label")}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", data_sets())
def test_data_sets(tmp_path: Path, kind: str, protocol: int) -> None:
    data = data_sets()[kind]
    path = tmp_path / "data.pkl"
    path.write_bytes(pickle.dumps(data, protocol))
    plain = data.with_format(None)
    assert rows(path) == {name: list(plain[name]) for name in plain.column_names}
    if isinstance(plain.features.get("label"), ClassLabel):
        assert PickleReader(DataFile.of(path)).declared("label") == tuple(NAMES)


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_pickles_of_older_libraries(path: Path) -> None:
    found = rows(path)
    if "concat" in path.stem:
        assert found == {"text": TEXTS * 2, "label": LABELS * 2}
    elif "selected" in path.stem:
        assert found == {"text": [TEXTS[3], TEXTS[1]], "label": [3, 1]}
    elif "cat" in path.stem:
        assert found == {"text": TEXTS, "label": ["b", "s", "w", "t", "s"]}
    else:
        assert found == {"text": TEXTS, "label": LABELS}


def test_old_files_are_there() -> None:
    assert len(OLD) == 9


def test_missing_values_are_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", None, "c"]}).astype({"text": "string"})
    for version in (frame, frame.astype({"text": object})):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(version))
        assert rows(tmp_path / "x.pkl") == {"text": ["a", None, "c"]}


class Runs:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would make `marker`, by name, with what the refusal must say."""
    command = f"touch {marker}"
    frame = pd.DataFrame({"text": ["a"]})
    nested = pd.DataFrame({"text": [Runs(os.system, command)]})
    state = pickle.dumps(frame).removesuffix(b".")
    return {
        "os.system": (pickle.dumps(Runs(os.system, command)), r"posix\.system"),
        "eval": (pickle.dumps(Runs(eval, f"open({str(marker)!r}, 'w')")), r"builtins\.eval"),
        "exec, protocol 0": (pickle.dumps(Runs(exec, "1"), 0), r"__builtin__\.exec"),
        "nested in a frame": (pickle.dumps(nested), r"posix\.system"),
        "in the attributes": (pickle.dumps({"a": [(1, {"b": Runs(os.system, command)})]}), r"posix\.system"),
        "getattr": (b"cbuiltins\ngetattr\n.", r"builtins\.getattr"),
        "a dotted name": (b"\x80\x04\x8c\x06pandas\x8c\x13DataFrame.__class__\x93.", r"pandas\.DataFrame\.__class__"),
        "an allowed name's neighbour": (b"cpandas\nread_pickle\n.", r"pandas\.read_pickle"),
        "copyreg": (b"ccopyreg\n_reconstructor\n(cos\nsystem\n" + b"tR.", r"copyreg\._reconstructor"),
        "copyreg's other name": (b"ccopy_reg\n_reconstructor\n.", r"copy_reg\._reconstructor"),
        "a bare object of a class with a base": (
            b"ccopy_reg\n_reconstructor\n(cpandas\nDataFrame\ncpandas\nIndex\nNtR.",
            r"copy_reg\._reconstructor",
        ),
        "a bare object of another class": (b"ccopy_reg\n_reconstructor\n(cos\n_wrap_close\n", r"os\._wrap_close"),
        "a bare object with a state": (
            b"ccopy_reg\n_reconstructor\n(cpandas\nDataFrame\nc__builtin__\nobject\n(dtR.",
            r"copy_reg\._reconstructor",
        ),
        "bare bare objects": (
            b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
            r"copy_reg\._reconstructor",
        ),
        "an extension code": (b"\x80\x02\x82\x01.", "operation EXT1"),
        "a persistent id": (b"Pos.system\n.", "operation PERSID"),
        "an old instance": (b"(S'" + command.encode() + b"'\nios\nsystem\n.", "operation INST"),
        "a call of data": (b"\x80\x02]q\x00)R.", "a call of something that is no name"),
        "behind the end": (state + b"0cos\nsystem\n.", r"os\.system"),
    }


@pytest.mark.parametrize("name", hostile(Path("marker")))
def test_hostile_pickles_are_refused_by_name(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    data, message = hostile(marker)[name]
    path = tmp_path / "x.pkl"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        open_source(str(path))
    assert str(path) in str(caught.value)
    assert not marker.exists()


def test_an_extension_registered_here_is_not_looked_up(tmp_path: Path) -> None:
    copyreg.add_extension("posix", "getcwd", 240)
    try:
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(os.getcwd, 2))
        assert b"\x82\xf0" in (tmp_path / "x.pkl").read_bytes()
        with pytest.raises(DataError, match="EXT1"):
            open_source(str(tmp_path / "x.pkl"))
    finally:
        copyreg.remove_extension("posix", "getcwd", 240)


def tower_as_a_key() -> bytes:
    """`t = (t, t)` sixty-four times over, then used as a key: its hash takes 2**64 steps."""
    return b"\x80\x04})" + tower(64) + b"K\x01s."


def tower(depth: int) -> bytes:
    """Operations that make `x = (x, x)` of what lies on the stack, `depth` times, through the memo."""
    return b"".join(b"q%ch%c\x86" % (i, i) for i in range(depth))


def towers(call: Callable[[object], object], value: object = "x", depth: int = 22) -> object:
    """What `call` makes of what it made, `depth` times."""
    for _ in range(depth):
        value = call(value)
    return value


def pairs(value: object) -> object:
    return (value, value)


def masked(value: object) -> object:
    return Stated(pd.arrays.IntegerArray, {"_data": value, "_mask": value})


class Stated:
    """Pickled as a class with arguments and a state of our choice."""

    def __init__(self, kind: object, state: object, *arguments: object) -> None:
        self.kind, self.state, self.arguments = kind, state, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return (self.kind, self.arguments, self.state)


def frame_of(column: object, rows: int = 1) -> bytes:
    """A DataFrame whose only block is `column`."""
    manager = pd.core.internals.managers.BlockManager
    placed = Stated(pd._libs.internals._unpickle_block, None, column, slice(0, 1, 1), 1)
    names, numbers = pd.Index(["text"], dtype=object), pd.RangeIndex(rows)
    return pickle.dumps(Stated(pd.DataFrame, {"_mgr": Stated(manager, None, (placed,), [names, numbers])}), 4)


def array_of(shape: object, kind: str = "i8", data: object = b"") -> object:
    reconstruct = np.ndarray([0]).__reduce__()[0]
    dtype = Stated(np.dtype, (3, "<", None, None, None, -1, -1, 0), kind, False, True)
    return Stated(reconstruct, (1, shape, dtype, False, data), np.ndarray, (0,), b"b")


def data_set_of(table: object, features: object = None) -> bytes:
    info = Stated(DatasetInfo, {"features": features})
    return pickle.dumps(Stated(Dataset, {"_data": table, "_info": info}), 4)


def table_of(array: object) -> object:
    table = pa.table({"text": ["a"]})
    schema = Stated(pa.schema, None, [pa.field("text", pa.string())], None)
    return Stated(InMemoryTable, {"table": Stated(table.__reduce__()[0], None, [array], schema)})


def concatenated(value: object) -> object:
    leaf = table_of(pa.array(["a"])) if value == "x" else value
    return Stated(ConcatenationTable, {"blocks": [[leaf], [leaf]]})


def arrow_of(kind: object, length: int = 1) -> object:
    restore, (parts,) = pa.array(["a"]).__reduce__()
    return Stated(restore, None, (kind, length, *parts[2:]))


def many_label_names() -> bytes:
    names = ["x"] * 10_000
    columns = {str(i): Stated(ClassLabel, {"names": names}) for i in range(10_000)}
    return data_set_of(table_of(pa.array(["a"])), Stated(Features, None, columns))


def one_chunk_often() -> bytes:
    chunk = pa.array(["x" * 1_000_000])
    return data_set_of(table_of(Stated(pa.chunked_array, None, [chunk] * 10_000, pa.string())))


def encoded_keys() -> bytes:
    """`_codecs.encode` of one text of 64 kB, called and used as a key twenty thousand times."""
    text = b"X" + struct.pack("<I", 65_536) + b"a" * 65_536
    return b"\x80\x02c_codecs\nencode\nq\x000" + text + b"X\x06\x00\x00\x00latin1\x86q\x010}" + b"h\x00h\x01RNs" * 20_000 + b"."


def encoded_often() -> bytes:
    """One text of 64 kB as bytes, fifty thousand times."""
    text = b"X" + struct.pack("<I", 65_536) + b"a" * 65_536
    return b"\x80\x02c_codecs\nencode\nq\x000" + text + b"X\x06\x00\x00\x00latin1\x86q\x010(" + b"h\x00h\x01R" * 50_000 + b"l."


def same_long_keys() -> bytes:
    """Keys of one hash, each a text of its own, so that each is compared with the one before."""
    text = b"X" + struct.pack("<I", 20_000) + b"a" * 20_000
    return b"\x80\x02}" + (text + b"Ns") * 500 + b"."


def repeated_text() -> bytes:
    frame = pd.DataFrame({"text": np.array(["x" * 1_000_000] * 20_000, dtype=object)}, dtype=object)
    return pickle.dumps(frame, 4)


LONG = struct.pack("<Q", 2**45)
BOMBS: dict[str, Callable[[], bytes]] = {
    "a length of 32 TiB": lambda: b"\x80\x04\x8e" + LONG + b"x.",
    "a frame of 32 TiB": lambda: b"\x80\x04\x95" + LONG + b"].",
    "a memo number of two billion": lambda: b"\x80\x04]r\xff\xff\xff\x7f.",
    "a key whose hash takes for ever": tower_as_a_key,
    "a million lists": lambda: b"\x80\x04" + b"]" * 1_000_000 + b".",
    "one text twenty thousand times": repeated_text,
    "a module name that is a tower": lambda: b"\x80\x04\x8c\x01x" + tower(22) + b"\x8c\x01x\x93.",
    "masked arrays of masked arrays": lambda: frame_of(towers(masked, array_of((1,), "b1", b"\0"))),
    "tables joined with themselves": lambda: data_set_of(towers(concatenated)),
    "label names that are towers": lambda: data_set_of(
        table_of(pa.array(["a"])), Stated(Features, None, {"label": Stated(ClassLabel, {"names": [towers(pairs)]})})
    ),
    "names of many columns": many_label_names,
    "an Arrow type that is a tower": lambda: data_set_of(table_of(arrow_of(towers(pairs)))),
    "a number type that is a tower": lambda: frame_of(array_of((1,), towers(pairs))),  # type: ignore[arg-type]
    "rows without values": lambda: frame_of(array_of((1, 2**22, 0))),
    "empty rows": lambda: frame_of(array_of((2**40, 0)), 2**40),
    "a shape of large integers": lambda: frame_of(array_of((10**50_000,) * 3_000)),
    "a negative size": lambda: frame_of(array_of((-1, 1), "i8", b"12345678" * 4)),
    "one encoded key often": encoded_keys,
    "one encoded text often": encoded_often,
    "long keys of one hash": same_long_keys,
    "one chunk often": one_chunk_often,
    "cut off": lambda: pickle.dumps(frames()["plain"])[:-40],
    "no pickle": lambda: b"not a pickle at all",
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_and_damage_end_in_one_line_and_little_memory(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_MOST", 500_000)
    path = tmp_path / "x.pkl"
    path.write_bytes(BOMBS[name]())
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(DataError) as caught:
        rows(path)
    assert time.process_time() - began < 2
    assert "\n" not in str(caught.value)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 2**30


@given(st.integers(0, 5_000), st.integers(0, 255), st.sampled_from(["frame", "data set"]))
@settings(max_examples=300, deadline=None)
def test_a_flipped_byte_is_read_or_refused(at: int, value: int, kind: str) -> None:
    whole = _PICKLED[kind]
    damaged = bytearray(whole)
    damaged[at % len(whole)] = value
    path = _FOLDER / f"{os.getpid()}.pkl"
    path.write_bytes(bytes(damaged))
    try:
        rows(path)
    except DataError as error:
        assert "\n" not in str(error)


_PICKLED = {"frame": pickle.dumps(frames()["plain"]), "data set": pickle.dumps(data_sets()["labelled"])}
_FOLDER = Path(__import__("tempfile").mkdtemp())


def test_a_memory_mapped_data_set_says_what_to_do(tmp_path: Path) -> None:
    Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "saved")
    loaded = Dataset.load_from_disk(str(tmp_path / "saved"))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(loaded))
    with pytest.raises(DataError, match="holds only the path of a memory-mapped file"):
        open_source(str(tmp_path / "x.pkl"))


def test_other_objects_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(["a", "b"]))
    with pytest.raises(DataError, match="holds a list; expected a pickled pandas DataFrame"):
        open_source(str(tmp_path / "x.pkl"))
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(pd.DataFrame({"text": ["a"], "label": [(1, 2)]})))
    with pytest.raises(DataError, match="row 0 holds a tuple"):
        rows(tmp_path / "x.pkl")
