"""A course in a temporary folder, and nbgrader run on it as an instructor runs it."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tlkit.build.command import build
from tlkit.build.course import Lesson, find_lessons
from tlkit.build.new_lesson import new_lesson
from tlkit.grading.gradebook import Course
from tlkit.grading.run import Grading

CHECKOUT = Path(__file__).resolve().parents[1]
LESSONS = find_lessons(CHECKOUT)


def every_lesson(function: object) -> object:
    """Decorates a test that is run for each `lesson` of the checkout."""
    return pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)(function)


def empty_course(root: Path) -> Path:
    (root / "solutions").mkdir(parents=True)
    shutil.copy(CHECKOUT / "nbgrader_config.py", root)
    return root


def copied_course(root: Path, lesson: str) -> Lesson:
    """A built course with one lesson of the checkout."""
    empty_course(root)
    folder = next((CHECKOUT / "solutions").glob(f"{lesson}_*"))
    ignore = shutil.ignore_patterns("*.ipynb", "expected.json", "secret.json", "__pycache__")
    shutil.copytree(folder, root / "solutions" / folder.name, ignore=ignore)
    problems = build(root, [], check=False)
    assert problems == []
    return find_lessons(root)[0]


def sample_course(tmp_path_factory: pytest.TempPathFactory, name: str) -> Lesson:
    """A course with the sample lesson, built, in the gradebook, its right answers measured on hidden cases.

    It is made once for all processes that run the tests; each caller gets a copy, in a folder called `name`.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = shared / "sample course"
    with FileLock(f"{made}.lock"):
        if not made.is_dir():
            root = empty_course(shared / "sample course in the making")
            lesson = new_lesson(root, "sample")
            assert build(root, [], check=False) == []
            nbgrader(root, "generate_assignment", lesson.name, "--force")
            Grading(Course(root), lesson).right.measure(1, lambda: None)
            root.rename(made)
    copy = tmp_path_factory.mktemp(name) / "course"
    shutil.copytree(made, copy)
    return find_lessons(copy)[0]


def environment() -> dict[str, str]:
    """nbgrader looks for alembic on the PATH; the student's progress file stays out of the home folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return {**os.environ, **quiet, "PATH": path}


def nbgrader(root: Path, *arguments: str, expect: int | None = 0) -> str:
    """Run an nbgrader command in the course's top folder; returns what it printed."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    run = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, timeout=1800)
    output = run.stdout + run.stderr
    assert expect is None or run.returncode == expect, output[-6000:]
    return output


def grades(path: Path) -> dict[str, dict[str, Any]]:
    """The exported CSV, a row a student."""
    with path.open(newline="") as file:
        return {row["student_id"]: row for row in csv.DictReader(file)}
