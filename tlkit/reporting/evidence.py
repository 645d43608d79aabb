"""What the report is made of: the records, what the gradebook adds, and what was handed in since."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.api import MissingEntry

from tlkit.build.course import BuildError, Lesson
from tlkit.build.notebooks import nbgrader, read_notebook
from tlkit.grading.gradebook import Course
from tlkit.grading.process.client import GraderError
from tlkit.grading.records import Record, Records
from tlkit.grading.run import Grading
from tlkit.grading.submission import MOST_BYTES


@dataclass(frozen=True)
class Grade:
    """A student's line in the gradebook: all points, those of the tests, and if some are to come."""

    score: float
    max_score: float
    code_score: float
    waiting: bool


@dataclass
class Evidence:
    """Everything known about one lesson of one class; plain data, so that tests can make it up.

    titles: {exercise: heading in the lesson}; names: {student: "First Last"} where the gradebook knows it;
    handed_in: students with a submission; changed: those who handed in another file after grading;
    version: of lesson and grader as they are now, "" where that cannot be told.
    """

    lesson: str
    records: list[Record]
    title: str = ""
    titles: dict[str, str] = field(default_factory=dict)
    graded_at: dict[str, datetime] = field(default_factory=dict)
    grades: dict[str, Grade] = field(default_factory=dict)
    roster: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    handed_in: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    version: str = ""
    problem: str = ""  # why the lesson's present version cannot be told


def collect(course: Course, lesson: Lesson) -> Evidence:
    """Read all of it; GraderError where nothing was graded, or the gradebook cannot be read."""
    records = Records(course.root, lesson.name)
    found = Evidence(lesson.name, records.all())
    if not found.records:
        raise GraderError(f"Nothing of {lesson.name} is graded yet: run `tlkit grade {lesson.name}` first.")
    folders = course.submitted(lesson)
    found.handed_in = list(folders)
    for record in found.records:
        path = records.folder / "records" / f"{record.student}.json"
        found.graded_at[record.student] = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        folder = folders.get(record.student)
        if folder is not None and _changed(folder / lesson.notebook.name, record):
            found.changed.append(record.student)
    found.title, found.titles = headings(lesson)
    _read_gradebook(found, course, lesson)
    try:
        found.version = Grading(course, lesson).version
    except (GraderError, BuildError) as error:
        found.problem = str(error)
    except (OSError, ValueError, KeyError) as error:
        found.problem = (
            f"{lesson.name} is not built ({type(error).__name__}): run `tlkit build {lesson.name}`."
        )
    return found


def _read_gradebook(found: Evidence, course: Course, lesson: Lesson) -> None:
    with course.open() as gradebook:
        for student in gradebook.students:
            found.roster.append(student.id)
            name = " ".join(part for part in (student.first_name, student.last_name) if part)
            if name:
                found.names[student.id] = name
        try:
            gradebook.find_assignment(lesson.name)
        except MissingEntry:
            return
        found.grades = {row["student"]: grade_of(row) for row in gradebook.submission_dicts(lesson.name)}


def grade_of(row: Mapping[str, Any]) -> Grade:
    """A row of nbgrader's `submission_dicts`."""
    waiting = bool(row["needs_manual_grade"])
    return Grade(float(row["score"]), float(row["max_score"]), float(row["code_score"]), waiting)


def headings(lesson: Lesson) -> tuple[str, dict[str, str]]:
    """The lesson's title, and the heading above each exercise, from the released notebook."""
    try:
        cells = read_notebook(lesson.released / lesson.notebook.name).cells
        exercises = json.loads(lesson.expected.read_text(encoding="utf-8"))["exercises"]
    except Exception:  # missing, damaged, of another format: the report then uses the plain names
        return "", {}
    title, last, found = "", "", {}
    for cell in cells:
        if cell.cell_type == "markdown":
            for level, text in re.findall(r"^(#{1,4}) +(.+?) *$", cell.source, flags=re.MULTILINE):
                last = text.rsplit("· ", 1)[-1]
                title = title or (last if level == "#" else "")
        name = str(nbgrader(cell).get("grade_id", ""))
        if cell.cell_type == "code" and name in exercises and nbgrader(cell).get("solution"):
            found[name] = last
    return title, {name: text for name, text in found.items() if text}


def _changed(notebook: Path, record: Record) -> bool:
    """Is another file there than the one that was graded? Links and huge files are not read."""
    if not record.digest or notebook.is_symlink() or notebook.parent.is_symlink() or not notebook.is_file():
        return False
    if notebook.stat().st_size > MOST_BYTES:
        return True
    return hashlib.sha256(notebook.read_bytes()).hexdigest() != record.digest
