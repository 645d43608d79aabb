"""Does anything that only instructors may read stand in what students get?"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from nbformat.notebooknode import NotebookNode

from tlkit.build.course import LEFTOVERS, Lesson
from tlkit.build.notebooks import graded

TELLING = 25  # characters: a shorter line ("model.eval()") says nothing when it stands alone
PAIRED = 12  # two such lines in a row say something
KEPT = {"answers.py", "secret.json"}
MARKS = ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "tlkit.exercises import grade", "MARK SCHEME")


def leaks(lesson: Lesson, notebook: NotebookNode, released: Path, secret: str) -> list[str]:
    """What of `lesson` (its instructor's notebook is `notebook`) stands in the folder `released`, in words.

    A line of the lesson's own solutions or written answers is a leak wherever it stands. Of answers.py, and
    in another lesson's folder, it takes two lines in a row: idioms repeat.
    """
    solutions = [_lines(text) for text in _solutions(notebook)]
    answers = [_lines(text) for text in _answers(lesson.folder / "answers.py")]
    own = released.name == lesson.name
    lines = {line for text in solutions for line in text if own and _telling(line)}
    pairs = {pair for text in solutions + answers for pair in pairwise(text) if min(map(len, pair)) >= PAIRED}
    found = []
    for path in sorted(path for path in released.rglob("*") if path.is_file()):
        if not LEFTOVERS.isdisjoint(path.parts):
            continue
        where = f"course/{released.name}/{path.relative_to(released).as_posix()}"
        if path.name in KEPT or path.name == lesson.text.name:
            found.append(f"{where}: this file is not for students")
        for text in _texts(path):
            present = _lines(text)
            shown = [*lines.intersection(present), *map(" / ".join, pairs.intersection(pairwise(present)))]
            found += [f"{where} shows an answer of {lesson.name}: {line!r}" for line in shown]
            found += [f"{where} shows {mark!r}" for mark in MARKS if mark in text]
            found += [f"{where} shows the course's secret"] if secret in text else []
    return sorted(set(found))


def _solutions(notebook: NotebookNode) -> Iterator[str]:
    """The text that generate_assignment takes out of answer cells."""
    for cell in graded(notebook, "solution").values():
        _, *regions = cell.source.split("### BEGIN SOLUTION")
        yield from (region.split("### END SOLUTION")[0] for region in regions or [cell.source])


def _answers(path: Path) -> Iterator[str]:
    """The bodies of the functions and classes in answers.py: hints are for students, code is not."""
    if not path.is_file():
        return
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield "\n".join(lines[node.body[0].lineno - 1 : node.end_lineno])


def _texts(path: Path) -> Iterator[str]:
    """Everything readable in a file; of JSON and notebooks every string on its own, line ends undone."""
    raw = path.read_bytes().decode("utf-8", errors="replace")
    if path.suffix not in {".json", ".ipynb"}:
        yield raw
        return
    yield from _strings(json.loads(raw))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        yield "".join(value)
    elif isinstance(value, list | dict):
        inner: Iterable[Any] = value if isinstance(value, list) else [*value, *value.values()]
        for item in inner:
            yield from _strings(item)


def _lines(text: str) -> list[str]:
    """Lines without indentation, blank lines and runs of spaces."""
    return [line for raw in text.splitlines() if (line := " ".join(raw.split()))]


def _telling(line: str) -> bool:
    return len(line) >= TELLING and not line.startswith(("import ", "from "))
