"""Submissions as students make them, for tests: each is a folder of files built from a released lesson."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nbformat.notebooknode import NotebookNode

from tlkit.build.course import Lesson
from tlkit.build.notebooks import graded, nbgrader, new_cell, read_notebook, write_notebook

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True)
class Wrong:
    """A misconception or an alternative of answers.py, as the text of an answer cell."""

    exercise: str
    key: str
    source: str


@dataclass
class Kit:
    """A lesson as a student and as an instructor have it."""

    lesson: Lesson
    released: NotebookNode = field(init=False)
    right: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.released = read_notebook(self.lesson.released / self.lesson.notebook.name)
        source = read_notebook(self.lesson.notebook)
        answers = graded(source, "solution").items()
        self.right = {name: _bare(cell.source) for name, cell in answers if cell.cell_type == "code"}

    def notebook(self, answers: dict[str, str] | None = None) -> NotebookNode:
        """The released notebook with answer cells filled in."""
        notebook = copy.deepcopy(self.released)
        for name, source in (answers or {}).items():
            self.cell(notebook, name).source = source
        return notebook

    @staticmethod
    def cell(notebook: NotebookNode, grade_id: str) -> NotebookNode:
        return next(cell for cell in notebook.cells if nbgrader(cell).get("grade_id") == grade_id)

    def others(self, decorator: str) -> list[Wrong]:
        """What answers.py lists under @misconception or @alternative, as text a student could have typed."""
        text = (self.lesson.folder / "answers.py").read_text(encoding="utf-8")
        found, helpers = [], []
        for node in ast.parse(text).body:
            mark = _decorated(node)
            if mark is None:
                if not isinstance(node, ast.Expr) and "tlkit.exercises" not in ast.unparse(node):
                    helpers.append(ast.unparse(node))
            elif mark[0] == decorator:
                node.decorator_list, node.name = [], mark[1]
                found.append((mark, ast.unparse(node)))
        prelude = "\n".join([f"_right = {self.right!r}", _RIGHT, *helpers])
        return [Wrong(name, key, f"{prelude}\n{source}") for (_, name, key), source in found]


_RIGHT = """
def right(name):
    namespace = dict(globals())
    exec(_right.get(name, ""), namespace)  # what is no exercise stands in the notebook
    return namespace[name]
"""


def _decorated(node: ast.stmt) -> tuple[str, str, str] | None:
    """("misconception", exercise, key) of a decorated function or class; None of anything else."""
    for call in getattr(node, "decorator_list", []):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            return call.func.id, ast.literal_eval(call.args[0]), ast.literal_eval(call.args[1])
    return None


def _bare(source: str) -> str:
    return "\n".join(line for line in source.splitlines() if BEGIN not in line and END not in line)


def hand_in(
    root: Path, student: str, lesson: str, notebook: NotebookNode | str | bytes, name: str = ""
) -> Path:
    """Write one submission; returns its folder. Text and bytes are written as they are."""
    folder = root / "submitted" / student / lesson
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name or f"{lesson}.ipynb")
    if isinstance(notebook, NotebookNode):
        write_notebook(notebook, path)
    else:
        path.write_bytes(notebook if isinstance(notebook, bytes) else notebook.encode())
    return folder


Edit = Callable[[NotebookNode], None]


def own_cell(notebook: NotebookNode, source: str, before: str = "", cell_type: str = "code") -> NotebookNode:
    """Insert a cell of the student's own before the cell with grade id `before` (default: at the end)."""
    cell = new_cell(cell_type, source)
    where = next(
        (i for i, other in enumerate(notebook.cells) if nbgrader(other).get("grade_id") == before), None
    )
    notebook.cells.insert(len(notebook.cells) if where is None else where, cell)
    return notebook


def drop(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    notebook.cells = [cell for cell in notebook.cells if nbgrader(cell).get("grade_id") != grade_id]
    return notebook
