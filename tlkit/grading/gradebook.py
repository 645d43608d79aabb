"""nbgrader's side of the course: where its folders are, what its gradebook knows.

And writing scores into it.
"""

from __future__ import annotations

import functools
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbgrader.api
from nbformat.notebooknode import NotebookNode
from nbgrader.api import Gradebook, InvalidEntry, MissingEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    LimitOutput,
    SaveAutoGrades,
)
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from tlkit.build.course import CONFIG, Lesson
from tlkit.build.notebooks import nbgrader as mark_of
from tlkit.build.notebooks import read_notebook, write_notebook
from tlkit.grading.process.client import GraderError

# As nbgrader does after it ran a notebook. What it does before that, `restore` has done: marks and locked
# cells are the lesson's own.
AFTER = (LimitOutput, SaveAutoGrades, AssignLatePenalties)
LONGEST_STAMP = 200
# SQLAlchemy keeps compiled queries with its engine, and nbgrader makes an engine for each gradebook it opens:
# compiling took a quarter of the grader's own time. Closing a gradebook still closes its connections.
nbgrader.api.create_engine = functools.cache(nbgrader.api.create_engine)


@dataclass(frozen=True)
class Known:
    """A lesson as the gradebook knows it: text, points and checksums of its marked cells, by grade id."""

    texts: dict[str, str]
    points: dict[str, float]
    checksums: dict[str, str]


@contextmanager
def _understood() -> Iterator[None]:
    """A GraderError in place of what the database, or nbgrader because of it, raises."""
    try:
        yield
    except (SQLAlchemyError, InvalidEntry) as error:
        said = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise GraderError(
            f"The gradebook cannot be used ({said}). If another program holds it, wait for that; if the disk "
            "is full, make room; after an update of nbgrader, copy the file and run `nbgrader db upgrade`. "
            "Then run the same command: it goes on where it stopped."
        ) from None


class Course:
    """The course as nbgrader_config.py describes it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = PyFileConfigLoader(CONFIG, path=str(root)).load_config()
        self.config.CourseDirectory.setdefault("root", str(root))
        self.folders = CourseDirectory(config=self.config)
        self.url = str(self.folders.db_url)

    def submitted(self, lesson: Lesson) -> dict[str, Path]:
        """{student: folder} of everybody who handed the lesson in."""
        pattern = Path(self._path(self.folders.submitted_directory, "*", lesson))
        found = pattern.parent.parent.glob(f"*/{lesson.name}") if pattern.parent.parent.is_dir() else []
        return {path.parent.name: path for path in sorted(found) if not path.parent.name.startswith(".")}

    def autograded(self, student: str, lesson: Lesson) -> Path:
        return Path(self._path(self.folders.autograded_directory, student, lesson))

    def _path(self, step: Any, student: str, lesson: Lesson) -> str:
        return str(self.folders.format_path(step, student, lesson.name))

    def known(self, lesson: Lesson) -> Known:
        """What the gradebook holds of the lesson; GraderError where that is nothing, or another version."""
        advice = f"run `nbgrader generate_assignment {lesson.name} --force`, then grade again"
        with self.open() as gradebook:
            try:
                notebook = gradebook.find_notebook(lesson.name, lesson.name)
            except MissingEntry:
                raise GraderError(f"The gradebook does not know {lesson.name} yet: {advice}.") from None
            texts = {cell.name: cell.source for cell in notebook.source_cells}
            points = {cell.name: float(cell.max_score) for cell in notebook.grade_cells}
            checksums = {cell.name: cell.checksum for cell in notebook.source_cells}
        marks = [mark_of(cell) for cell in read_notebook(lesson.notebook).cells if mark_of(cell)]
        worth = {mark["grade_id"]: mark["points"] for mark in marks if mark["grade"]}
        if set(texts) != {mark["grade_id"] for mark in marks} or points != worth:
            raise GraderError(f"The gradebook knows another version of {lesson.name}: {advice}.")
        return Known(texts, points, checksums)

    @contextmanager
    def open(self) -> Iterator[Gradebook]:
        """The gradebook; GraderError where the database cannot be used."""
        warnings.simplefilter("ignore", SAWarning)  # nbgrader's own use of SQLAlchemy, harmless
        with _understood(), Gradebook(self.url, self.folders.course_id) as gradebook:
            yield gradebook

    def _resources(self, lesson: Lesson, student: str) -> dict[str, Any]:
        about = {"assignment": lesson.name, "notebook": lesson.name, "student": student, "db_url": self.url}
        return {"nbgrader": about, "unique_key": lesson.name}

    @contextmanager
    def _together(self) -> Iterator[Gradebook]:
        """A gradebook that nbgrader's steps use in place of their own; what is entered is kept at the end.

        Each of nbgrader's calls commits, which waits for the disk, some twenty times a submission.
        """
        with self.open() as gradebook, ExitStack() as stack:
            keep = gradebook.db.commit
            stack.enter_context(patch.object(gradebook.db, "commit", gradebook.db.flush))
            stack.enter_context(patch.object(gradebook, "close", lambda: None))
            for module in {sys.modules[step.__module__] for step in AFTER}:
                if hasattr(module, "Gradebook"):
                    stack.enter_context(patch.object(module, "Gradebook", lambda *_, **__: gradebook))
            yield gradebook
            keep()

    def save(self, notebook: NotebookNode, lesson: Lesson, student: str, folder: Path) -> NotebookNode:
        """Enter the scores of a graded notebook and write it under autograded/, whole or not at all."""
        stamp = self._timestamp(folder)
        more = {"timestamp": stamp} if stamp else {}
        with self._together() as gradebook:
            gradebook.update_or_create_student(student)
            gradebook.update_or_create_submission(lesson.name, student, **more)
            config, about = Config(self.config), self._resources(lesson, student)
            for step in AFTER:
                notebook, about = step(config=config).preprocess(notebook, about)
        target = self.autograded(student, lesson)
        target.mkdir(parents=True, exist_ok=True)
        for name in ("probes.py", "expected.json"):
            if (lesson.released / name).is_file():
                shutil.copyfile(lesson.released / name, target / name)
        if stamp:
            (target / "timestamp.txt").write_text(stamp.strftime("%Y-%m-%d %H:%M:%S UTC"))
        temporary = target / f".{lesson.name}.tmp"
        write_notebook(notebook, temporary)
        temporary.replace(target / f"{lesson.name}.ipynb")
        return notebook

    def _timestamp(self, folder: Path) -> Any:
        """When the work was handed in, from timestamp.txt; None where there is none that can be read."""
        path = folder / "timestamp.txt"
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LONGEST_STAMP:
            return None
        try:
            return self.folders.get_existing_timestamp(str(folder))
        except Exception:  # whatever a date parser raises on a stranger's text
            return None
