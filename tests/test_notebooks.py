"""The notebooks run from top to bottom, and draw what they say."""

from __future__ import annotations

import base64
import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("jupytext", "nbclient", "ipykernel", "matplotlib", "pygraphviz")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

# The name of the notebook, and how many plots and graphs it shows.
PICTURES = {
    "01_backpropagation_on_the_tape": (2, 2),
    "02_train_and_see": (4, 2),
    "03_optimizers_on_surfaces": (3, 0),
}


def test_every_notebook_is_listed() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.py")) == sorted(PICTURES)


@pytest.mark.skipif(bool(MISSING), reason=f"the extras notebooks, plots and draw bring {', '.join(MISSING)}")
@pytest.mark.parametrize("name", PICTURES)
def test_notebook_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import jupytext
    import nbclient

    notebook = jupytext.read(ROOT / "notebooks" / f"{name}.py")
    paths = [str(ROOT), str(ROOT / "kernels"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    # This backend draws with Agg and puts the pictures into the notebook; it opens no window.
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3",
                                     resources={"metadata": {"path": str(ROOT / "notebooks")}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the notebook's own machinery
        client.execute()

    shown: list[Any] = [
        output.data for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output
    ]
    plots = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
    graphs = [data["image/svg+xml"] for data in shown if "image/svg+xml" in data]
    assert (len(plots), len(graphs)) == PICTURES[name]
    assert all(plot.startswith(b"\x89PNG") and len(plot) > 5000 for plot in plots)
    assert all("</svg>" in graph for graph in graphs)
