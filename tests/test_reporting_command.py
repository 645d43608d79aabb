"""`tlkit report` on a course: records, nbgrader's gradebook and what lies in submitted/ become one report."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from pathlib import Path

import pytest
from class_for_reports import record, result
from course_for_tests import empty_course
from nbgrader.api import Gradebook

from tlkit.build.course import find_lessons
from tlkit.build.notebooks import new_cell, new_notebook, write_notebook
from tlkit.cli import main
from tlkit.grading.files import write_json
from tlkit.grading.gradebook import Course
from tlkit.grading.records import Records
from tlkit.reporting.evidence import collect
from tlkit.reporting.report import make

LESSON = "01_small"
NOTEBOOK = b'{"cells": []}'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course where a and b are graded, c handed in later, d is in the roster alone; b waits for points."""
    root = empty_course(tmp_path_factory.mktemp("made") / "course")
    (root / "solutions" / LESSON).mkdir()
    records = Records(root, LESSON)
    digest = hashlib.sha256(NOTEBOOK).hexdigest()
    exercises = {"first": result("right", [3], [3]), "second": result("wrong", [0], [2], ("mixed_up", True))}
    records.put(record("a", exercises, digest=digest))
    records.put(record("b", exercises, digest=digest))
    for student in "abc":
        folder = root / "submitted" / student / LESSON
        folder.mkdir(parents=True)
        (folder / f"{LESSON}.ipynb").write_bytes(NOTEBOOK if student != "b" else b"{}")
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "deep-transfer-learning") as gradebook:
        gradebook.add_assignment(LESSON)
        gradebook.add_notebook(LESSON, LESSON)
        for name, points, kind in (
            ("test_first", 3, "code"),
            ("test_second", 2, "code"),
            ("why", 4, "markdown"),
        ):
            gradebook.add_grade_cell(name, LESSON, LESSON, max_score=points, cell_type=kind)
        for student, name in (("a", "Ada"), ("b", "Bea"), ("d", "<b>Dot</b>")):
            gradebook.add_student(student, first_name=name, last_name="L.")
        for student in "ab":
            gradebook.add_submission(LESSON, student)
            for name, points in (("test_first", 3), ("test_second", 0)):
                grade = gradebook.find_grade(name, LESSON, LESSON, student)
                grade.auto_score, grade.needs_manual_grade = points, False
        written = gradebook.find_grade("why", LESSON, LESSON, "a")
        written.manual_score, written.needs_manual_grade = 4, False
        gradebook.find_grade("why", LESSON, LESSON, "b").needs_manual_grade = True
        gradebook.db.commit()
    return root


@pytest.fixture
def course(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which the test may change; the current folder."""
    root = tmp_path / "course"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    return root


def test_everything_known_is_read(course: Path) -> None:
    """Scores, what waits, names, who handed in again, who is not graded, who handed in nothing."""
    (lesson,) = find_lessons(course)
    found = collect(Course(course), lesson)
    a, b = (found.grades[student] for student in "ab")
    assert (a.score, a.max_score, a.code_score, a.waiting) == (7, 9, 3, False)
    assert (b.score, b.max_score, b.code_score, b.waiting) == (3, 9, 3, True)
    assert found.names["a"] == "Ada L."
    assert found.changed == ["b"]
    assert set(found.graded_at) == {"a", "b"}
    assert "secret.json is missing" in found.problem
    report = make(found)
    assert (report.ungraded, report.missing) == (["c"], ["d"])
    assert report.scores.waiting == 1


def test_headings_come_from_the_released_notebook(course: Path) -> None:
    """An exercise is called as the heading above it; without a notebook by its own name."""
    (lesson,) = find_lessons(course)
    assert (collect(Course(course), lesson).title, collect(Course(course), lesson).titles) == ("", {})
    answer = new_cell("code", "def first(): ...")
    answer.metadata["nbgrader"] = {"grade_id": "first", "solution": True, "grade": False}
    cells = [
        new_cell("markdown", "# 01 · A small lesson\n\nWords."),
        new_cell("markdown", "## Part"),
        new_cell("markdown", "### Exercise · Do it first\ntext"),
        answer,
    ]
    lesson.released.mkdir(parents=True)
    write_notebook(new_notebook(cells), lesson.released / f"{LESSON}.ipynb")
    write_json(lesson.expected, {"exercises": {"first": {}, "second": {}}})
    found = collect(Course(course), lesson)
    assert (found.title, found.titles) == ("A small lesson", {"first": "Do it first"})


def test_a_page_and_a_table_are_written(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By default both lie in reports/, for their owner's eyes; the terminal says the gist."""
    assert main(["report", "01"]) == 0
    shown = capsys.readouterr().out
    page, table = course / "reports" / f"{LESSON}.html", course / "reports" / f"{LESSON}.csv"
    assert str(page) in shown
    assert "2 × second: mixed up" in shown
    assert "&lt;b&gt;Dot&lt;/b&gt;" in page.read_text(encoding="utf-8")
    with table.open(newline="", encoding="utf-8") as file:
        found = {(row["student_id"], row["exercise"]): row["points"] for row in csv.DictReader(file)}
    assert found[("a", "first")] == "3"
    assert found[("b", "second")] == "0"
    assert found[("c", "first")] == found[("d", "first")] == ""
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in (page, table)} == {0o600}


def test_where_they_go_can_be_said(course: Path, tmp_path: Path) -> None:
    """--to takes a folder or a file, --csv a file."""
    assert main(["report", LESSON, "--to", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{LESSON}.csv", f"{LESSON}.html"]
    table = tmp_path / "table.csv"
    assert main(["report", LESSON, "--to", str(tmp_path / "x" / "my.html"), "--csv", str(table)]) == 0
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["my.html"]
    assert table.is_file()


def test_without_records_it_says_what_to_run(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing graded, no such lesson, no place to write: a sentence and code 2, no traceback, no file."""
    blocked = course / "blocked"
    blocked.write_text("a file, not a folder")
    assert main(["report", "01", "--to", str(blocked / "sub")]) == 2
    assert "could not be made: Not a directory" in capsys.readouterr().err
    for path in (course / ".tlkit-grading").rglob("*.json"):
        path.unlink()
    assert main(["report", "01"]) == 2
    assert f"run `tlkit grade {LESSON}` first" in capsys.readouterr().err
    assert main(["report", "07"]) == 2
    assert "fits 0 lessons" in capsys.readouterr().err
    assert not (course / "reports").exists()
