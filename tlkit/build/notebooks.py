"""Notebook files and cells: nbformat's functions with types."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import nbformat
from nbformat.notebooknode import NotebookNode

HIDDEN = "### BEGIN HIDDEN TESTS"  # nbgrader hands out a test's text up to here
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def read_notebook(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def write_notebook(notebook: NotebookNode, path: Path) -> None:
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


def new_notebook(cells: list[NotebookNode]) -> NotebookNode:
    """A Python notebook with these cells and no outputs."""
    metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    notebook: NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata=metadata)  # type: ignore[no-untyped-call]
    return notebook


def new_cell(cell_type: str, source: str) -> NotebookNode:
    """A "code" or "markdown" cell; not validated, as nbformat's functions do, for `new_notebook` does it."""
    cell = new_node(id=uuid.uuid4().hex[:8], cell_type=cell_type, metadata=new_node(), source=source)
    if cell_type == "code":
        cell.execution_count, cell.outputs = None, []
    return cell


def new_node(**values: Any) -> NotebookNode:
    """A dictionary of notebook data whose keys are attributes too."""
    return NotebookNode(**values)  # type: ignore[no-untyped-call]


def nbgrader(cell: NotebookNode) -> dict[str, Any]:
    """The cell's nbgrader metadata; empty where it has none, or where somebody wrote something else there."""
    found = cell.get("metadata", {}).get("nbgrader", {})
    return found if isinstance(found, dict) else {}


def graded(notebook: NotebookNode, what: str) -> dict[str, NotebookNode]:
    """The cells that nbgrader calls "solution", "grade" or "locked", by their grade id."""
    return {nbgrader(cell)["grade_id"]: cell for cell in notebook.cells if nbgrader(cell).get(what)}


def tags(cell: NotebookNode) -> list[str]:
    found = cell.get("metadata", {}).get("tags", [])
    return found if isinstance(found, list) else []


def is_demo(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code" and "demo" in tags(cell))


def is_setup(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code" and "setup" in tags(cell))
