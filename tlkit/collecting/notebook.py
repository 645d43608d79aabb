"""A look at a notebook as plain, size-limited JSON: is it one, and which lesson's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tlkit.build.course import Lesson
from tlkit.collecting.entries import Limits, OtherLesson, Refused

ENDINGS = (".ipynb", ".ipynb.txt", ".ipynb.json")  # browsers add the last two


def is_notebook_name(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def parse(data: bytes, limits: Limits) -> dict[str, Any]:
    """The notebook as JSON; Refused where it is none."""
    if not data.strip():
        raise Refused("an empty file")
    if data[:4] == b"PK\3\4":
        raise Refused("a zip that is called a notebook")
    if data.count(b"[") + data.count(b"{") > limits.nodes:
        raise Refused("no notebook: it holds hundreds of thousands of lists and objects")
    try:
        content = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused("not a notebook: it is no UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"not a notebook, or cut off: no JSON ({str(error)[:80]})") from error
    cells = content.get("cells", content.get("worksheets")) if isinstance(content, dict) else None
    if not isinstance(cells, list) or not isinstance(content.get("nbformat"), int):
        raise Refused("not a notebook, though it is JSON")
    return dict(content)


def marks(notebook: Mapping[str, Any]) -> set[str]:
    """What names a lesson's cells: nbgrader's ids and the cells' own."""
    found = set()
    for cell in notebook.get("cells") or []:
        if isinstance(cell, dict):
            metadata = cell.get("metadata")
            mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
            names = [cell.get("id"), mark.get("grade_id") if isinstance(mark, dict) else None]
            found |= {name for name in names if isinstance(name, str)}
    return found


def lesson_marks(lessons: list[Lesson]) -> dict[str, set[str]]:
    """{lesson: the marks of its released notebook}, of those that have been built."""
    known = {}
    for lesson in lessons:
        path = lesson.released / lesson.notebook.name
        if path.is_file():
            known[lesson.name] = marks(json.loads(path.read_bytes()))
    shared = {mark for mark, count in Counter(m for own in known.values() for m in own).items() if count > 1}
    return {name: own - shared for name, own in known.items()}


def check_lesson(notebook: Mapping[str, Any], name: str, wanted: str, known: Mapping[str, set[str]]) -> bool:
    """Is it certain that the notebook is of this lesson? OtherLesson where it is another one's.

    Its cells decide; where they say nothing, or the lesson's own are not known, its name.
    """
    own = marks(notebook) if wanted in known else set()
    votes = {lesson: len(own & its) for lesson, its in known.items()}
    most = max(votes, key=lambda lesson: (votes[lesson], lesson == wanted), default=wanted)
    if votes.get(most):
        if most != wanted:
            raise OtherLesson(f"the notebook of another lesson, {most}", f"Ask for {wanted}.ipynb.")
        return True
    for lesson in known:
        if lesson != wanted and lesson in name and wanted not in name:
            raise OtherLesson(f"called like another lesson, {lesson}", f"Ask for {wanted}.ipynb.")
    return wanted in name
