"""A lesson's text notebook becomes an nbgrader notebook: the shorthand on its cells is written out.

The text is jupytext's percent format. A code cell is exactly one of

    # %% tags=["setup"]                     imports; locked
    # %% tags=["demo"]                      experiments and figures; not run when grading
    # %% tags=["demo", "prose"]             the same with its code folded away: text made of measured numbers
    # %% solution="replace_head"            the answer, with ### BEGIN SOLUTION … ### END SOLUTION
    # %% test="replace_head"                left empty: the build writes it

and a markdown cell may be `# %% [markdown] written="why_freeze" points=4`, an answer that a person
grades; its text is the model answer and the mark scheme.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jupytext
from nbformat.notebooknode import NotebookNode

from tlkit.build.course import BuildError, Lesson
from tlkit.build.notebooks import HIDDEN, graded, nbgrader, new_cell, new_notebook
from tlkit.exercises.spec import Spec

PROSE = "prose"  # beside "demo": the cell's output is text to read, so JupyterLab shows its code folded away
KEYS = {"tags", "solution", "test", "written", "points"}
TEST = f"""\
from tlkit import check

check("{{name}}")
{HIDDEN}
from tlkit.exercises import grade

grade("{{name}}")
### END HIDDEN TESTS"""
PLACEHOLDER = re.compile(r"\{(exercise|lesson):(\w+)\}")


def read_text(lesson: Lesson) -> list[NotebookNode]:
    """The cells of the text notebook as written, shorthand metadata included."""
    if not lesson.text.is_file():
        raise BuildError(f"solutions/{lesson.name} has no {lesson.text.name}: a lesson is a text notebook.")
    text = lesson.text.read_text(encoding="utf-8")
    cells: list[NotebookNode] = jupytext.reads(text, fmt="py:percent").cells
    return cells


def expand(lesson: Lesson, spec: Spec) -> NotebookNode:
    """The instructor's notebook: ids, nbgrader metadata and tests written out; same text, same bytes."""
    notes: list[NotebookNode] = []
    problems: list[str] = []
    cells = read_text(lesson)
    written = {c.metadata.written: c.metadata.get("points") for c in cells if "written" in c.metadata}
    points = spec.total + sum(value for value in written.values() if isinstance(value, int | float))
    ids: Counter[str] = Counter()
    setups: Counter[str] = Counter()
    for number, cell in enumerate(cells, start=1):
        where = f"cell {number} ({_start(cell.source)})"
        meta = {key: value for key, value in cell.metadata.items() if not key.startswith("lines_to_")}
        problems += [
            f"{where}: unknown cell metadata {key}={meta[key]!r}" for key in sorted(set(meta) - KEYS)
        ]
        kind = _kind(cell.cell_type, meta)
        if kind is None:
            problems.append(
                f"{where}: a code cell is one of setup, demo, solution, test; a markdown cell may be written"
            )
            continue
        new = new_cell(cell.cell_type, cell.source)
        if cell.cell_type not in {"code", "markdown"}:
            problems.append(f"{where}: lessons have code and markdown cells, no {cell.cell_type} cells")
        if kind == "text":
            new.source, wrong = _fill(new.source, spec, written, points)
            problems += [f"{where}: {text}" for text in wrong]
        elif kind == "setup":
            new.metadata.nbgrader = _nbgrader(_numbered(f"{lesson.name}_setup", setups), locked=True)
        elif kind == "solution":
            new.metadata.nbgrader = _nbgrader(str(meta["solution"]), solution=True)
        elif kind == "test":
            problems += _test(new, str(meta["test"]), spec, where)
        elif kind == "written":
            worth = meta.get("points")
            if not isinstance(worth, int | float) or not worth > 0:
                problems.append(f"{where}: a written cell says its points, like points=4 (found {worth!r})")
            name = str(meta["written"])
            new.metadata.nbgrader = _nbgrader(name, solution=True, grade=True, points=_points(worth or 0))
        if meta.get("tags"):
            new.metadata.tags = list(meta["tags"])
            if PROSE in meta["tags"]:
                new.metadata.jupyter = {"source_hidden": True}
        new.id = _numbered(_cell_id(lesson.name, kind, new), ids)
        notes.append(new)
    notebook = new_notebook(notes)
    problems += _pairs(notebook, spec)
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise BuildError(f"solutions/{lesson.name}/{lesson.text.name} cannot be built:\n{listed}")
    return notebook


def number(value: float) -> str:
    """3.0 as "3", 2.5 as "2.5"."""
    return f"{value:g}"


def _kind(cell_type: str, meta: Mapping[str, Any]) -> str | None:
    tags = set(meta.get("tags", []))
    found = [key for key in ("solution", "test", "written") if key in meta]
    found += [tag for tag in ("setup", "demo") if tag in tags]
    if not found and cell_type != "code":
        return "text"
    right = len(found) == 1 and (found[0] == "written") == (cell_type == "markdown")
    return found[0] if right else None


def _nbgrader(
    grade_id: str,
    *,
    solution: bool = False,
    grade: bool = False,
    locked: bool = False,
    points: float | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "grade": grade,
        "grade_id": grade_id,
        "locked": locked,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }
    if points is not None:
        metadata["points"] = points
    return metadata


def _test(cell: NotebookNode, name: str, spec: Spec, where: str) -> list[str]:
    """Fill a test cell; returns what is wrong with it."""
    if name not in spec.exercises:
        known = ", ".join(spec.exercises) or "none"
        return [f'{where}: test="{name}" is no exercise of probes.py, which has {known}']
    problems = [f"{where}: leave a test cell empty, the build writes it"] if cell.source.strip() else []
    cell.source = TEST.format(name=name)
    points = _points(spec.points(name))
    cell.metadata.nbgrader = _nbgrader(f"test_{name}", grade=True, locked=True, points=points)
    return problems


def _fill(source: str, spec: Spec, written: Mapping[str, Any], total: float) -> tuple[str, list[str]]:
    """Replace {exercise:NAME} and {lesson:points} in markdown; returns the text and what is wrong with it."""
    problems: list[str] = []

    def replace(match: re.Match[str]) -> str:
        what, name = match.groups()
        if what == "lesson" and name == "points":
            return number(total)
        if what == "exercise" and name in spec.exercises:
            one = spec.exercises[name]
            stars = "★" * one.difficulty + "☆" * (5 - one.difficulty)
            return f"{stars} · {_count(spec.points(name), 'point')} · about {_count(one.minutes, 'minute')}"
        if what == "exercise" and name in written:
            return f"written answer · {_count(written[name] or 0, 'point')} · graded by a person"
        problems.append(f"{match.group()} names nothing in this lesson")
        return match.group()

    return PLACEHOLDER.sub(replace, source), problems


def _pairs(notebook: NotebookNode, spec: Spec) -> list[str]:
    """Every exercise has one answer cell and, after it, one test cell."""
    seen = [nbgrader(cell)["grade_id"] for cell in notebook.cells if nbgrader(cell)]
    answers = [name for name, cell in graded(notebook, "solution").items() if cell.cell_type == "code"]
    problems = [
        f'grade id "{name}" is used {count} times' for name, count in Counter(seen).items() if count > 1
    ]
    for name in spec.exercises:
        if name not in answers:
            problems.append(f'exercise "{name}" of probes.py has no cell marked solution="{name}"')
        elif f"test_{name}" not in seen:
            problems.append(f'exercise "{name}" has no cell marked test="{name}": nothing would grade it')
        elif seen.index(f"test_{name}") < seen.index(name):
            problems.append(f'the test of "{name}" stands before its answer cell')
    for name in answers:
        if name not in spec.exercises:
            problems.append(f'solution="{name}" is no exercise of probes.py: nothing would grade it')
    return problems


def _cell_id(lesson: str, kind: str, cell: NotebookNode) -> str:
    """The grade id, or a name made of the content: inserting a cell renames no other."""
    if "nbgrader" in cell.metadata:
        return str(cell.metadata.nbgrader.grade_id)[:60]
    return hashlib.sha256(f"{lesson}\0{kind}\0{cell.source}".encode()).hexdigest()[:12]


def _numbered(name: str, seen: Counter[str]) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}-{seen[name]}"


def _points(value: float) -> float:
    return int(value) if float(value).is_integer() else float(value)


def _count(value: float, noun: str) -> str:
    return f"{number(value)} {noun}" if value == 1 else f"{number(value)} {noun}s"


def _start(source: str) -> str:
    line = source.strip().split("\n", 1)[0]
    return repr(line if len(line) <= 40 else line[:39] + "…")
