"""The course's right answers: what the setup and answer cells of a lesson define when they run alone."""

from __future__ import annotations

import linecache
import sys
from typing import Any

from nbformat.notebooknode import NotebookNode

from tlkit.build.course import BuildError, Lesson
from tlkit.build.names import plain_python
from tlkit.build.notebooks import graded, is_setup, nbgrader


class _NoIPython:
    """Stands in for get_ipython() in setup cells: magics do nothing while building."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def right_answers(lesson: Lesson, notebook: NotebookNode) -> dict[str, Any]:
    """Run setup and answer cells, in order and in one namespace, and return the namespace."""
    module = type(sys)(f"right_{lesson.name}")
    namespace = module.__dict__
    namespace["get_ipython"] = _NoIPython
    answers = graded(notebook, "solution")
    for index, cell in enumerate(notebook.cells, start=1):
        name = nbgrader(cell).get("grade_id")
        if cell.cell_type != "code" or not (is_setup(cell) or name in answers):
            continue
        source, file = plain_python(cell.source), f"<{lesson.name}, cell {index}>"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # tracebacks show the line
        try:
            exec(compile(source, file, "exec"), namespace)
        except Exception as error:
            what = f"solution cell of {name}" if name in answers else "setup cell"
            raise BuildError(
                f"solutions/{lesson.name}/{lesson.text.name}: the {what} raised {type(error).__name__}: "
                f"{error} (it must run after nothing but the setup and earlier answer cells)."
            ) from error
    return namespace
