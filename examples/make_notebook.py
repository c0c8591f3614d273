"""Run the example notebook from top to bottom and keep what it shows, free of everything that is of one machine or one moment.

python examples/make_notebook.py            notebook.ipynb beside this file is run and written over
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("notebook.ipynb")
SECONDS = 300
"""for one cell, at most"""


def executed(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with the outputs of today; without times, and with the kernel's name alone."""
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", record_timing=False).execute()
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # not drawn at random: the same notebook is the same file
        cell.metadata = {}
        if cell.cell_type == "code":  # progress says how long it took
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.get("outputs", ()):
            if output.output_type in ("display_data", "execute_result"):
                output.metadata = {}
    return notebook


if __name__ == "__main__":
    made = executed(nbformat.read(NOTEBOOK, as_version=4))
    nbformat.validate(made)
    nbformat.write(made, NOTEBOOK)
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size / 1000:.0f} kB")
