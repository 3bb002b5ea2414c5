"""How fast data is read, and in how much memory: 1,000,000 rows of CSV and Parquet, beside pandas and datasets.

    python -m benchmarks.reading [--rows 1000000]

Each reader runs in a process of its own and one thread, so that its peak and its processor time are its own; the file is in the
system's cache for all of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PORTION = 8192


def write(folder: Path, rows: int) -> None:
    """The same rows as CSV and Parquet: texts of 20 to 60 words with quotes and commas, eight labels."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(5000)] + ["so,", 'a "quote"', "end."])
    texts = [" ".join(words[rng.integers(0, len(words), size)]) for size in rng.integers(20, 60, rows)]
    frame = pd.DataFrame({"id": np.arange(rows), "text": texts, "label": rng.integers(0, 8, rows)})
    frame.to_csv(folder / "rows.csv", index=False)
    frame.to_parquet(folder / "rows.parquet")


def stream(path: Path) -> int:
    """Texts in portions, as `striata predict` reads them."""
    from striata.data import Columns, Stream

    return sum(len(table) for table in Stream.open(str(path), Columns()).tables(rows=PORTION))


def table(path: Path) -> int:
    """All texts and labels, as `striata train` reads them."""
    from striata.data import Columns, read_table

    return len(read_table(str(path), Columns()))


def pandas(path: Path) -> int:
    """The same two columns as a DataFrame of texts."""
    import pandas as pd

    columns = ["text", "label"]
    return len(pd.read_csv(path, usecols=columns, dtype=str) if path.suffix == ".csv" else pd.read_parquet(path, columns=columns))


def datasets(path: Path) -> int:
    """The same two columns, written into a cache of datasets' own as its first call does, and then passed through."""
    from datasets import load_dataset

    form = path.suffix.removeprefix(".")
    rows = load_dataset(form, data_files=str(path), split="train", cache_dir=str(path.parent / f"cache-{path.stem}"))
    return sum(len(part["text"]) for part in rows.select_columns(["text", "label"]).iter(PORTION))


READERS: dict[str, Callable[[Path], int]] = {
    "striata, in portions": stream,
    "striata, whole": table,
    "pandas": pandas,
    "datasets": datasets,
}


def peak_mb() -> float:
    """The most memory that this process has had, in megabytes; `getrusage` would count the process that started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(name: str, path: Path) -> dict[str, float]:
    """Rows, seconds, processor seconds and peak memory of one reader, in this process."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    READERS[name](Path(path.parent / f"warm{path.suffix}"))  # imports are not reading
    before = peak_mb()
    begin, processor = time.perf_counter(), time.process_time()
    rows = READERS[name](path)
    seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    return {"rows": rows, "seconds": seconds, "processor": processor, "peak_mb": peak_mb(), "more_mb": peak_mb() - before}


def main() -> None:
    """Writes the files, measures every reader on each, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--one", nargs=2, metavar=("READER", "FILE"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder, 100)
        for path in list(folder.iterdir()):
            path.rename(folder / f"warm{path.suffix}")
        write(folder, options.rows)
        print("| file | reader | CPU s | rows a CPU s | seconds | peak MB | above its start MB |\n|---|---|---|---|---|---|---|")
        for path in (folder / "rows.csv", folder / "rows.parquet"):
            for name in READERS:
                command = [sys.executable, "-m", "benchmarks.reading", "--one", name, str(path)]
                told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                figures = [
                    told["processor"],
                    told["rows"] / told["processor"],
                    *(told[key] for key in ("seconds", "peak_mb", "more_mb")),
                ]
                cells = [f"{figures[0]:.1f}", *(f"{value:,.0f}" for value in figures[1:])]
                print(f"| {path.name} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
