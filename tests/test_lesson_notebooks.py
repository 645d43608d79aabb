"""Every lesson's notebooks, solved and as handed out, executed from top to bottom."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from course_for_tests import every_lesson
from nbclient import NotebookClient
from nbformat.notebooknode import NotebookNode

from tlkit.build.course import Lesson
from tlkit.build.names import defined, needed
from tlkit.build.notebooks import HIDDEN, graded, nbgrader, read_notebook, tags
from tlkit.build.text import expand
from tlkit.exercises.load import load_probes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def executed(notebook: NotebookNode, lesson: Lesson, folder: Path) -> NotebookNode:
    """The notebook run in a copy of the released folder, as a student would run it, errors kept."""
    shutil.copytree(lesson.released, folder / lesson.name)
    for cell in notebook.cells:
        cell.metadata.tags = [tag for tag in tags(cell) if tag != "skip-execution"]
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(folder / lesson.name)}},
    )
    started = time.monotonic()
    client.execute()
    print(f"{lesson.name}: {time.monotonic() - started:.0f} s")
    return notebook


def errors(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """(cell, its error output) of every cell that raised."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [(cell, output) for cell in code for output in cell.outputs if output.output_type == "error"]


@every_lesson
def test_solution_notebook_runs_and_every_check_is_right(lesson: Lesson, tmp_path: Path) -> None:
    """With the course's answers no cell raises, and each exercise's check gives its full points."""
    notebook = expand(lesson, load_probes(lesson.folder))
    for cell in graded(notebook, "grade").values():
        cell.source = cell.source.split(HIDDEN)[0]
    notebook = executed(notebook, lesson, tmp_path)
    assert [(cell.source[:200], error.ename, error.evalue) for cell, error in errors(notebook)] == []
    for name, cell in graded(notebook, "grade").items():
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if output.output_type == "execute_result"]
            scores = [float(output.data["text/plain"]) for output in shown]
            assert scores == [nbgrader(cell)["points"]], (name, scores)


@every_lesson
def test_released_notebook_is_stopped_by_stubs_alone(lesson: Lesson, tmp_path: Path) -> None:
    """A student who only runs cells meets NotImplementedError that says what to do, and nothing else.

    A cell below may miss a name that a stopped cell would have defined; each check says "not attempted".
    """
    notebook = executed(read_notebook(lesson.released / lesson.notebook.name), lesson, tmp_path)
    lost: set[str] = set()
    for cell, error in errors(notebook):
        if error.ename == "NotImplementedError":
            assert "hint(" in error.evalue, error.evalue
        else:
            assert error.ename == "NameError", (cell.source[:200], error.ename, error.evalue)
            assert needed(cell.source) & lost, (cell.source[:200], error.evalue)
        lost |= defined(cell.source)
    for name, cell in graded(notebook, "grade").items():
        if cell.cell_type == "code":
            text = str([output.get("data", output) for output in cell.outputs])
            assert "execute_result" in str(cell.outputs), (name, text)
            assert "not attempted" in text.lower(), (name, text[:500])
