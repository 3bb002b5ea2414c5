"""The notebooks run from top to bottom, and are stored without what came out."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each
def test_notebooks_are_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.filterwarnings("default")  # of Jupyter's own
@each
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    warned = [output.text for output in outputs if "text" in output and "Warning" in output.text]
    assert not [text for text in warned if "IProgress not found" not in text]  # tqdm's, where ipywidgets are not installed
    assert list(tmp_path.glob("runs/*/report.html")) or "write_report" not in path.read_text()
    drawn = "".join("".join(output["data"].get("text/html", "")) for output in outputs if output.output_type == "display_data")
    assert " gone" in drawn  # the time, in what `fit` or `train` draws while it runs
