"""What a built lesson must satisfy beyond being buildable; each check returns its findings in words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import nbformat
from nbformat.notebooknode import NotebookNode

from tlkit.build.course import Lesson
from tlkit.build.names import defined, needed
from tlkit.build.notebooks import KERNEL, graded, is_demo, is_setup, nbgrader, read_notebook
from tlkit.build.text import number

MEDIAN_LINES = 8
LONG_LINES = 25
LONG_SHARE = 0.1
STATED = re.compile(r"\b(\d+(?:\.\d+)?) points?\b")


def check_released(lesson: Lesson, released: Path) -> list[str]:
    """No stored output, nbgrader metadata valid, kernel named, cells short enough to read."""
    from nbgrader.nbgraderformat import MetadataValidator

    path = released / lesson.notebook.name
    notebook = read_notebook(path)
    where = f"course/{lesson.name}/{path.name}"
    found = []
    try:
        nbformat.validate(notebook)
        MetadataValidator().validate_nb(notebook)
    except Exception as error:
        found.append(f"{where} is not a valid nbgrader notebook: {error}")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if any(cell.outputs or cell.execution_count is not None for cell in code):
        found.append(f"{where} stores outputs")
    if notebook.metadata.get("kernelspec") != KERNEL:
        found.append(f"{where} has kernel {notebook.metadata.get('kernelspec')}, {KERNEL} expected")
    return found + _lengths(where, [len(cell.source.splitlines()) for cell in code])


def _lengths(where: str, lines: list[int]) -> list[str]:
    if len(lines) < 4:
        return []
    found = []
    if median(lines) > MEDIAN_LINES:
        found.append(f"{where}: the median code cell has {median(lines):g} lines, more than {MEDIAN_LINES}")
    long = sum(count > LONG_LINES for count in lines)
    if long > LONG_SHARE * len(lines):
        found.append(f"{where}: {long} of {len(lines)} code cells have over {LONG_LINES} lines, 10 % may")
    return found


def check_points(lesson: Lesson, notebook: NotebookNode) -> list[str]:
    """The total stated in the lesson's first cell is the sum of what nbgrader will count."""
    total = sum(cell.metadata.nbgrader.points for cell in graded(notebook, "grade").values())
    head = notebook.cells[0].source if notebook.cells else ""
    where = f"solutions/{lesson.name}/{lesson.text.name}: the first cell"
    stated = STATED.findall(head)
    if not stated:
        return [f'{where} does not say "{{lesson:points}} points" (they add up to {number(total)})']
    return [f"{where} says {n} points, they add up to {number(total)}" for n in stated if float(n) != total]


def check_names(lesson: Lesson, notebook: NotebookNode) -> list[str]:
    """Setup, answer and test cells run without the demo cells: grading leaves those out."""
    demo = {name for cell in notebook.cells if is_demo(cell) for name in defined(cell.source)}
    known: set[str] = set()
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or is_demo(cell):
            continue
        lacking = needed(cell.source) - known - defined(cell.source)
        what = "setup" if is_setup(cell) else f'"{nbgrader(cell).get("grade_id", "without a mark")}"'
        for name in sorted(lacking):
            why = (
                "only a demo cell has it, and grading leaves those out" if name in demo else "no cell has it"
            )
            found.append(
                f"solutions/{lesson.name}: cell {what} needs `{name}` from a setup or answer cell: {why}"
            )
        known |= defined(cell.source)
    return found


def check_unique(notebooks: Mapping[str, NotebookNode], questions: Mapping[str, list[str]]) -> list[str]:
    """Grade ids and questions are unique over the whole course: progress and grades are kept under them."""
    owners: dict[str, list[str]] = defaultdict(list)
    for lesson, notebook in notebooks.items():
        for cell in notebook.cells:
            if nbgrader(cell):
                owners[nbgrader(cell)["grade_id"]].append(lesson)
        for name in questions[lesson]:
            owners[name].append(lesson)
    shared = {name: who for name, who in owners.items() if len(who) > 1}
    return [f'"{name}" is used by {" and ".join(who)}: names are unique' for name, who in shared.items()]
